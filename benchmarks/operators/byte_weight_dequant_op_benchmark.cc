// ByteWeightDequant: the host's operator and ours, in cache and out of it.
#include "benchmarks/registry.h"
#include "operators/byte_weight_dequant_op.h"
#include "quantization/kernels/isa.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

// An operator with its workspace, run again and again.
struct OperatorState {
  std::shared_ptr<caffe2::Workspace> workspace;
  std::shared_ptr<caffe2::OperatorBase> op;
  void operator()() const { op->Run(); }
};

OperatorState MakeState(int64_t count, bool host) {
  OperatorState state{std::make_shared<caffe2::Workspace>(), nullptr};
  std::vector<uint8_t> bytes(count);
  for (int64_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 37);
  Feed(state.workspace.get(), "bytes", bytes);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "ByteWeightDequant", {"bytes"}, {"values"})
      .Ints("shape", {count});
  if (host) {
    state.op = caffe2::CreateOperator(definition, state.workspace.get());
  } else {
    state.op = std::make_shared<ByteWeightDequantOp>(definition,
                                                     state.workspace.get());
  }
  return state;
}

}  // namespace

void AddByteWeightDequantBenchmarks() {
  for (const int64_t count : {int64_t{1} << 16, int64_t{1} << 24}) {
    const std::string group =
        "ByteWeightDequant/" + (count >= 1 << 20
                                    ? std::to_string(count >> 20) + "Mi"
                                    : std::to_string(count >> 10) + "Ki");
    const std::size_t bytes = count * (1 + sizeof(float));
    AddBenchmark(group, "host", bytes,
                 [count] { return MakeRun(MakeState(count, true)); });
    AddBenchmark(group, "ours", bytes,
                 [count] { return MakeRun(MakeState(count, false)); });
    for (const std::string target : {"AVX2", "scalar"}) {
      AddBenchmark(
          group, "ours, " + target, bytes,
          [count] { return MakeRun(MakeState(count, false)); }, target);
    }
  }
}

}  // namespace caffe2_quantization
