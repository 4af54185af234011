// Int8NCHW2NHWC and Int8NHWC2NCHW under the engine ONEDNN: images with their
// channels last, or first.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8, or uint16 (engines ending in _16), with its
//       scale and zero point; or a float tensor. [N, C, …] of three dimensions
//       or more; of Int8NHWC2NCHW [N, …, C]
//   Y   as X: [N, …, C]; of Int8NHWC2NCHW [N, C, …]. Not X. A float tensor with
//       dequantize_output
#include <algorithm>
#include <string>
#include <vector>

#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/engine/switched_order.h"
#include "operators/int8/moves/move_operator.h"
#include "operators/registration.h"
#include "quantization/kernels/transpose.h"

namespace caffe2_quantization {
namespace {

bool MovesChannelsLast(const std::string& type) {
  return type == "Int8NCHW2NHWC";
}

template <typename T>
class OrderSwitchOp final : public MoveOperatorOf<T> {
 public:
  OrderSwitchOp(const caffe2::OperatorDef& definition,
                caffe2::Workspace* workspace)
      : MoveOperatorOf<T>(definition, workspace, /*inputs=*/1),
        channels_last_(MovesChannelsLast(definition.type())) {}

 protected:
  void Compute() override {
    const std::vector<int64_t> x = this->SizesOfX().vec();
    this->Enforce(x.size() >= 3, "tensor '", this->Name(0), "' has sizes ",
                  at::IntArrayRef(x), ", expected 3 dimensions or more: ",
                  channels_last_ ? "[N, C, ...]" : "[N, ..., C]");
    const std::vector<int64_t> y = SwitchedSizes(x, channels_last_);
    const int64_t channels = channels_last_ ? x[1] : x.back();
    const int64_t count = c10::multiply_integers(x);
    this->WriteMoved(y, [&](const void* from, int64_t value_bytes, void* to) {
      const int64_t pixels = count / x[0] / channels;
      const int64_t rows = channels_last_ ? channels : pixels;
      const auto move = [&](auto value) {
        using E = decltype(value);
        Move(static_cast<const E*>(from), x[0], rows, count / x[0] / rows,
             static_cast<E*>(to));
      };
      if (value_bytes == 1) {
        move(uint8_t{});
      } else if (value_bytes == 2) {
        move(uint16_t{});
      } else {
        move(float{});
      }
    });
  }

 private:
  // Transposes `images` matrices, in strips of columns.
  template <typename E>
  static void Move(const E* x, int64_t images, int64_t rows, int64_t columns,
                   E* y) {
    constexpr int64_t kStrip = 256;
    const int64_t strips = (columns + kStrip - 1) / kStrip;
    const int64_t width = std::min(columns, kStrip);
    ForEachItem(images * strips, rows * width * int64_t{sizeof(E)},
                kLeastMovedBytes, [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) {
                    const int64_t image = i / strips * rows * columns;
                    const int64_t first = i % strips * kStrip;
                    kernels::Transpose(x + image + first, rows,
                                       std::min(kStrip, columns - first),
                                       columns, y + image + first * rows, rows);
                  }
                });
  }

  const bool channels_last_;
};

// The output's shape for the schema.
std::vector<caffe2::TensorShape> InferShape(
    const caffe2::OperatorDef& definition,
    const std::vector<caffe2::TensorShape>& in) {
  std::vector<caffe2::TensorShape> out{in[0]};
  SwitchShape(MovesChannelsLast(definition.type()), &out[0]);
  return out;
}

}  // namespace

void RegisterOnednnOrderSwitch(const char* name,
                               const EngineSuffixes& suffixes) {
  RegisterEngine<OrderSwitchOp>(name, suffixes);
  // The host has neither the operators nor schemas of them.
  RegisterNoGradient(name);
  CAFFE2_QUANTIZATION_SCHEMA(name)
      .NumInputs(1)
      .NumOutputs(1)
      .SetDoc(MovesChannelsLast(name)
                  ? "Images with their channels last; engine ONEDNN."
                  : "Images with their channels first; engine ONEDNN.")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Input(0, "X", "Int8TensorCPU, or float tensor")
      .Output(0, "Y", "as X, in the other order")
      .TensorInferenceFunction(InferShape);
}

}  // namespace caffe2_quantization
