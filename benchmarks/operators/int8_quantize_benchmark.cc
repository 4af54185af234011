// Quantize and Dequantize: the host's engine DNNLOWP and ours, ONEDNN, in the
// first cache levels and out of them. Static: the parameters are arguments;
// dynamic: they are chosen in every run.
#include "benchmarks/registry.h"
#include "benchmarks/support/int8_operator.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

// An operator with its workspace, run again and again.
struct OperatorState {
  std::shared_ptr<caffe2::Workspace> workspace;
  std::shared_ptr<caffe2::OperatorBase> op;
  void operator()() const { op->Run(); }
};

enum class Which { kStatic, kDynamic, kDequantize };

template <typename T>
OperatorState MakeState(int64_t count, Which which, bool host) {
  OperatorState state{std::make_shared<caffe2::Workspace>(), nullptr};
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(i % 251) - 100;
  }
  FeedFloats(state.workspace.get(), "x", values);
  const std::string suffix = sizeof(T) == 1 ? "" : "_16";
  caffe2::OperatorDef quantize;
  OpBuilder builder(&quantize, "Quantize", {"x"}, {"q"});
  if (which == Which::kStatic) {
    builder.Float("Y_scale", 1).Int("Y_zero_point", 100);
  }
  builder.Int("activation_precision", 8 * sizeof(T));
  quantize.set_engine("DNNLOWP" + suffix);
  caffe2::OperatorDef dequantize;
  OpBuilder(&dequantize, "Dequantize", {"q"}, {"y"});
  dequantize.set_engine("DNNLOWP" + suffix);
  const bool back = which == Which::kDequantize;
  if (back) CAFFE_ENFORCE(state.workspace->RunOperatorOnce(quantize));
  caffe2::OperatorDef definition = back ? dequantize : quantize;
  if (!host) definition.set_engine("ONEDNN" + suffix);
  state.op = CreateWithEngine(definition, state.workspace.get());
  return state;
}

template <typename T>
void AddOf(const char* name, Which which) {
  for (const int64_t count :
       {int64_t{64}, int64_t{1} << 14, int64_t{1} << 18, int64_t{1} << 24}) {
    const std::string group =
        std::string(name) + (sizeof(T) == 1 ? "/8 bits/" : "/16 bits/") +
        (count >= 1 << 20   ? std::to_string(count >> 20) + "Mi"
         : count >= 1 << 10 ? std::to_string(count >> 10) + "Ki"
                            : std::to_string(count));
    const std::size_t bytes = count * (sizeof(T) + sizeof(float));
    for (const bool host : {true, false}) {
      AddBenchmark(group, host ? "host" : "ours", bytes, [count, which, host] {
        return MakeRun(MakeState<T>(count, which, host));
      });
    }
  }
}

}  // namespace

void AddInt8QuantizeBenchmarks() {
  AddOf<uint8_t>("Quantize, static", Which::kStatic);
  AddOf<uint8_t>("Quantize, dynamic", Which::kDynamic);
  AddOf<uint8_t>("Dequantize", Which::kDequantize);
  AddOf<uint16_t>("Quantize, static", Which::kStatic);
  AddOf<uint16_t>("Dequantize", Which::kDequantize);
}

}  // namespace caffe2_quantization
