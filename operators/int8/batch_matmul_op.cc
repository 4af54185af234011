#include "operators/int8/batch_matmul_op.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "base/process.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/shared_weights.h"
#include "operators/registration.h"
#include "quantization/onednn/parallel.h"
#include "quantization/onednn/thread_share.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

constexpr int kA = 0, kB = 1, kParams = 2;

template <typename T>
SharedWeights<BatchMatrices<T>>& TheSharedMatrices() {
  static PerProcess<SharedWeights<BatchMatrices<T>>> matrices;
  return matrices.Get();
}

// dst[j][i] = src[i][j], of a src of [rows, columns]; in tiles, so that what is
// read and what is written both stay in the cache.
template <typename T>
void Transpose(const T* src, int64_t rows, int64_t columns, T* dst) {
  constexpr int64_t kTile = 32;
  for (int64_t i0 = 0; i0 < rows; i0 += kTile) {
    const int64_t i_end = std::min(i0 + kTile, rows);
    for (int64_t j0 = 0; j0 < columns; j0 += kTile) {
      const int64_t j_end = std::min(j0 + kTile, columns);
      for (int64_t j = j0; j < j_end; ++j) {
        for (int64_t i = i0; i < i_end; ++i) {
          dst[j * rows + i] = src[i * columns + j];
        }
      }
    }
  }
}

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
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(guarded(i));
  }
  return Status::Ok();
}

std::string Text(const std::vector<int64_t>& shape) {
  return c10::str(c10::ArrayRef<int64_t>(shape));
}

int64_t Product(const int64_t* begin, const int64_t* end) {
  return std::accumulate(begin, end, int64_t{1}, std::multiplies<int64_t>());
}

}  // namespace

Status MakeBatchMatMulShape(const std::vector<int64_t>& a,
                            const std::vector<int64_t>& b, bool trans_a,
                            bool trans_b, bool broadcast,
                            BatchMatMulShape* shape) {
  const auto refuse = [&](const std::string& expected) {
    return Status::InvalidArgument(
        "A has the shape " + Text(a) + ", B " + Text(b) + " (trans_a " +
        std::to_string(trans_a) + ", trans_b " + std::to_string(trans_b) +
        ", broadcast " + std::to_string(broadcast) + "), expected " + expected);
  };
  if (!broadcast && (a.size() != b.size() || a.size() < 2)) {
    return refuse("as many dimensions of both, 2 or more, without broadcast");
  }
  if (a.empty() || b.empty()) return refuse("1 or more dimensions of both");
  const bool a_is_vector = a.size() == 1, b_is_vector = b.size() == 1;
  if (a_is_vector != b_is_vector &&
      ((a_is_vector && trans_a) || (b_is_vector && trans_b))) {
    return refuse("no transposition of a vector");
  }

  BatchMatMulShape result;
  std::vector<int64_t> a_matrix = a, b_matrix = b;
  if (a_is_vector) a_matrix = {1, a[0]};
  if (b_is_vector) b_matrix = {b[0], 1};
  const bool both_are_vectors = a_is_vector && b_is_vector;
  if (trans_a && !both_are_vectors) {
    std::swap(a_matrix.end()[-1], a_matrix.end()[-2]);
  }
  if (trans_b && !both_are_vectors) {
    std::swap(b_matrix.end()[-1], b_matrix.end()[-2]);
  }
  result.m = a_matrix.end()[-2];
  result.k = a_matrix.end()[-1];
  result.n = b_matrix.end()[-1];
  if (b_matrix.end()[-2] != result.k) {
    return refuse("the same K, which is " + std::to_string(result.k) +
                  " of A and " + std::to_string(b_matrix.end()[-2]) + " of B");
  }
  const std::size_t a_outer = a_matrix.size() - 2;
  const std::size_t b_outer = b_matrix.size() - 2;
  for (std::size_t i = 1; i <= std::min(a_outer, b_outer); ++i) {
    const int64_t a_size = a_matrix[a_outer - i];
    const int64_t b_size = b_matrix[b_outer - i];
    if (a_size != b_size) {
      return refuse("the same dimensions before the matrices, where A has " +
                    std::to_string(a_size) + " and B " +
                    std::to_string(b_size));
    }
  }
  result.a_batches = Product(a_matrix.data(), a_matrix.data() + a_outer);
  result.b_batches = Product(b_matrix.data(), b_matrix.data() + b_outer);
  const auto& longer = a_outer >= b_outer ? a_matrix : b_matrix;
  result.y.assign(longer.begin(), longer.end() - 2);
  result.batches = Product(result.y.data(), result.y.data() + result.y.size());
  if (!a_is_vector) result.y.push_back(result.m);
  if (!b_is_vector) result.y.push_back(result.n);
  if (both_are_vectors) result.y = {1};
  if (result.k == 0 && result.batches * result.m * result.n > 0) {
    return refuse("a K of 1 or more");
  }
  // One B for all of A: one product of more rows.
  if (result.b_batches == 1 && !trans_a) {
    result.m *= result.batches;
    result.a_batches = result.batches = 1;
  }
  *shape = std::move(result);
  return Status::Ok();
}

template <typename T>
BatchMatMulOp<T>::BatchMatMulOp(const caffe2::OperatorDef& definition,
                                caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      output_(this, "BatchMatMul", /*num_inputs=*/2) {}

template <typename T>
void BatchMatMulOp<T>::ReadArguments() {
  if (arguments_read_) return;
  const auto read = [&]() -> Status {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadInt8Arguments(
        debug_def(), 8 * sizeof(T), /*relu_fused=*/false, &arguments_));
    const std::pair<const char*, bool*> flags[] = {
        {"trans_a", &trans_a_},
        {"trans_b", &trans_b_},
        {"broadcast", &broadcast_},
        {"constant_B", &constant_b_}};
    for (const auto& [name, value] : flags) {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          ReadBoolArgument(debug_def(), name, value));
    }
    return Status::Ok();
  };
  const Status status = read();
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  arguments_read_ = true;
}

template <typename T>
const caffe2::Tensor& BatchMatMulOp<T>::BTensor() {
  return this->template InputIsType<Int8TensorCPU>(kB)
             ? OperatorBase::Input<Int8TensorCPU>(kB).t
             : FloatInput(this, kB);
}

template <typename T>
Status BatchMatMulOp<T>::MakeMatrices(
    QuantizedWeights<WeightCode> quantized, const BatchMatMulShape& shape,
    std::shared_ptr<const Matrices>* matrices) const {
  const int64_t n = shape.n, k = shape.k;
  auto result = std::make_shared<Matrices>();
  result->quantized = std::move(quantized);
  std::vector<WeightCode>& codes = result->quantized.codes;
  result->column_sums.resize(shape.b_batches * n);
  int64_t* const sums = result->column_sums.data();
  if constexpr (sizeof(T) == 1) {
    result->packed.resize(shape.b_batches);
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ForEach(shape.b_batches, [&](int64_t i) -> Status {
          using Order = onednn::PackedMatrix::Order;
          CAFFE2_QUANTIZATION_RETURN_IF_ERROR(onednn::PackedMatrix::Pack(
              codes.data() + i * k * n, k, n,
              trans_b_ ? Order::kRowsOfN : Order::kRowsOfK,
              &result->packed[i]));
          std::copy_n(result->packed[i]->column_sums().data(), n, sums + i * n);
          return Status::Ok();
        }));
    std::vector<WeightCode>().swap(codes);
  } else {
    if (!trans_b_) {
      std::vector<WeightCode> transposed(codes.size());
      for (int64_t i = 0; i < shape.b_batches; ++i) {
        Transpose(codes.data() + i * k * n, k, n,
                  transposed.data() + i * k * n);
      }
      codes = std::move(transposed);
    }
    for (int64_t row = 0; row < shape.b_batches * n; ++row) {
      const auto* const first = codes.data() + row * k;
      sums[row] = std::accumulate(first, first + k, int64_t{0});
    }
  }
  *matrices = std::move(result);
  return Status::Ok();
}

template <typename T>
void BatchMatMulOp<T>::ReadB(const BatchMatMulShape& shape) {
  // Codes are moved down by half their range, and the zero point with them.
  constexpr int32_t kMiddle = std::numeric_limits<T>::max() / 2 + 1;
  const InputCodes<T> b = b_.Get(this, kB, arguments_.activations);
  QuantizedWeights<WeightCode> quantized;
  quantized.scales = {b.scale};
  quantized.zero_points = {b.zero_point - kMiddle};
  quantized.codes.resize(b.tensor->numel());
  std::transform(
      b.codes, b.codes + b.tensor->numel(), quantized.codes.data(),
      [](int32_t code) { return static_cast<WeightCode>(code - kMiddle); });
  const Status status = MakeMatrices(std::move(quantized), shape, &matrices_);
  CAFFE_ENFORCE(status.ok(), type(), ": blob '", debug_def().input(kB),
                "': ", status.message());
}

template <typename T>
void BatchMatMulOp<T>::ReadConstantB(const BatchMatMulShape& shape) {
  const caffe2::Tensor& tensor = BTensor();
  const auto* const codes = this->template InputIsType<Int8TensorCPU>(kB)
                                ? &OperatorBase::Input<Int8TensorCPU>(kB)
                                : nullptr;
  const auto make = [&](std::shared_ptr<const Matrices>* result) -> Status {
    QuantizedWeights<WeightCode> quantized;
    if (codes != nullptr) {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          WeightsFromInt8Tensor(*codes, arguments_.weights, &quantized));
    } else {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(QuantizeWeights(
          tensor.template data<float>(), shape.b_batches, shape.k * shape.n,
          shape.b_batches, arguments_.weights, &quantized));
    }
    return MakeMatrices(std::move(quantized), shape, result);
  };
  WeightsKey key;
  for (const int64_t number : {shape.b_batches, shape.k, shape.n,
                               int64_t{trans_b_}, int64_t{codes != nullptr}}) {
    key.Add(number);
  }
  key.Add(arguments_.weights);
  if (codes != nullptr) {
    key.Add(static_cast<double>(codes->scale));
    key.Add(static_cast<int64_t>(codes->zero_point));
    key.Add(static_cast<int64_t>(tensor.itemsize()));
  }
  key.Add(tensor.raw_data(), tensor.nbytes());
  std::shared_ptr<const Matrices> matrices;
  const Status status =
      TheSharedMatrices<WeightCode>().GetOrMake(key, make, &matrices);
  CAFFE_ENFORCE(status.ok(), type(), ": blob '", debug_def().input(kB),
                "': ", status.message());
  matrices_ = std::move(matrices);
}

template <typename T>
void BatchMatMulOp<T>::SetStages(const BatchMatMulShape& shape,
                                 const InputCodes<T>& a,
                                 const QuantizationParams* y) {
  stages_.resize(shape.b_batches);
  const QuantizedWeights<WeightCode>& quantized = matrices_->quantized;
  const bool one_set = quantized.scales.size() == 1;
  for (int64_t i = 0; i < shape.b_batches; ++i) {
    const int64_t set = one_set ? 0 : i;
    const std::vector<float> scales{quantized.scales[set]};
    const std::vector<int32_t> zero_points{quantized.zero_points[set]};
    const ProductStage::Weights weights{
        shape.n, shape.k, &scales, &zero_points,
        matrices_->column_sums.data() + i * shape.n};
    const Status status =
        y == nullptr ? stages_[i].SetFloats(weights, a.scale, a.zero_point,
                                            nullptr, /*relu=*/false)
                     : stages_[i].SetCodes(weights, a.scale, a.zero_point,
                                           nullptr, *y, /*relu=*/false);
    CAFFE_ENFORCE(status.ok(), type(), ": blob '", debug_def().input(kA),
                  "': ", status.message());
  }
}

template <typename T>
template <typename Y>
Status BatchMatMulOp<T>::Multiply(const BatchMatMulShape& shape, const T* a,
                                  Y* y) const {
  const int64_t m = shape.m, n = shape.n, k = shape.k;
  return ForEach(shape.batches, [&](int64_t i) -> Status {
    const T* rows = a + i % shape.a_batches * m * k;
    thread_local std::vector<T> transposed;
    if (trans_a_) {
      transposed.resize(m * k);
      Transpose(rows, k, m, transposed.data());
      rows = transposed.data();
    }
    const int64_t matrix = i % shape.b_batches;
    const ProductStage& stage = stages_[matrix];
    Y* const dst = y + i * m * n;
    if constexpr (sizeof(T) == 1) {
      const onednn::PackedMatrix& packed = *matrices_->packed[matrix];
      if constexpr (std::is_same_v<Y, float>) {
        return onednn::MultiplyToFloats(packed, rows, m, stage.kernel_stage(),
                                        dst);
      } else {
        return onednn::MultiplyToCodes(packed, rows, m, stage.kernel_stage(),
                                       dst);
      }
    } else {
      const WeightCode* const codes =
          matrices_->quantized.codes.data() + matrix * k * n;
      if constexpr (std::is_same_v<Y, float>) {
        stage.ToFloats(rows, codes, m, dst);
      } else {
        stage.ToCodes(rows, codes, m, dst);
      }
      return Status::Ok();
    }
  });
}

template <typename T>
bool BatchMatMulOp<T>::RunOnDevice() {
  ReadArguments();
  output_.Begin();
  const InputCodes<T> a = a_.Get(this, kA, arguments_.activations);
  BatchMatMulShape shape;
  Status status =
      MakeBatchMatMulShape(a.tensor->sizes().vec(), BTensor().sizes().vec(),
                           trans_a_, trans_b_, broadcast_, &shape);
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  // The host's float operator writes past its output for a vector B with a
  // transposed A; as a matrix it takes it.
  if (trans_a_ && BTensor().dim() == 1 && a.tensor->dim() > 1) {
    output_.SetReferenceShape(kB, {shape.k, 1});
  }
  const bool is_empty = shape.batches * shape.m * shape.n == 0;
  const bool runs_reference =
      !is_empty && output_.RunsReference(arguments_, kParams);
  if (!is_empty) {
    if (constant_b_ && sizeof(T) == 1) {
      b_watch_.Update({&InputBlob(kB)}, runs_reference,
                      [&] { ReadConstantB(shape); });
    } else {
      ReadB(shape);
    }
  }
  if (runs_reference) output_.RunReference();

  if (arguments_.dequantize_output) {
    if (!is_empty) SetStages(shape, a, nullptr);
    caffe2::Tensor* const y = Output(0, shape.y, at::dtype<float>());
    auto* const values = y->template mutable_data<float>();
    if (!is_empty) status = Multiply(shape, a.codes, values);
    CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
    output_.Measure(arguments_, values, y->numel());
    return true;
  }
  const QuantizationParams& params =
      output_.Parameters(arguments_, kParams, is_empty);
  if (!is_empty) SetStages(shape, a, &params);
  auto* const y = OperatorBase::Output<Int8TensorCPU>(0);
  y->scale = params.scales[0];
  y->zero_point = params.zero_points[0];
  y->t.Resize(shape.y);
  auto* const codes = y->t.template mutable_data<T>();
  if (!is_empty) status = Multiply(shape, a.codes, codes);
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  output_.Measure(arguments_, codes, params, y->t.numel());
  return true;
}

template class BatchMatMulOp<uint8_t>;
template class BatchMatMulOp<uint16_t>;

void RegisterOnednnBatchMatMul() {
  RegisterCpuOperator<BatchMatMulOp<uint8_t>>("BatchMatMul_ENGINE_ONEDNN");
  RegisterCpuOperator<BatchMatMulOp<uint16_t>>("BatchMatMul_ENGINE_ONEDNN_16");
}

void RegisterOnednnInt8BatchMatMul() {
  RegisterCpuOperator<BatchMatMulOp<uint8_t>>("Int8BatchMatMul_ENGINE_ONEDNN");
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
