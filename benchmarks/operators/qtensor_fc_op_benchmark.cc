// A fully connected layer: the host's float FC, and ours on bit planes, with
// everything that a run needs (X quantized and packed, W compared, Y scaled).
#include "benchmarks/registry.h"
#include "benchmarks/support/int8_operator.h"
#include "operators/qtensor_fc_op.h"
#include "operators/qtensor_quantize_op.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Shape {
  int64_t m;
  int64_t n;
  int64_t k;
};

// An operator with its workspace, run again and again.
struct OperatorState {
  std::shared_ptr<caffe2::Workspace> workspace;
  std::shared_ptr<caffe2::OperatorBase> op;
  void operator()() const { op->Run(); }
};

OperatorState MakeFloats(const Shape& shape) {
  OperatorState state{std::make_shared<caffe2::Workspace>(), nullptr};
  FeedRandom(state.workspace.get(), "x", {shape.m, shape.k});
  FeedRandom(state.workspace.get(), "w", {shape.n, shape.k});
  FeedRandom(state.workspace.get(), "b", {shape.n});
  return state;
}

void Quantize(const OperatorState& state, const std::string& from,
              const std::string& to, int precision, bool is_signed) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "QTensorQuantize", {from}, {to})
      .Int("precision", precision)
      .Int("signed", is_signed);
  QTensorQuantizeOp(definition, state.workspace.get()).Run();
}

std::unique_ptr<BenchmarkRun> MakeHost(const Shape& shape) {
  OperatorState state = MakeFloats(shape);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "FC", {"x", "w", "b"}, {"y"});
  state.op = caffe2::CreateOperator(definition, state.workspace.get());
  return MakeRun(std::move(state));
}

std::unique_ptr<BenchmarkRun> MakeOurs(const Shape& shape, int precision,
                                       bool is_signed, bool x_is_float) {
  OperatorState state = MakeFloats(shape);
  Quantize(state, "w", "wq", precision, is_signed);
  Quantize(state, "x", "xq", precision, is_signed);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "QTensorFC", {x_is_float ? "x" : "xq", "wq", "b"},
            {"y"})
      .Int("X_precision", precision)
      .Int("X_signed", is_signed);
  state.op = std::make_shared<QTensorFCOp>(definition, state.workspace.get());
  return MakeRun(std::move(state));
}

void AddShape(const Shape& shape) {
  const std::string group = "FC/" + std::to_string(shape.m) + "x" +
                            std::to_string(shape.n) + "x" +
                            std::to_string(shape.k);
  AddBenchmark(group, "host", 0, [shape] { return MakeHost(shape); });
  const auto add = [&](int precision, bool is_signed, bool x_is_float,
                       const std::string& target) {
    const std::string bits = std::to_string(precision) + "-bit";
    AddBenchmark(
        group,
        bits + (is_signed ? " signed" : "") + (x_is_float ? ", X float" : "") +
            (target.empty() ? "" : ", " + target),
        0, [=] { return MakeOurs(shape, precision, is_signed, x_is_float); },
        target);
  };
  for (const int precision : {1, 2, 4, 8}) {
    add(precision, false, false, "");
    add(precision, false, true, "");
  }
  add(1, true, false, "");
  add(1, true, true, "");
  add(1, false, false, "AVX2");
  add(1, false, true, "AVX2");
}

}  // namespace

void AddQTensorFCBenchmarks() {
  AddShape({1024, 1024, 1024});
  AddShape({1, 1024, 1024});
}

}  // namespace caffe2_quantization
