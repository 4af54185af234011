// BatchPermutation and Int8BatchPermutation under the engine ONEDNN.
//
//   X, indices -> Y
//
//   X         Int8TensorCPU of uint8 of one or more dimensions, with its scale
//             and zero point; or a float tensor
//   indices   int32 tensor [N], as many as X has rows: each is one of them
//   Y         as X: row i is row indices[i] of X. A float tensor with
//             dequantize_output
//
// As in the host's float operator, a row may occur several times, and another
// one not at all. N may be 0. DNNLOWP's operator, which this host does not
// have, does not look at the values of indices.
#include <string>

#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/moves/move_operator.h"
#include "operators/registration.h"
#include "quantization/kernels/move_rows.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

class BatchPermutationOp final : public MoveOperator {
 public:
  BatchPermutationOp(const caffe2::OperatorDef& definition,
                     caffe2::Workspace* workspace)
      : MoveOperator(definition, workspace, /*inputs=*/2) {}

 protected:
  void Compute() override {
    const std::vector<int64_t> sizes = SizesOfX().vec();
    Enforce(!sizes.empty(), "tensor '", Name(0),
            "' is a scalar, expected one or more dimensions");
    const int64_t rows = sizes[0];
    const int32_t* const indices = Indices(rows);
    WriteMoved(sizes, [&](const void* x, int64_t value_bytes, void* y) {
      const int64_t bytes = c10::multiply_integers(sizes) / rows * value_bytes;
      const bool streams = kernels::StreamsOutput(rows * bytes);
      ForEachItem(
          rows, bytes, kLeastMovedBytes, [&](int64_t begin, int64_t end) {
            kernels::MoveRows(x, bytes, indices + begin, end - begin, streams,
                              static_cast<uint8_t*>(y) + begin * bytes);
          });
    });
  }

 private:
  // Enforces that there are `rows` of them, each the number of a row.
  const int32_t* Indices(int64_t rows) {
    Enforce(InputIsTensorType(1, caffe2::CPU), "blob '", Name(1), "' holds a ",
            InputBlob(1).TypeName(), ", expected an int32 tensor");
    const auto& indices = OperatorBase::Input<caffe2::Tensor>(1, caffe2::CPU);
    Enforce(indices.IsType<int32_t>(), "tensor '", Name(1), "' is of type ",
            indices.dtype().name(), ", expected int32");
    Enforce(indices.dim() == 1 && indices.numel() == rows, "tensor '", Name(1),
            "' has sizes ", indices.sizes(), ", expected [", rows,
            "], as many as '", Name(0), "' has rows");
    const auto* const values = indices.data<int32_t>();
    const auto is_row = [rows](int32_t i) { return i >= 0 && i < rows; };
    // The loop that finds none is one of vectors.
    bool all = true;
    for (int64_t i = 0; i < rows; ++i) all &= is_row(values[i]);
    for (int64_t i = 0; !all && i < rows; ++i) {
      Enforce(is_row(values[i]), "tensor '", Name(1), "' has ", values[i],
              " at ", i, ", expected a row of '", Name(0), "', 0 to ",
              rows - 1);
    }
    return values;
  }
};

}  // namespace

void RegisterOnednnBatchPermutation(const char* name,
                                    const EngineSuffixes& suffixes) {
  RegisterEngine<BatchPermutationOp>(name, suffixes);
  if (std::string(name) != "Int8BatchPermutation") return;
  // The host has neither the operator nor a schema of it.
  RegisterNoGradient("Int8BatchPermutation");
  CAFFE2_QUANTIZATION_SCHEMA("Int8BatchPermutation")
      .NumInputs(2)
      .NumOutputs(1)
      .SetDoc("Rows of an int8 tensor in another order; engine ONEDNN.")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Input(0, "X", "Int8TensorCPU, or float tensor")
      .Input(1, "indices", "int32 tensor: the row of X for each row of Y")
      .Output(0, "Y", "as X")
      .IdenticalTypeAndShapeOfInput(0);
}

}  // namespace caffe2_quantization
