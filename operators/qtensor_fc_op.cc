#include "operators/qtensor_fc_op.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "operators/enforce.h"
#include "operators/registration.h"
#include "quantization/kernels/min_max.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {
namespace {

constexpr int kMaxPrecision = 8;

// Products are taken for a block of rows at a time, which stays in the cache
// until it is scaled: this many 32-bit integers, and these many rows at least.
constexpr std::size_t kBlockProducts = 64 << 10;
constexpr std::size_t kMinBlockRows = 8;

// Row 0 of B, alone in its panel; kernels read whole panels.
constexpr std::size_t kOnePanel = kernels::kBitPanelColumns;

// Bits [first, first + count) of src, which ends at src_bytes, most significant
// first within a byte; dst is filled with zeros to dst_bytes.
void CopyBits(const uint8_t* src, std::size_t src_bytes, std::size_t first,
              std::size_t count, uint8_t* dst, std::size_t dst_bytes) {
  const unsigned shift = first % 8;
  const uint8_t* const from = src + first / 8;
  const std::size_t available = src_bytes - first / 8;
  const std::size_t bytes = kernels::BitPlaneBytes(count);
  std::size_t i = 0;
  for (; i + 8 <= bytes && i + 9 <= available; i += 8) {
    uint64_t word;
    std::memcpy(&word, from + i, sizeof(word));
    word = __builtin_bswap64(word) << shift | from[i + 8] >> (8 - shift);
    word = __builtin_bswap64(word);
    std::memcpy(dst + i, &word, sizeof(word));
  }
  for (; i < bytes; ++i) {
    const unsigned next = i + 1 < available ? from[i + 1] : 0u;
    dst[i] = static_cast<uint8_t>(from[i] << shift | next >> (8 - shift));
  }
  if (count % 8 != 0) {
    dst[bytes - 1] =
        static_cast<uint8_t>(dst[bytes - 1] & (0xFF00u >> (count % 8)));
  }
  std::memset(dst + bytes, 0, dst_bytes - bytes);
}

// Planes of magnitudes and one of signs to planes of two's complement, as many:
// each magnitude's bits are inverted where the sign is set, and 1 is added. A
// negative zero becomes zero.
void SignMagnitudeToTwosComplement(uint8_t* planes, int precision,
                                   std::size_t plane_bytes) {
  constexpr std::size_t kChunk = 4096;
  uint8_t carry[kChunk];
  for (std::size_t at = 0; at < plane_bytes; at += kChunk) {
    const std::size_t bytes = std::min(kChunk, plane_bytes - at);
    uint8_t* const sign = planes + precision * plane_bytes + at;
    std::memcpy(carry, sign, bytes);
    for (int p = 0; p < precision; ++p) {
      uint8_t* const plane = planes + p * plane_bytes + at;
      for (std::size_t i = 0; i < bytes; ++i) {
        const uint8_t inverted = plane[i] ^ sign[i];
        plane[i] = inverted ^ carry[i];
        carry[i] &= inverted;
      }
    }
    for (std::size_t i = 0; i < bytes; ++i) sign[i] ^= carry[i];
  }
}

// The last step of the equation in the header, for one row of Y.
struct RowScaling {
  const double* scales;       // sx * sw[j]
  const double* w_biases;     // bw[j]
  const double* corrections;  // c[j]
  const double* biases;       // b[j]
};

void ScaleRow(const int32_t* __restrict products, double row_sum,
              const RowScaling& scaling, std::size_t n, float* __restrict dst) {
  const double* __restrict scales = scaling.scales;
  const double* __restrict w_biases = scaling.w_biases;
  const double* __restrict corrections = scaling.corrections;
  const double* __restrict biases = scaling.biases;
  for (std::size_t j = 0; j < n; ++j) {
    const double sum = products[j] + (w_biases[j] * row_sum + corrections[j]);
    dst[j] = static_cast<float>(scales[j] * sum + biases[j]);
  }
}

}  // namespace

void BitMatrix::Assign(const uint8_t* planes, kernels::BitPlaneFormat format,
                       std::size_t rows, std::size_t columns) {
  rows_ = rows;
  row_bytes_ = kernels::BitRowBytes(columns);
  planes_ = format.planes();
  is_signed_ = format.is_signed;
  if (!format.is_signed && columns % 32 == 0) {
    data_ = planes;
    return;
  }
  const std::size_t plane_bytes = rows * row_bytes_;
  const std::size_t src_bytes = kernels::BitPlaneBytes(rows * columns);
  storage_.resize(planes_ * plane_bytes);
  data_ = storage_.data();
  if (columns % 32 == 0) {
    std::copy(planes, planes + storage_.size(), storage_.data());
  } else {
    uint8_t* dst = storage_.data();
    for (int p = 0; p < planes_; ++p) {
      for (std::size_t row = 0; row < rows; ++row, dst += row_bytes_) {
        CopyBits(planes + p * src_bytes, src_bytes, row * columns, columns, dst,
                 row_bytes_);
      }
    }
  }
  if (format.is_signed) {
    SignMagnitudeToTwosComplement(storage_.data(), format.precision,
                                  plane_bytes);
  }
}

kernels::BitRows BitMatrix::Rows(std::size_t first, std::size_t count) const {
  kernels::BitRows view;
  view.data = data_ + first * row_bytes_;
  view.rows = count;
  view.plane_bytes = rows_ * row_bytes_;
  view.planes = planes_;
  view.is_signed = is_signed_;
  return view;
}

kernels::BitPanels QTensorFCOp::PackedWeights::View() const {
  kernels::BitPanels view;
  view.data = panels.data();
  view.rows = n;
  view.plane_words = kernels::BitPanelWords(n, kernels::BitRowBytes(k));
  view.planes = format.planes();
  view.is_signed = format.is_signed;
  return view;
}

QTensorFCOp::QTensorFCOp(const caffe2::OperatorDef& definition,
                         caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      axis_(GetSingleArgument<int>("axis", 1)),
      x_format_(QTensorFormatArgument(caffe2::ArgumentHelper(definition),
                                      type(), "X_", kMaxPrecision)) {
  if (HasArgument("X_scale")) {
    x_given_ = {GetSingleArgument<float>("X_scale", 1),
                GetSingleArgument<float>("X_bias", 0)};
    CheckQTensorScaleBias(type(), "X_", "", *x_given_);
  } else {
    CAFFE_ENFORCE(!HasArgument("X_bias"), type(),
                  ": argument X_bias is given without X_scale, expected both");
  }
}

const QTensorCPU& QTensorFCOp::QTensorInput(int index) const {
  const std::string& name = debug_def().input(index);
  const caffe2::Blob& blob = *Inputs()[index];
  CAFFE_ENFORCE(blob.IsType<QTensorCPU>(), type(), ": input '", name,
                "' is a blob of type ", blob.meta().name(), ", expected ",
                index == 0 ? "a float tensor or a QTensor" : "a QTensor");
  const auto& tensor = blob.Get<QTensorCPU>();
  const Status status = ValidateQTensor(name, tensor);
  EnforceOk(*this, status);
  CAFFE_ENFORCE_LE(static_cast<int>(tensor.precision()), kMaxPrecision, type(),
                   ": QTensor '", name, "' has a precision of ",
                   static_cast<int>(tensor.precision()),
                   " bits, expected 1 to ", kMaxPrecision);
  return tensor;
}

QTensorFCOp::Sizes QTensorFCOp::CheckSizes(const QTensorCPU& weights) const {
  const std::string& x_name = debug_def().input(0);
  const std::string& w_name = debug_def().input(1);
  CAFFE_ENFORCE_GE(weights.ndim(), 2, type(), ": QTensor '", w_name, "' has ",
                   weights.ndim(), " dimensions, expected 2, [N, K]");
  const PerChannelQTensor* per_channel = AsPerChannel(weights);
  CAFFE_ENFORCE(per_channel == nullptr || !per_channel->is_per_channel() ||
                    per_channel->axis() == 0,
                type(), ": QTensor '", w_name, "' has its channels on axis ",
                per_channel == nullptr ? 0 : per_channel->axis(),
                ", expected 0");
  std::vector<int64_t> dims;
  const caffe2::Blob& blob = *Inputs()[0];
  if (blob.IsType<QTensorCPU>()) {
    const auto& tensor = blob.Get<QTensorCPU>();
    dims.assign(tensor.sizes().begin(), tensor.sizes().end());
  } else {
    dims = blob.Get<caffe2::Tensor>().sizes().vec();
  }
  CAFFE_ENFORCE(axis_ >= 1 && axis_ < static_cast<int>(dims.size()), type(),
                ": argument axis is ", axis_, ", expected 1 to ",
                static_cast<int>(dims.size()) - 1, " (input '", x_name,
                "' has ", dims.size(), " dimensions)");
  Sizes sizes;
  uint64_t m = 1;
  uint64_t k = 1;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    (static_cast<int>(d) < axis_ ? m : k) *= static_cast<uint64_t>(dims[d]);
  }
  sizes.m = m;
  sizes.k = k;
  sizes.n = static_cast<std::size_t>(weights.dim32(0));
  const auto w_columns = static_cast<std::size_t>(weights.size_from_dim(1));
  CAFFE_ENFORCE_EQ(w_columns, sizes.k, type(), ": QTensor '", w_name, "' has ",
                   w_columns, " columns, expected ", sizes.k,
                   ", the K of input '", x_name, "'");
  sizes.output.assign(dims.begin(), dims.begin() + axis_);
  sizes.output.push_back(static_cast<int64_t>(sizes.n));
  return sizes;
}

const float* QTensorFCOp::CheckBias(std::size_t n) const {
  if (InputSize() < 3) return nullptr;
  const std::string& name = debug_def().input(2);
  const caffe2::Blob& blob = *Inputs()[2];
  CAFFE_ENFORCE(caffe2::BlobIsTensorType(blob, caffe2::CPU) &&
                    blob.Get<caffe2::Tensor>().IsType<float>(),
                type(), ": input '", name, "' is no float tensor");
  const auto& tensor = blob.Get<caffe2::Tensor>();
  CAFFE_ENFORCE(
      tensor.dim() == 1 && static_cast<std::size_t>(tensor.numel()) == n,
      type(), ": input '", name, "' has the shape ", tensor.sizes(),
      ", expected [", n, "], the N of QTensor '", debug_def().input(1), "'");
  return tensor.data<float>();
}

void QTensorFCOp::CheckSums(const Sizes& sizes, kernels::BitPlaneFormat x,
                            kernels::BitPlaneFormat w) const {
  const uint64_t product = static_cast<uint64_t>(kernels::LargestOf(x)) *
                           static_cast<uint64_t>(kernels::LargestOf(w));
  constexpr uint64_t kLargestSum = std::numeric_limits<int32_t>::max();
  const uint64_t largest_k = kLargestSum / product;
  CAFFE_ENFORCE_LE(sizes.k, largest_k, type(), ": K is ", sizes.k,
                   ", expected at most ", largest_k, ": sums of products of ",
                   x.precision, " by ", w.precision, " bits, up to ", product,
                   " each, must fit 32 bits");
}

QTensorFCOp::Activations QTensorFCOp::QuantizeActivations(
    const caffe2::Tensor& tensor) {
  const std::string& name = debug_def().input(0);
  CAFFE_ENFORCE(tensor.IsType<float>(), type(), ": input '", name,
                "' is a tensor of ", tensor.dtype().name(),
                ", expected float or a QTensor");
  const float* const src = tensor.data<float>();
  const auto count = static_cast<std::size_t>(tensor.numel());
  const auto range = kernels::MinMax(src, count);
  const uint64_t infinities = range.infinity_count();
  CAFFE_ENFORCE(range.nan_count == 0 && infinities == 0, type(), ": input '",
                name, "' holds ", range.nan_count, " NaN and ", infinities,
                " infinite values, expected finite numbers");
  Activations x;
  x.format = x_format_;
  if (x_given_) {
    x.parameters = *x_given_;
  } else if (count > 0) {
    x.parameters = ChooseQTensorScaleBias(range.min, range.max, x_format_);
  }
  x_planes_.resize(x_format_.planes() * kernels::BitPlaneBytes(count));
  kernels::QuantizeToBitPlanes(src, count, x_format_, x.parameters.scale,
                               x.parameters.bias, x_planes_.data());
  x.planes = x_planes_.data();
  return x;
}

QTensorFCOp::Activations QTensorFCOp::ReadActivations(
    const QTensorCPU& tensor) const {
  const PerChannelQTensor* per_channel = AsPerChannel(tensor);
  CAFFE_ENFORCE(per_channel == nullptr || !per_channel->is_per_channel(),
                type(), ": QTensor '", debug_def().input(0),
                "' has a scale a channel, expected one of all");
  return {tensor.data(),
          {tensor.precision(), tensor.is_signed()},
          {tensor.scale(), tensor.bias()}};
}

void QTensorFCOp::PackWeights(const QTensorCPU& tensor, std::size_t n,
                              std::size_t k) {
  const kernels::BitPlaneFormat format{tensor.precision(), tensor.is_signed()};
  const std::size_t bytes = tensor.nbytes();
  PackedWeights& packed = weights_;
  if (packed.n == n && packed.k == k &&
      packed.format.precision == format.precision &&
      packed.format.is_signed == format.is_signed &&
      packed.source.size() == bytes &&
      std::equal(packed.source.begin(), packed.source.end(), tensor.data())) {
    return;
  }
  packed.n = 0;  // until it is whole
  BitMatrix rows;
  rows.Assign(tensor.data(), format, n, k);
  packed.panels.resize(format.planes() *
                       kernels::BitPanelWords(n, rows.row_bytes()));
  kernels::PackBitPanels(rows.data(), n, rows.row_bytes(), format.planes(),
                         packed.panels.data());
  packed.source.assign(tensor.data(), tensor.data() + bytes);
  packed.k = k;
  packed.format = format;
  // A row of ones times W: pad bits of W are 0.
  const std::vector<uint8_t> ones(rows.row_bytes(), 0xFF);
  packed.sums.resize(n);
  packed.n = n;
  kernels::BitPlaneMatMul({ones.data(), 1, ones.size(), 1, false},
                          packed.View(), ones.size(), packed.sums.data(), n);
}

void QTensorFCOp::Multiply(const Sizes& sizes, const Activations& x,
                           const QTensorCPU& weights, const float* bias,
                           float* dst) {
  const std::size_t n = sizes.n;
  const double x_bias = x.parameters.bias;
  const PerChannelQTensor* per_channel = AsPerChannel(weights);
  if (per_channel != nullptr && !per_channel->is_per_channel()) {
    per_channel = nullptr;
  }
  std::vector<double> numbers(4 * n);
  double* const scales = numbers.data();
  double* const w_biases = scales + n;
  double* const corrections = w_biases + n;
  double* const biases = corrections + n;
  bool needs_row_sums = false;
  for (std::size_t j = 0; j < n; ++j) {
    const QTensorScaleBias w =
        per_channel == nullptr
            ? QTensorScaleBias{weights.scale(), weights.bias()}
            : QTensorScaleBias{per_channel->extras().scales[j],
                               per_channel->extras().biases[j]};
    scales[j] = x.parameters.scale * w.scale;
    w_biases[j] = w.bias;
    corrections[j] = x_bias * weights_.sums[j] +
                     static_cast<double>(sizes.k) * x_bias * w.bias;
    biases[j] = bias == nullptr ? 0 : bias[j];
    needs_row_sums = needs_row_sums || w.bias != 0;
  }
  const RowScaling scaling{scales, w_biases, corrections, biases};

  x_matrix_.Assign(x.planes, x.format, sizes.m, sizes.k);
  const std::size_t row_bytes = x_matrix_.row_bytes();
  // The sum of a row is its product with ones; the panel's other rows are 0.
  std::vector<uint32_t> ones;
  std::vector<int32_t> row_sums;
  if (needs_row_sums) {
    ones.assign(kernels::BitPanelWords(1, row_bytes), 0);
    for (std::size_t word = 0; word < ones.size(); word += kOnePanel) {
      ones[word] = std::numeric_limits<uint32_t>::max();
    }
  }
  const std::size_t block =
      std::min(sizes.m, std::max(kMinBlockRows, kBlockProducts / n));
  row_sums.resize(block);
  products_.resize(block * n);
  const kernels::BitPanels panels = weights_.View();
  for (std::size_t first = 0; first < sizes.m; first += block) {
    const kernels::BitRows rows =
        x_matrix_.Rows(first, std::min(block, sizes.m - first));
    kernels::BitPlaneMatMul(rows, panels, row_bytes, products_.data(), n);
    if (needs_row_sums) {
      kernels::BitPlaneMatMul(rows, {ones.data(), 1, ones.size(), 1, false},
                              row_bytes, row_sums.data(), 1);
    }
    for (std::size_t i = 0; i < rows.rows; ++i) {
      ScaleRow(products_.data() + i * n, row_sums[i], scaling, n,
               dst + (first + i) * n);
    }
  }
}

bool QTensorFCOp::RunOnDevice() {
  const caffe2::Blob& x_blob = *Inputs()[0];
  const bool x_is_float = caffe2::BlobIsTensorType(x_blob, caffe2::CPU);
  const QTensorCPU* const x_tensor = x_is_float ? nullptr : &QTensorInput(0);
  const QTensorCPU& w = QTensorInput(1);
  const Sizes sizes = CheckSizes(w);
  const float* const bias = CheckBias(sizes.n);
  const kernels::BitPlaneFormat x_format =
      x_is_float ? x_format_
                 : kernels::BitPlaneFormat{x_tensor->precision(),
                                           x_tensor->is_signed()};
  CheckSums(sizes, x_format, {w.precision(), w.is_signed()});
  const Activations x = x_is_float
                            ? QuantizeActivations(x_blob.Get<caffe2::Tensor>())
                            : ReadActivations(*x_tensor);
  const bool empty = sizes.m == 0 || sizes.n == 0;
  if (!empty) PackWeights(w, sizes.n, sizes.k);
  float* const dst =
      Output(0, sizes.output, at::dtype<float>())->mutable_data<float>();
  if (!empty) Multiply(sizes, x, w, bias, dst);
  return true;
}

void RegisterQTensorFC() {
  RegisterCpuOperator<QTensorFCOp>("QTensorFC");
  RegisterNoGradient("QTensorFC");
  CAFFE2_QUANTIZATION_SCHEMA("QTensorFC")
      .NumInputs(2, 3)
      .NumOutputs(1)
      .TensorInferenceFunction(caffe2::OpSchema::NeedsAllInputShapes(
          [](const caffe2::OperatorDef& definition,
             const std::vector<caffe2::TensorShape>& in) {
            caffe2::TensorShape shape;
            const int axis = caffe2::ArgumentHelper(definition)
                                 .GetSingleArgument<int>("axis", 1);
            if (axis < 1 || axis >= in[0].dims_size() ||
                in[1].dims_size() < 2) {
              shape.set_unknown_shape(true);
              return std::vector<caffe2::TensorShape>{shape};
            }
            for (int d = 0; d < axis; ++d) shape.add_dims(in[0].dims(d));
            shape.add_dims(in[1].dims(0));
            shape.set_data_type(caffe2::TensorProto::FLOAT);
            return std::vector<caffe2::TensorShape>{shape};
          }))
      .SetDoc(
          "Y = X * transpose(W) + b with the products of integers taken "
          "on bit planes, exactly. X and W of 1 to 8 bits, signed or not.")
      .Arg("axis", "The first dimension of X that counts as K (default 1).")
      .Arg("X_precision", "Bits of magnitude of a float X, 1 to 8 (default 8).")
      .Arg("X_signed", "1 (default): a float X gets a plane of signs.")
      .Arg("X_scale", "Scale of a float X. Default: by the data of each run.")
      .Arg("X_bias", "Only with X_scale: its bias (default 0).")
      .Input(0, "X", "float tensor or QTensor, [M, K]")
      .Input(1, "W", "QTensor [N, K], with one scale or one a row")
      .Input(2, "b", "optional float tensor [N]")
      .Output(0, "Y", "float tensor [M, N]");
}

}  // namespace caffe2_quantization
