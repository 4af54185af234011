// Relu and Int8Relu under the engine ONEDNN.
//
//   X -> Y, which may be the same blob
//
//   X   Int8TensorCPU of any shape, of uint8, or uint16 (engines ending in
//       _16); or a float tensor
//   Y   as X, with its scale and zero point: max(code, zero point), or
//       max(x, 0) for floats, where a NaN stays NaN. With dequantize_output Y
//       is a float tensor
//
// As in DNNLOWP, Y_scale and the other arguments of parameters are not read: Y
// has the parameters of X. DNNLOWP neither reads dequantize_output nor takes
// floats.
#include <algorithm>

#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "quantization/kernels/max_codes.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

// What is worth a thread: some microseconds.
constexpr int64_t kLeastPart = int64_t{1} << 17;

template <typename T>
class ReluOp final : public Int8Operator<T> {
 public:
  ReluOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace, KeepsParameters("Relu")) {}

 protected:
  void Compute() override {
    if (!this->IsCodes(0)) {
      const caffe2::Tensor& x = FloatInput(this, 0);
      const float* const values = x.data<float>();
      const int64_t count = x.numel();
      std::transform(values, values + count, this->OutputFloats(x.sizes()),
                     [](float value) { return value < 0 ? 0 : value; });
      return;
    }
    const auto& x = this->Input(0);
    this->WriteCodes(x.sizes, x.params, [&](T* y) {
      const T* const codes = x.codes;
      const auto least = static_cast<T>(x.zero_point());
      const auto write = [=](int64_t i, int64_t n, T* dst) {
        kernels::MaxCodes(codes + i, n, least, dst);
      };
      const bool streams =
          y != codes && kernels::StreamsOutput(x.count * sizeof(T));
      WriteParts(
          x.count, kLeastPart, streams, [&] { return write; }, y);
    });
  }
};

}  // namespace

void RegisterOnednnRelu(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<ReluOp>(name, suffixes);
}

}  // namespace caffe2_quantization
