// Concat and Int8Concat under the engine ONEDNN.
//
//   X0, X1, … -> Y, split_info
//
//   X0, …       one or more Int8TensorCPU of uint8, each with its own scale and
//               zero point, or float tensors, in any mixture; of one rank, and
//               of one shape but for the size along the axis
//   Y           Int8TensorCPU; a float tensor with dequantize_output. Not an
//               input
//   split_info  int32 tensor: each input's size along the axis, or ones with
//               add_axis. Int8Concat may do without it
//
// Arguments beside those of arguments.h: axis, negative ones from the end, with
// add_axis (0), 1 to join along a new axis; or order (NCHW), which says which
// axis has the channels.
//
// Rounding: kernels/rounded_code.h. An input with the output's parameters is
// copied. Without given parameters the output has those of the range of all
// inputs, which is that of the float operator's output.
//
// DNNLOWP refuses a negative axis and mixed inputs, and takes inputs of more
// dimensions than the first one has, as the host's float operator does.
#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "operators/int8/elementwise/code_table.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "quantization/kernels/byte_table.h"
#include "quantization/kernels/min_max.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kLeastPart = int64_t{1} << 16;

// Codes of one input to codes of the output.
class CodeTable {
 public:
  void Prepare(const QuantizationParams& from, const QuantizationParams& to,
               const kernels::CodeRange& range) {
    const TableKey key = TableKeyOf(from, to, range);
    if (key == key_) return;
    key_ = key;
    changes_ = false;
    for (int code = 0; code < kTableCodes; ++code) {
      const double numerator =
          double{from.scales[0]} * (code - from.zero_points[0]);
      codes_[code] = static_cast<uint8_t>(
          kernels::RoundedCode(numerator / double{to.scales[0]}, range));
      changes_ = changes_ || codes_[code] != code;
    }
  }

  void Apply(const uint8_t* src, int64_t count, uint8_t* dst) const {
    if (changes_) return kernels::LookUpBytes(src, count, codes_, dst);
    std::memcpy(dst, src, count);
  }

 private:
  TableKey key_;
  uint8_t codes_[kTableCodes];
  bool changes_ = false;
};

// An input of a run. A row of the output is a run of values of each input, one
// after the other.
struct Part {
  at::IntArrayRef sizes;
  int64_t axis_size = 0;
  int64_t row_size = 0;            // values in a row of the output
  int64_t row_begin = 0;           // where they begin there
  const uint8_t* codes = nullptr;  // null if the input is floats
  const float* values = nullptr;
  CodeTable table;
};

class ConcatOp final : public Int8Operator<uint8_t> {
 public:
  ConcatOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace,
                     ComputesCodes("Concat", definition.input_size())),
        parts_(definition.input_size()) {}

 protected:
  Status ReadArguments() override {
    const caffe2::ArgumentHelper arguments(debug_def());
    if (arguments.HasArgument("axis") && arguments.HasArgument("order")) {
      return Refuse("arguments axis and order are both there, expected one");
    }
    RETURN_IF_ERROR(ReadIntArgument(debug_def(), "axis", &axis_));
    if (arguments.HasArgument("axis")) {
      int64_t add_axis = 0;
      RETURN_IF_ERROR(ReadIntArgument(debug_def(), "add_axis", &add_axis));
      adds_axis_ = add_axis != 0;
    } else {
      bool channels_first = true;
      RETURN_IF_ERROR(ReadOrderArgument(debug_def(), &channels_first));
      axis_ = channels_first ? 1 : 3;
    }
    return Status::Ok();
  }

  // The inputs tell the range of the output.
  bool NeedsReference() const override {
    return arguments().measure_quantization_error;
  }

  void Compute() override {
    ReadInputs();
    const std::vector<int64_t> sizes = LayOut();
    const int64_t count = c10::multiply_integers(sizes);
    const QuantizationParams& params =
        HasGivenParameters() ? OutputParameters() : ChosenParameters(count);
    const kernels::CodeRange range = CodeRangeOf(params);
    for (int i = 0; i < InputSize(); ++i) {
      if (IsCodes(i)) parts_[i].table.Prepare(Input(i).params, params, range);
    }
    WriteCodes(sizes, params, [&](uint8_t* y) {
      const bool streams = kernels::StreamsOutput(count);
      const auto write = [&](int64_t i, int64_t n, uint8_t* dst) {
        Write(i, n, params.scales[0], range, dst);
      };
      WriteParts(
          count, kLeastPart, streams, [&] { return write; }, y);
    });
    WriteSplitInfo();
  }

 private:
  void ReadInputs() {
    for (int i = 0; i < InputSize(); ++i) {
      Part& part = parts_[i];
      if (IsCodes(i)) {
        const auto& x = Input(i);
        part.sizes = x.sizes;
        part.codes = x.codes;
        part.values = nullptr;
        continue;
      }
      const caffe2::Tensor& x = FloatInput(this, i);
      part.sizes = x.sizes();
      part.codes = nullptr;
      part.values = x.data<float>();
    }
  }

  // Returns the sizes of the output, and sets where each input goes. Enforces
  // that they fit.
  std::vector<int64_t> LayOut() {
    const at::IntArrayRef first = parts_[0].sizes;
    const auto inputs_rank = static_cast<int64_t>(first.size());
    const int64_t rank = inputs_rank + (adds_axis_ ? 1 : 0);
    const int64_t axis = axis_ < 0 ? axis_ + rank : axis_;
    Enforce(axis >= 0 && axis < rank, "axis is ", axis_, ", tensor '", Name(0),
            "' has sizes ", first, ", expected an axis from ", -rank, " to ",
            rank - 1);
    int64_t axis_size = 0;
    row_size_ = 0;
    for (int i = 0; i < InputSize(); ++i) {
      Part& part = parts_[i];
      bool fits = part.sizes.size() == first.size();
      for (int64_t k = 0; k < inputs_rank && fits; ++k) {
        fits = part.sizes[k] == first[k] || (k == axis && !adds_axis_);
      }
      if (!fits) {
        Enforce(false, "tensor '", Name(i), "' has sizes ", part.sizes,
                ", tensor '", Name(0), "' has ", first, ", expected the same",
                adds_axis_ ? "" : c10::str(" but for axis ", axis));
      }
      part.axis_size = adds_axis_ ? 1 : part.sizes[axis];
      Enforce(!__builtin_add_overflow(axis_size, part.axis_size, &axis_size),
              "the output has more than 64 bits count along axis ", axis,
              ", expected a size that an int32 of split_info holds");
      part.row_begin = row_size_;
      part.row_size = c10::multiply_integers(part.sizes.slice(axis));
      row_size_ += part.row_size;
    }
    Enforce(axis_size <= std::numeric_limits<int32_t>::max(), "the output has ",
            axis_size, " along axis ", axis,
            ", expected a size that an int32 of split_info holds");
    std::vector<int64_t> sizes = first.vec();
    if (adds_axis_) {
      sizes.insert(sizes.begin() + axis, axis_size);
    } else {
      sizes[axis] = axis_size;
    }
    return sizes;
  }

  // Chooses as the float operator's output would: a value of a code grows with
  // the code, so that the smallest and the largest tell an input's range.
  const QuantizationParams& ChosenParameters(int64_t count) {
    std::vector<float> extremes;
    const auto add = [&](float min, float max) {
      extremes.insert(extremes.end(), {min, max});
    };
    for (int i = 0; i < InputSize() && count > 0; ++i) {
      const Part& part = parts_[i];
      const int64_t size = c10::multiply_integers(part.sizes);
      if (size == 0) continue;
      if (part.values != nullptr) {
        const auto found = kernels::MinMax(part.values, size);
        Enforce(found.left_out() == 0, "tensor '", Name(i), "' has ",
                found.left_out(), " of ", size,
                " values that are NaN or infinite and no range to choose "
                "parameters of, expected finite values, or Y_scale and "
                "Y_zero_point");
        add(found.min, found.max);
      } else {
        const auto found = kernels::MinMax(part.codes, size);
        const uint8_t codes[2] = {found.min, found.max};
        float values[2];
        DequantizeOneSet(codes, 2, Input(i).params, values);
        add(values[0], values[1]);
      }
    }
    const caffe2::Tensor* y = nullptr;
    caffe2::Tensor range(caffe2::CPU);
    if (!extremes.empty()) {
      range.Resize(static_cast<int64_t>(extremes.size()));
      std::copy(extremes.begin(), extremes.end(), range.mutable_data<float>());
      y = &range;
    }
    EnforceOk(*this,
              ChooseOutputParameters(y, arguments().activations,
                                     arguments().output_is_rectified, &chosen_),
              "output '", debug_def().output(0), "': ");
    return chosen_;
  }

  // Writes codes `begin` to begin + count of the output to dst.
  void Write(int64_t begin, int64_t count, float scale,
             const kernels::CodeRange& range, uint8_t* dst) const {
    int64_t row = begin / row_size_;
    int64_t at = begin % row_size_;
    // The last part that begins there or before it: one that is not empty.
    std::size_t i = parts_.size() - 1;
    while (parts_[i].row_begin > at || parts_[i].row_size == 0) --i;
    while (count > 0) {
      const Part& part = parts_[i];
      const int64_t in_part = at - part.row_begin;
      const int64_t n = std::min(count, part.row_size - in_part);
      const int64_t source = row * part.row_size + in_part;
      if (n > 0 && part.codes != nullptr) {
        part.table.Apply(part.codes + source, n, dst);
      } else if (n > 0) {
        kernels::RoundReals(part.values + source, n, scale, range, dst);
      }
      dst += n;
      at += n;
      count -= n;
      if (++i < parts_.size()) continue;
      i = 0;
      at = 0;
      ++row;
    }
  }

  void WriteSplitInfo() {
    if (OutputSize() < 2) return;
    auto* const sizes =
        Output(1, {InputSize()}, at::dtype<int32_t>())->mutable_data<int32_t>();
    for (int i = 0; i < InputSize(); ++i) {
      sizes[i] = static_cast<int32_t>(parts_[i].axis_size);
    }
  }

  int64_t axis_ = 1;
  bool adds_axis_ = false;
  std::vector<Part> parts_;
  int64_t row_size_ = 0;  // of the output
  QuantizationParams chosen_{{8, false}, 1, 0};
};

}  // namespace

void RegisterOnednnConcat(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<ConcatOp>(name, suffixes);
}

}  // namespace caffe2_quantization
