// Gather and Int8Gather under the engine ONEDNN.
//
//   DATA, INDICES -> Y
//
//   DATA     Int8TensorCPU of uint8, of one or more dimensions, with its scale
//            and zero point; or a float tensor
//   INDICES  int32 or int64 tensor of any shape
//   Y        Int8TensorCPU of DATA's sizes before the axis, the sizes of
//            INDICES, and DATA's sizes after the axis: of the rows of DATA that
//            INDICES says, with DATA's scale and zero point. A float tensor
//            with dequantize_output. Not an input
//
// Arguments, which are those of the host's float operator: axis (0), negative
// ones from the end; wrap_indices, 1 to count negative indices from the end,
// which is the default if axis is 0, and else 0; match_outer (0), 1 if INDICES
// has DATA's sizes before the axis too, and so indices of its own for each of
// them. If DATA has no rows, Y has DATA's sizes whatever INDICES says.
//
// Of floats, Y has the given parameters, or those of the range of the rows that
// are gathered; codes are rounded as kernels/rounded_code.h says. With
// dequantize_output floats stay what they are. Arguments of parameters have no
// effect if DATA is codes.
//
// DNNLOWP reads none of the three arguments if DATA is codes: it gathers along
// axis 0, refuses negative indices, and ignores dequantize_output.
#include <algorithm>
#include <vector>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/registration.h"
#include "quantization/kernels/min_max.h"
#include "quantization/kernels/move_rows.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kLeastPart = int64_t{1} << 16;

class GatherOp final : public Int8Operator<uint8_t> {
 public:
  GatherOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace, ComputesCodes("Gather", 2)) {}

 protected:
  Status ReadArguments() override {
    RETURN_IF_ERROR(ReadIntArgument(debug_def(), "axis", &axis_));
    wraps_ = axis_ == 0;
    RETURN_IF_ERROR(ReadBoolArgument(debug_def(), "wrap_indices", &wraps_));
    return ReadBoolArgument(debug_def(), "match_outer", &match_outer_);
  }

  // Codes keep their parameters.
  bool NeedsReference() const override {
    return arguments().measure_quantization_error;
  }

  void Compute() override {
    const bool is_codes = IsCodes(0);
    const at::IntArrayRef data =
        is_codes ? Input(0).sizes : FloatInput(this, 0).sizes();
    const caffe2::Tensor& indices = Indices();
    const std::vector<int64_t> sizes = LayOut(data, indices.sizes());
    if (indices.IsType<int32_t>()) {
      Gather<int32_t>(is_codes, indices, sizes);
    } else {
      Gather<int64_t>(is_codes, indices, sizes);
    }
  }

 private:
  const caffe2::Tensor& Indices() {
    Enforce(InputIsTensorType(1, caffe2::CPU), "blob '", Name(1), "' holds a ",
            InputBlob(1).TypeName(), ", expected an int32 or int64 tensor");
    const auto& indices = OperatorBase::Input<caffe2::Tensor>(1, caffe2::CPU);
    Enforce(indices.IsType<int32_t>() || indices.IsType<int64_t>(), "tensor '",
            Name(1), "' is of type ", indices.dtype().name(),
            ", expected int32 or int64");
    return indices;
  }

  // Returns the sizes of the output, and sets what is moved. Enforces that the
  // sizes fit.
  std::vector<int64_t> LayOut(at::IntArrayRef data, at::IntArrayRef indices) {
    const auto rank = static_cast<int64_t>(data.size());
    const int64_t axis = axis_ < 0 ? axis_ + rank : axis_;
    Enforce(axis >= 0 && axis < rank, "axis is ", axis_, ", tensor '", Name(0),
            "' has sizes ", data, ", expected an axis from ", -rank, " to ",
            rank - 1);
    data_rows_ = data[axis];
    if (data_rows_ == 0) {
      rows_ = 0;
      return data.vec();
    }
    if (match_outer_) {
      Enforce(axis >= 1, "match_outer is 1 and axis is ", axis_,
              ", expected an axis after the first one");
      Enforce(static_cast<int64_t>(indices.size()) >= axis &&
                  indices.slice(0, axis) == data.slice(0, axis),
              "tensor '", Name(1), "' has sizes ", indices,
              ", expected sizes that begin with ", data.slice(0, axis),
              ", as those of tensor '", Name(0), "' do: match_outer is 1");
      indices = indices.slice(axis);
    }
    outer_ = c10::multiply_integers(data.slice(0, axis));
    row_size_ = c10::multiply_integers(data.slice(axis + 1));
    rows_ = c10::multiply_integers(indices);
    std::vector<int64_t> sizes = data.slice(0, axis).vec();
    sizes.insert(sizes.end(), indices.begin(), indices.end());
    sizes.insert(sizes.end(), data.begin() + axis + 1, data.end());
    return sizes;
  }

  template <typename Index>
  void Gather(bool is_codes, const caffe2::Tensor& indices,
              const std::vector<int64_t>& sizes) {
    const int64_t count = c10::multiply_integers(sizes);
    const Index* rows = nullptr;
    std::vector<Index> wrapped;
    if (count > 0) {
      rows = indices.data<Index>();
      const auto found = kernels::MinMax(rows, indices.numel());
      CheckBounds(rows, indices.numel(), found.min, found.max);
      if (found.min < 0) {
        wrapped.assign(rows, rows + indices.numel());
        for (Index& row : wrapped) {
          if (row < 0) row += static_cast<Index>(data_rows_);
        }
        rows = wrapped.data();
      }
    }
    if (is_codes) {
      const auto& x = Input(0);
      return WriteCodes(sizes, x.params, [&](uint8_t* y) {
        if (count > 0) Move(x.codes, rows, count, y);
      });
    }
    if (arguments().dequantize_output) {
      float* const y = OutputFloats(sizes);
      if (count > 0) Move(FloatInput(this, 0).data<float>(), rows, count, y);
      return;
    }
    // What the float operator reads has been checked; with match_outer it looks
    // only at the first of the outer indices itself.
    WriteCodesOfReference(sizes);
  }

  template <typename Index>
  void CheckBounds(const Index* rows, int64_t count, int64_t min, int64_t max) {
    const int64_t least = wraps_ ? -data_rows_ : 0;
    if (min >= least && max < data_rows_) return;
    const auto* const wrong = std::find_if(
        rows, rows + count,
        [&](int64_t row) { return row < least || row >= data_rows_; });
    Enforce(false, "tensor '", Name(1), "' has the index ", *wrong,
            " as its value ", wrong - rows, ", expected ", least, " to ",
            data_rows_ - 1, ", a row of tensor '", Name(0), "' along axis ",
            axis_);
  }

  template <typename T, typename Index>
  void Move(const T* x, const Index* rows, int64_t count, T* y) {
    const int64_t row_bytes = row_size_ * static_cast<int64_t>(sizeof(T));
    const bool streams = kernels::StreamsOutput(count * sizeof(T));
    const int64_t least = std::max<int64_t>(1, kLeastPart / row_bytes);
    ForEachPart(outer_ * rows_, least, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t outer = begin / rows_, first = begin % rows_;
        const int64_t n = std::min(end - begin, rows_ - first);
        kernels::MoveRows(x + outer * data_rows_ * row_size_, row_bytes,
                          rows + (match_outer_ ? outer * rows_ : 0) + first, n,
                          streams, y + begin * row_size_);
        begin += n;
      }
    });
  }

  int64_t axis_ = 0;
  bool wraps_ = true, match_outer_ = false;
  // For each of outer_ blocks of data_rows_ rows, rows_ are gathered.
  int64_t outer_ = 0, data_rows_ = 0, row_size_ = 0, rows_ = 0;
};

}  // namespace

void RegisterOnednnGather(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<GatherOp>(name, suffixes);
  if (std::string(name) != "Int8Gather") return;
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8Gather");
  CAFFE2_QUANTIZATION_SCHEMA("Int8Gather")
      .NumInputs(2)
      .NumOutputs(1)
      .SetDoc("Rows of an int8 tensor; engines DNNLOWP and ONEDNN.")
      .Input(0, "DATA", "Int8TensorCPU or float tensor")
      .Input(1, "INDICES", "int32 or int64 tensor")
      .Output(0, "Y", "the rows of DATA that INDICES says")
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>& in) {
        return caffe2::OpSchemaRegistry::Schema("Gather")->InferTensor(
            definition, in);
      });
}

}  // namespace caffe2_quantization
