// Int8Split under the engine ONEDNN: parts of a tensor along one axis.
//
//   X -> Y0, Y1, …
//
//   X        Int8TensorCPU of uint8, or uint16 (engines ending in _16), with
//            its scale and zero point; or a float tensor
//   Y0, …    as X, which together they are: parts along the axis. Float tensors
//            with dequantize_output. None is X, or another one
//
// Arguments: axis, negative ones from the end, or order (NCHW), which says
// which axis has the channels; split, the sizes of all outputs along the axis.
// Without it these are equal. The float operator's add_axis, and its second
// input, are refused.
#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/moves/move_operator.h"
#include "operators/registration.h"
#include "quantization/kernels/move_rows.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class SplitOp final : public MoveOperatorOf<T> {
 public:
  SplitOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : MoveOperatorOf<T>(definition, workspace, /*inputs=*/1, kManyOutputs) {}

 protected:
  Status ReadArguments() override {
    const caffe2::OperatorDef& definition = this->debug_def();
    const caffe2::ArgumentHelper arguments(definition);
    const bool has_axis = arguments.HasArgument("axis");
    if (has_axis && arguments.HasArgument("order")) {
      return Refuse("arguments axis and order are both there, expected one");
    }
    bool channels_first = true;
    RETURN_IF_ERROR(ReadOrderArgument(definition, &channels_first));
    axis_ = channels_first ? 1 : 3;
    RETURN_IF_ERROR(ReadIntArgument(definition, "axis", &axis_));
    int64_t add_axis = 0;
    RETURN_IF_ERROR(ReadIntArgument(definition, "add_axis", &add_axis));
    if (add_axis != 0) {
      return Refuse("argument add_axis is ", add_axis, ", expected 0");
    }
    split_ = arguments.GetRepeatedArgument<int64_t>("split");
    if (arguments.HasArgument("split") &&
        static_cast<int>(split_.size()) != this->OutputSize()) {
      return Refuse("argument split has ", split_.size(),
                    " integers, expected ", this->OutputSize(),
                    ", one for each output");
    }
    return Status::Ok();
  }

  void Compute() override {
    const at::IntArrayRef sizes = this->SizesOfX();
    const auto rank = static_cast<int64_t>(sizes.size());
    this->Enforce(axis_ >= -rank && axis_ < rank, "axis is ", axis_,
                  ", tensor '", this->Name(0), "' has sizes ", sizes,
                  ", expected an axis from ", -rank, " to ", rank - 1);
    const int64_t axis = axis_ < 0 ? axis_ + rank : axis_;
    const std::vector<int64_t> parts = PartsOf(sizes, axis);
    const int64_t inner = c10::multiply_integers(sizes.slice(axis + 1));
    Lines lines{
        c10::multiply_integers(sizes.slice(0, axis)), sizes[axis] * inner, {0}};
    for (const int64_t part : parts) {
      lines.ends.push_back(lines.ends.back() + part * inner);
    }
    std::vector<std::vector<int64_t>> shapes(parts.size(), sizes.vec());
    for (std::size_t i = 0; i < parts.size(); ++i) shapes[i][axis] = parts[i];
    if (!this->IsCodes(0)) {
      const auto* const x = FloatInput(this, 0).template data<float>();
      return MoveTo(x, lines, FloatOutputs(shapes));
    }
    const InputCodes<T>& x = this->Input(0);
    if (!this->arguments().dequantize_output) {
      return MoveTo(x.codes, lines, CodeOutputs(x, shapes));
    }
    codes_.resize(x.count);
    std::vector<T*> parts_of_codes;
    for (const int64_t begin : lines.ends) {
      parts_of_codes.push_back(codes_.data() + lines.count * begin);
    }
    MoveTo(x.codes, lines, parts_of_codes);
    const std::vector<float*> y = FloatOutputs(shapes);
    for (std::size_t i = 0; i < y.size(); ++i) {
      DequantizeOneSet(parts_of_codes[i],
                       parts_of_codes[i + 1] - parts_of_codes[i], x.params,
                       y[i]);
    }
  }

 private:
  // Each of `count` lines of `size` values is parts, the i-th from ends[i] to
  // ends[i + 1].
  struct Lines {
    int64_t count, size;
    std::vector<int64_t> ends;
  };

  // Returns the outputs' sizes along the axis. Enforces that they add up.
  std::vector<int64_t> PartsOf(at::IntArrayRef sizes, int64_t axis) const {
    const int64_t size = sizes[axis];
    if (split_.empty()) {
      const int outputs = this->OutputSize();
      this->Enforce(size % outputs == 0, "tensor '", this->Name(0),
                    "' has sizes ", sizes, ", ", size, " along axis ", axis,
                    ", expected a multiple of ", outputs,
                    ", the number of outputs, or an argument split");
      return std::vector<int64_t>(outputs, size / outputs);
    }
    int64_t left = size;
    for (const int64_t part : split_) {
      this->Enforce(part >= 0 && part <= left, "argument split has ", part,
                    " where ", left, " of ", size, " are left, tensor '",
                    this->Name(0), "' has sizes ", sizes,
                    ", expected sizes that add up to that of axis ", axis);
      left -= part;
    }
    this->Enforce(left == 0, "argument split leaves ", left, " of ", size,
                  ", tensor '", this->Name(0), "' has sizes ", sizes,
                  ", expected sizes that add up to that of axis ", axis);
    return split_;
  }

  // Outputs are not written as by OutputCodes: there may be many, and no float
  // operator runs.
  std::vector<float*> FloatOutputs(
      const std::vector<std::vector<int64_t>>& shapes) {
    std::vector<float*> outputs;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      outputs.push_back(
          this->Output(static_cast<int>(i), shapes[i], at::dtype<float>())
              ->template mutable_data<float>());
    }
    return outputs;
  }

  std::vector<T*> CodeOutputs(const InputCodes<T>& x,
                              const std::vector<std::vector<int64_t>>& shapes) {
    std::vector<T*> outputs;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      auto* const y = this->Int8Output(static_cast<int>(i));
      y->scale = x.scale();
      y->zero_point = x.zero_point();
      y->t.Resize(shapes[i]);
      outputs.push_back(y->t.template mutable_data<T>());
    }
    return outputs;
  }

  // Moves the parts of x to y[0], y[1], …
  template <typename E>
  void MoveTo(const E* x, const Lines& lines, const std::vector<E*>& y) {
    const std::size_t num_parts = lines.ends.size() - 1;
    const int64_t line_bytes = lines.size * sizeof(E);
    if (lines.count == 0 || line_bytes == 0) return;
    if (lines.count == 1) {
      for (std::size_t k = 0; k < num_parts; ++k) {
        const int64_t begin = lines.ends[k] * sizeof(E);
        const int64_t bytes = lines.ends[k + 1] * sizeof(E) - begin;
        if (bytes == 0) continue;  // there is nothing, and maybe no memory
        ForEachPart(bytes, kLeastMovedBytes, [&](int64_t b, int64_t e) {
          std::memcpy(reinterpret_cast<uint8_t*>(y[k]) + b,
                      reinterpret_cast<const uint8_t*>(x) + begin + b, e - b);
        });
      }
      return;
    }
    // Some lines at a time, which are read from memory once; so many that
    // whole cache lines are written.
    constexpr int64_t kChunk = int64_t{1} << 18;
    const int64_t chunk = (kChunk / line_bytes + 63) / 64 * 64 + 64;
    const bool streams = kernels::StreamsOutput(lines.count * line_bytes);
    const auto move = [&](int64_t begin, int64_t end) {
      for (std::size_t k = 0; k < num_parts; ++k) {
        const int64_t width = lines.ends[k + 1] - lines.ends[k];
        kernels::MoveSpacedRows(x + begin * lines.size + lines.ends[k],
                                width * sizeof(E), line_bytes, end - begin,
                                streams, y[k] + begin * width);
      }
    };
    ForEachItem(lines.count, line_bytes, kLeastMovedBytes,
                [&](int64_t begin, int64_t end) {
                  for (; begin < end; begin += chunk) {
                    move(begin, std::min(begin + chunk, end));
                  }
                });
  }

  int64_t axis_ = 1;
  std::vector<int64_t> split_;
  std::vector<T> codes_;
};

}  // namespace

void RegisterOnednnSplit(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SplitOp>(name, suffixes);
  // The host has neither the operator nor a schema of it.
  RegisterNoGradient("Int8Split");
  CAFFE2_QUANTIZATION_SCHEMA("Int8Split")
      .NumInputs(1)
      .NumOutputs(1, std::numeric_limits<int>::max())
      .SetDoc("Parts of a tensor along one axis; engine ONEDNN.")
      .Arg("axis", "the axis; negative ones count from the end")
      .Arg("order", "NCHW, the default, or NHWC: the axis is that of channels")
      .Arg("split", "the outputs' sizes along the axis; equal by default")
      .Arg("dequantize_output", "1: the outputs are float tensors")
      .Input(0, "X", "Int8TensorCPU, or float tensor")
      .Output(0, "Y0", "as X: its first part")
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>& in) {
        return caffe2::OpSchemaRegistry::Schema("Split")->InferTensor(
            definition, in);
      });
}

}  // namespace caffe2_quantization
