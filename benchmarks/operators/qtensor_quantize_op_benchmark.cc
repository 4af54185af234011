// Floats to a QTensor. The host has no operator for it: the first case is the
// plain form.
#include "benchmarks/registry.h"
#include "operators/qtensor_quantize_op.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kRows = 1024;
constexpr int64_t kColumns = 1024;
constexpr int kNoAxis = -9;
constexpr std::size_t kBytes = kRows * kColumns * sizeof(float);

struct QuantizeState {
  std::shared_ptr<caffe2::Workspace> workspace;
  std::shared_ptr<caffe2::OperatorBase> op;
  void operator()() const { op->Run(); }
};

std::unique_ptr<BenchmarkRun> Make(int precision, int axis = kNoAxis) {
  QuantizeState state{std::make_shared<caffe2::Workspace>(), nullptr};
  std::vector<float> values(kRows * kColumns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i * 2654435761u % 1000003) - 5e5f;
  }
  FeedFloats(state.workspace.get(), "x", values, {kRows, kColumns});
  caffe2::OperatorDef definition;
  OpBuilder op(&definition, "QTensorQuantize", {"x"}, {"q"});
  op.Int("precision", precision);
  if (axis != kNoAxis) op.Int("axis", axis);
  state.op =
      std::make_shared<QTensorQuantizeOp>(definition, state.workspace.get());
  return MakeRun(std::move(state));
}

}  // namespace

void AddQTensorQuantizeBenchmarks() {
  const std::string group = "QTensorQuantize/1024x1024";
  AddBenchmark(
      group, "8-bit, scalar", kBytes, [] { return Make(8); }, "scalar");
  AddBenchmark(
      group, "8-bit, AVX2", kBytes, [] { return Make(8); }, "AVX2");
  AddBenchmark(group, "8-bit", kBytes, [] { return Make(8); });
  AddBenchmark(group, "8-bit, per channel", kBytes, [] { return Make(8, 0); });
  AddBenchmark(group, "8-bit, last axis", kBytes, [] { return Make(8, 1); });
  AddBenchmark(group, "1-bit", kBytes, [] { return Make(1); });
  AddBenchmark(group, "16-bit", kBytes, [] { return Make(16); });
}

}  // namespace caffe2_quantization
