// BatchMatMul and Int8BatchMatMul under the engine ONEDNN: products of matrices
// of integer codes, whose sums are exact for every K up to 2^31 - 1.
//
//   A, B -> Y
//
//   A, B    Int8TensorCPU of uint8, or uint16 (engines ending in _16); or float
//           tensors, which become codes by their smallest and largest value in
//           every run. [..., M, K] and [..., K, N]; with trans_a [..., K, M],
//           with trans_b [..., N, K]
//   Y       [..., M, N]: Int8TensorCPU of the same type, or with
//           dequantize_output a float tensor
//
// The equations are in stage.h, with B in the place of the weights and no bias.
// Shapes are as the host's BatchMatMul has them: the dimensions before the last
// two are the same, or with `broadcast` those of one operand end with the
// other's; a vector stands for [1, K] as A, for [K, 1] as B, and its dimension
// is left out of Y.
//
// constant_B (default 0; 8 bits alone): B is read in the first run, and again
// if another tensor is in its place (weight_watch.h). A B of floats is
// quantized by the arguments for weights (netdef/dnnlowp_settings.h), with one
// parameter set per matrix. All operators of the process with the same B share
// its codes. Values that change in place are not noticed, unless the host's
// float operator runs beside it: then B is read in every run.
//
// Parameters of Y come from the arguments (arguments.h); else they are chosen
// in every run, from the range of the host's float operator's output for the
// same inputs.
//
// What differs from DNNLOWP, beside errors for what it silently accepts:
//   - scales that change from run to run apply to their run (with constant_B
//     DNNLOWP keeps those of the first run);
//   - floats are made from the sums themselves; without constant_B DNNLOWP
//     makes codes of the sums, and floats of the codes;
//   - codes of Y stay within activation_precision;
//   - products of 16-bit codes are added in 64 bits.
#include <algorithm>
#include <exception>
#include <limits>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/products/batch_matmul_shape.h"
#include "operators/int8/products/stage.h"
#include "operators/int8/products/weight_watch.h"
#include "operators/int8/products/weights.h"
#include "operators/registration.h"
#include "quantization/onednn/parallel.h"
#include "quantization/onednn/thread_share.h"

namespace caffe2_quantization {
namespace {

constexpr int kA = 0, kB = 1, kParams = 2;

// body(i), which gives a Status, for each i from 0 to count - 1: each on one
// thread, or where there are fewer of them than threads, one after the other
// with all threads.
template <typename Body>
Status ForEach(int64_t count, const Body& body) {
  // An exception must not leave the threads.
  const auto guarded = [&](int64_t i) -> Status {
    try {
      return body(i);
    } catch (const std::exception& error) {
      return Status::OutOfRange(error.what());
    }
  };
  {
    const onednn::ThreadShare share;
    if (share.count() > 1 && count >= share.count()) {
      return onednn::ParallelFor(count, share.count(), guarded);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(guarded(i));
  }
  return Status::Ok();
}

template <typename T>
class BatchMatMulOp final : public Int8Operator<T> {
 public:
  BatchMatMulOp(const caffe2::OperatorDef& definition,
                caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace,
                        {"BatchMatMul", /*float_inputs=*/2, kParams}) {}

 protected:
  Status ReadArguments() override {
    const caffe2::OperatorDef& definition = this->debug_def();
    return FirstError(
        {ReadBoolArgument(definition, "trans_a", &trans_a_),
         ReadBoolArgument(definition, "trans_b", &trans_b_),
         ReadBoolArgument(definition, "broadcast", &broadcast_),
         ReadBoolArgument(definition, "constant_B", &constant_b_)});
  }

  void Compute() override {
    const InputCodes<T>& a = this->Input(kA);
    const WeightValues b = WeightInput(this, kB, "");
    BatchMatMulShape shape;
    EnforceOk(*this,
              MakeBatchMatMulShape(a.sizes.vec(), b.tensor().sizes().vec(),
                                   trans_a_, trans_b_, broadcast_, &shape));
    const bool is_empty = shape.batches * shape.m * shape.n == 0;
    const bool needs_reference = !is_empty && this->NeedsReference();
    // The host's float operator writes past its output for a vector B with a
    // transposed A; as a matrix it takes it.
    b_is_column_ = needs_reference && trans_a_ && b.tensor().dim() == 1 &&
                   a.sizes.size() > 1;
    if (b_is_column_) {
      b_column_.t = b.tensor().Clone();
      b_column_.t.Reshape(std::vector<int64_t>{shape.k, 1});
      if (b.codes != nullptr) {
        b_column_.scale = b.codes->scale;
        b_column_.zero_point = b.codes->zero_point;
      }
    }
    if (!is_empty) {
      if (constant_b_ && sizeof(T) == 1) {
        b_watch_.Update({&this->InputBlob(kB)}, needs_reference,
                        [&] { ReadConstantB(b, shape); });
      } else {
        ReadB(shape);
      }
    }
    this->RunReference(is_empty);
    this->WriteEither(
        shape.y, [&](const QuantizationParams* y) { SetStages(a, y); },
        [&](auto* y) { return MultiplyAll(shape, a.codes, y); });
  }

  void SetReferenceInput(int index, FloatReference* reference) override {
    if (index != kB || !b_is_column_) {
      Int8Operator<T>::SetReferenceInput(index, reference);
    } else if (this->IsCodes(kB)) {
      reference->SetInput(kB, b_column_);
    } else {
      reference->SetInput(kB, b_column_.t);
    }
  }

 private:
  using WeightCode = std::make_signed_t<T>;
  // Those of a B, each with one parameter set.
  using Matrices = std::vector<MatrixWeights<WeightCode>>;

  void ReadB(const BatchMatMulShape& shape) {
    // Codes are moved down by half their range, and the zero point with them.
    constexpr int32_t kMiddle = std::numeric_limits<T>::max() / 2 + 1;
    const InputCodes<T>& b = this->Input(kB);
    QuantizedWeights<WeightCode> quantized;
    quantized.scales = {b.scale()};
    quantized.zero_points = {b.zero_point() - kMiddle};
    quantized.codes.resize(b.count);
    std::transform(
        b.codes, b.codes + b.count, quantized.codes.data(),
        [](int32_t code) { return static_cast<WeightCode>(code - kMiddle); });
    auto matrices = std::make_shared<Matrices>();
    EnforceOk(*this, MakeMatrices(quantized, shape, matrices.get()), "blob '",
              this->Name(kB), "': ");
    matrices_ = std::move(matrices);
  }

  void ReadConstantB(const WeightValues& b, const BatchMatMulShape& shape) {
    const auto make = [&](const QuantizedWeights<WeightCode>& quantized,
                          Matrices* made) {
      return MakeMatrices(quantized, shape, made);
    };
    EnforceOk(
        *this,
        MakeWeights<WeightCode>(b, shape.b_batches, shape.b_batches,
                                this->arguments().weights, /*share=*/true,
                                {shape.k, shape.n, trans_b_}, make, &matrices_),
        "blob '", this->Name(kB), "': ");
  }

  // quantized: one parameter set, or one per matrix.
  Status MakeMatrices(const QuantizedWeights<WeightCode>& quantized,
                      const BatchMatMulShape& shape, Matrices* matrices) const {
    matrices->resize(shape.b_batches);
    return ForEach(shape.b_batches, [&](int64_t i) {
      using Order = onednn::PackedMatrix::Order;
      MatrixWeights<WeightCode>& matrix = (*matrices)[i];
      const int64_t set = quantized.scales.size() == 1 ? 0 : i;
      matrix.n = shape.n;
      matrix.k = shape.k;
      matrix.quantized.scales = {quantized.scales[set]};
      matrix.quantized.zero_points = {quantized.zero_points[set]};
      return PackMatrix(quantized.codes.data() + i * shape.k * shape.n,
                        trans_b_ ? Order::kRowsOfN : Order::kRowsOfK,
                        /*keep_codes=*/false, &matrix);
    });
  }

  void SetStages(const InputCodes<T>& a, const QuantizationParams* y) {
    stages_.resize(matrices_->size());
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      const ProductStage::Weights weights = ProductStage::Of((*matrices_)[i]);
      EnforceOk(*this,
                y == nullptr
                    ? stages_[i].SetFloats(weights, a.scale(), a.zero_point(),
                                           nullptr, /*relu=*/false)
                    : stages_[i].SetCodes(weights, a.scale(), a.zero_point(),
                                          nullptr, *y, /*relu=*/false),
                "blob '", this->Name(kA), "': ");
    }
  }

  template <typename Y>
  Status MultiplyAll(const BatchMatMulShape& shape, const T* a, Y* y) const {
    const int64_t m = shape.m, k = shape.k;
    return ForEach(shape.batches, [&](int64_t i) -> Status {
      const T* rows = a + i % shape.a_batches * m * k;
      thread_local std::vector<T> transposed;
      if (trans_a_) {
        transposed.resize(m * k);
        Transpose(rows, k, m, transposed.data());
        rows = transposed.data();
      }
      const int64_t matrix = i % shape.b_batches;
      return Multiply(stages_[matrix], (*matrices_)[matrix], rows, m,
                      y + i * m * shape.n);
    });
  }

  bool trans_a_ = false, trans_b_ = false;
  bool broadcast_ = false;
  bool constant_b_ = false;

  WeightWatch b_watch_;  // of a constant B
  std::shared_ptr<const Matrices> matrices_;
  std::vector<ProductStage> stages_;  // one per matrix of B
  // Whether the float operator gets B as a column in this run, and that.
  bool b_is_column_ = false;
  caffe2::int8::Int8TensorCPU b_column_;
};

}  // namespace

void RegisterOnednnBatchMatMul(const char* name,
                               const EngineSuffixes& suffixes) {
  RegisterEngine<BatchMatMulOp>(name, suffixes);
  if (std::string(name) != "Int8BatchMatMul") return;
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8BatchMatMul");
  CAFFE2_QUANTIZATION_SCHEMA("Int8BatchMatMul")
      .NumInputs(2)
      .NumOutputs(1)
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>& in) {
        return caffe2::OpSchemaRegistry::Schema("BatchMatMul")
            ->InferTensor(definition, in);
      })
      .SetDoc("Products of matrices of codes; engines DNNLOWP and ONEDNN.")
      .Arg("trans_a", "1: A is [..., K, M] (default 0)")
      .Arg("trans_b", "1: B is [..., N, K] (default 0)")
      .Arg("broadcast", "1: one operand may have fewer dimensions (default 0)")
      .Arg("constant_B", "1: B does not change from run to run (default 0)")
      .Arg("dequantize_output", "1: Y is a float tensor (default 0)")
      .Arg("Y_scale", "scale of Y; default: by what it holds in each run")
      .Arg("Y_zero_point", "zero point of Y")
      .Input(0, "A", "Int8TensorCPU or float tensor [..., M, K]")
      .Input(1, "B", "Int8TensorCPU or float tensor [..., K, N]")
      .Output(0, "Y", "Int8TensorCPU [..., M, N]");
}

}  // namespace caffe2_quantization
