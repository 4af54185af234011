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
    Lines lines{c10::multiply_integers(sizes.slice(0, axis)),
                sizes[axis] * inner, 0, 0};
    std::vector<int64_t> shape = sizes.vec();
    for (int i = 0; i < this->OutputSize(); ++i) {
      shape[axis] = parts[i];
      lines.begin = lines.end;
      lines.end += parts[i] * inner;
      WritePart(i, shape, lines);
    }
  }

 private:
  // Values `begin` to `end` of each of `count` lines of `size` values.
  struct Lines {
    int64_t count, size, begin, end;
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
  void WritePart(int i, const std::vector<int64_t>& shape, const Lines& lines) {
    const auto floats = [&] {
      return this->Output(i, shape, at::dtype<float>())
          ->template mutable_data<float>();
    };
    if (!this->IsCodes(0)) {
      const auto* const x = FloatInput(this, 0).template data<float>();
      return Move(x, lines, floats());
    }
    const InputCodes<T>& x = this->Input(0);
    if (this->arguments().dequantize_output) {
      codes_.resize(c10::multiply_integers(shape));
      Move(x.codes, lines, codes_.data());
      return DequantizeOneSet(codes_.data(), codes_.size(), x.params, floats());
    }
    auto* const y = this->Int8Output(i);
    y->scale = x.scale();
    y->zero_point = x.zero_point();
    y->t.Resize(shape);
    Move(x.codes, lines, y->t.template mutable_data<T>());
  }

  template <typename E>
  void Move(const E* x, const Lines& lines, E* y) {
    const int64_t width = lines.end - lines.begin;
    const int64_t bytes = width * sizeof(E);
    if (lines.count == 0 || width == 0) return;
    x += lines.begin;
    if (lines.count == 1) {
      return ForEachPart(bytes, kLeastMovedBytes, [&](int64_t b, int64_t e) {
        std::memcpy(reinterpret_cast<uint8_t*>(y) + b,
                    reinterpret_cast<const uint8_t*>(x) + b, e - b);
      });
    }
    // Equal parts are rows, from this part's first one on.
    const bool are_rows = lines.size % width == 0;
    rows_.resize(are_rows ? lines.count : 0);
    for (std::size_t k = 0; k < rows_.size(); ++k) {
      rows_[k] = static_cast<int64_t>(k) * (lines.size / width);
    }
    const bool streams = kernels::StreamsOutput(lines.count * bytes);
    ForEachItem(lines.count, bytes, kLeastMovedBytes,
                [&](int64_t b, int64_t e) {
                  if (are_rows) {
                    return kernels::MoveRows(x, bytes, rows_.data() + b, e - b,
                                             streams, y + b * width);
                  }
                  for (int64_t k = b; k < e; ++k) {
                    std::memcpy(y + k * width, x + k * lines.size, bytes);
                  }
                });
  }

  int64_t axis_ = 1;
  std::vector<int64_t> split_;
  std::vector<int64_t> rows_;
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
