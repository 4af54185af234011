#include "serialization/qtensor_validation.h"

#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>

#include "base/return_if_error.h"
#include "quantization/kernels/bit_planes.h"

namespace caffe2_quantization {
namespace {

using HostQTensor = caffe2::QTensor<caffe2::CPUContext>;

std::string Text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

std::string Text(uint64_t value) { return std::to_string(value); }

std::string Where(const std::string& blob, const std::string& field) {
  return "QTensor '" + blob + "': field " + field;
}

// The host keeps a dimension in an int, and refuses to write INT_MAX itself.
constexpr int64_t kMaxDim = std::numeric_limits<int>::max() - 1;

Status CheckDimCount(const std::string& blob, uint64_t count) {
  if (count <= kMaxQTensorDims) return Status::Ok();
  return Status::OutOfRange(Where(blob, "dims") + " has " + Text(count) +
                            " elements, expected at most " +
                            Text(kMaxQTensorDims));
}

// The product of the dims, 0 when one of them is 0. The others must not
// overflow even then, for the host multiplies them too.
Status CountElements(const std::string& blob, const std::vector<int64_t>& dims,
                     uint64_t* elements) {
  int64_t product = 1;
  bool empty = dims.empty();
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const int64_t dim = dims[i];
    if (dim < 0 || dim > kMaxDim) {
      return Status::Corruption(Where(blob, "dims[" + std::to_string(i) + "]") +
                                " is " + std::to_string(dim) +
                                ", expected 0 to " + std::to_string(kMaxDim));
    }
    if (dim == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dim, &product)) {
      return Status::OutOfRange(
          Where(blob, "dims") +
          " has a product of more than 63 bits at index " + std::to_string(i) +
          ", expected at most 9223372036854775807");
    }
  }
  *elements = empty ? 0 : static_cast<uint64_t>(product);
  return Status::Ok();
}

Status CheckPrecision(const std::string& blob, int64_t precision) {
  if (precision < 1 || precision > kMaxQTensorPrecision) {
    return Status::Corruption(Where(blob, "precision") + " is " +
                              std::to_string(precision) + ", expected 1 to " +
                              std::to_string(kMaxQTensorPrecision));
  }
  return Status::Ok();
}

Status CheckFinite(const std::string& blob, const std::string& field,
                   double value) {
  if (!std::isfinite(value)) {
    return Status::Corruption(Where(blob, field) + " is " + Text(value) +
                              ", expected a finite number");
  }
  return Status::Ok();
}

Status Missing(const std::string& blob, const std::string& field) {
  return Status::Corruption(Where(blob, field) + " is missing, expected once");
}

// Of a tensor per channel: that the axis is there, and that each channel has a
// scale and a bias.
Status CheckChannelCounts(const std::string& blob, int64_t axis,
                          uint64_t scales, uint64_t biases,
                          const std::vector<int64_t>& dims) {
  const int64_t ndim = static_cast<int64_t>(dims.size());
  if (axis < 0 || axis >= ndim) {
    return Status::Corruption(Where(blob, "axis") + " is " +
                              std::to_string(axis) + ", expected 0 to " +
                              std::to_string(ndim - 1) + " (the tensor has " +
                              std::to_string(ndim) + " dims)");
  }
  const uint64_t channels = static_cast<uint64_t>(dims[axis]);
  const auto check_length = [&](const char* field, uint64_t length) {
    if (length == channels) return Status::Ok();
    return Status::Corruption(Where(blob, field) + " has " + Text(length) +
                              " elements, expected " + Text(channels) +
                              " (dims[" + std::to_string(axis) + "])");
  };
  RETURN_IF_ERROR(check_length("scales", scales));
  return check_length("biases", biases);
}

// Precondition: of a tensor per channel, there are as many biases as scales.
Status CheckChannelValues(const std::string& blob,
                          const QTensorExtras& extras) {
  if (!extras.is_multiparam.value_or(false)) return Status::Ok();
  // Every run of an operator comes here: words are made for a bad one alone.
  for (std::size_t c = 0; c < extras.scales.size(); ++c) {
    const bool good_scale =
        std::isfinite(extras.scales[c]) && extras.scales[c] > 0;
    if (good_scale && std::isfinite(extras.biases[c])) continue;
    const std::string index = "[" + std::to_string(c) + "]";
    if (!good_scale) {
      return Status::Corruption(Where(blob, "scales" + index) + " is " +
                                Text(extras.scales[c]) +
                                ", expected a finite number above 0");
    }
    return CheckFinite(blob, "biases" + index, extras.biases[c]);
  }
  return Status::Ok();
}

}  // namespace

Status ValidateQTensorProto(const std::string& blob,
                            const caffe2::QTensorProto& fields,
                            const QTensorCounts& counts,
                            QTensorLayout* layout) {
  RETURN_IF_ERROR(
      CheckDimCount(blob, static_cast<uint64_t>(fields.dims_size())));
  const std::vector<int64_t> dims(fields.dims().begin(), fields.dims().end());
  RETURN_IF_ERROR(CountElements(blob, dims, &layout->elements));
  layout->dims.assign(dims.begin(), dims.end());

  if (!fields.has_precision()) return Missing(blob, "precision");
  if (!fields.has_scale()) return Missing(blob, "scale");
  if (!fields.has_bias()) return Missing(blob, "bias");
  if (!fields.has_is_signed()) return Missing(blob, "is_signed");
  RETURN_IF_ERROR(CheckPrecision(blob, fields.precision()));
  RETURN_IF_ERROR(CheckFinite(blob, "scale", fields.scale()));
  RETURN_IF_ERROR(CheckFinite(blob, "bias", fields.bias()));

  // Without dims the host's class has no element when fresh and one after a
  // Resize({}): the data tells which was written.
  if (dims.empty() && counts.data != 0) layout->elements = 1;
  const uint64_t planes =
      static_cast<uint64_t>(fields.precision()) + (fields.is_signed() ? 1 : 0);
  const uint64_t plane_bytes = kernels::BitPlaneBytes(layout->elements);
  if (__builtin_mul_overflow(planes, plane_bytes, &layout->data_bytes) ||
      layout->data_bytes != counts.data) {
    return Status::Corruption(Where(blob, "data") + " has " +
                              Text(counts.data) + " values, expected " +
                              Text(planes) + " planes of " + Text(plane_bytes) +
                              " bytes for " + Text(layout->elements) +
                              " elements");
  }
  if (!fields.is_multiparam()) return Status::Ok();
  return CheckChannelCounts(blob, fields.axis(), counts.scales, counts.biases,
                            dims);
}

Status ValidateQTensorBlob(const std::string& blob, bool has_type,
                           const std::string& type, bool has_qtensor) {
  if (!has_type) return Missing(blob, "type of its BlobProto");
  if (type != kQTensorBlobType) {
    return Status::InvalidArgument(Where(blob, "type of its BlobProto") +
                                   " is '" + type + "', expected '" +
                                   kQTensorBlobType + "'");
  }
  if (!has_qtensor) return Missing(blob, "qtensor of its BlobProto");
  return Status::Ok();
}

Status ValidateQTensor(const std::string& blob, const HostQTensor& tensor) {
  RETURN_IF_ERROR(CheckDimCount(blob, static_cast<uint64_t>(tensor.ndim())));
  const std::vector<int64_t> dims(tensor.sizes().begin(), tensor.sizes().end());
  uint64_t elements = 0;
  RETURN_IF_ERROR(CountElements(blob, dims, &elements));
  RETURN_IF_ERROR(CheckPrecision(blob, tensor.precision()));
  RETURN_IF_ERROR(CheckFinite(blob, "scale", tensor.scale()));
  RETURN_IF_ERROR(CheckFinite(blob, "bias", tensor.bias()));
  if (const PerChannelQTensor* per_channel = AsPerChannel(tensor)) {
    const QTensorExtras& extras = per_channel->extras();
    if (per_channel->is_per_channel()) {
      RETURN_IF_ERROR(CheckChannelCounts(blob, per_channel->axis(),
                                         extras.scales.size(),
                                         extras.biases.size(), dims));
    }
    RETURN_IF_ERROR(CheckChannelValues(blob, extras));
  }
  const uint64_t bytes = QTensorPlaneBytes(tensor);
  if (bytes != 0 && tensor.data() == nullptr) {
    return Status::InvalidArgument(
        Where(blob, "data") + " is not set, expected " + Text(bytes) +
        " bytes of planes; call mutable_data() and fill it first");
  }
  return Status::Ok();
}

uint64_t QTensorPlaneBytes(const HostQTensor& tensor) {
  const uint64_t planes = tensor.precision() + (tensor.is_signed() ? 1u : 0u);
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(kernels::BitPlaneBytes(tensor.size()), planes,
                             &bytes)) {
    return std::numeric_limits<uint64_t>::max();
  }
  return bytes;
}

Status CheckQTensorMessageSize(const std::string& blob, uint64_t bytes) {
  if (bytes <= kMaxMessageBytes) return Status::Ok();
  return Status::OutOfRange(
      "QTensor '" + blob + "': its message takes at least " + Text(bytes) +
      " bytes, expected at most " + Text(kMaxMessageBytes) +
      ", the limit of protobuf; split the tensor along a dimension, or use "
      "fewer bits");
}

QTensorExtras QTensorExtrasOf(const caffe2::QTensorProto& fields) {
  QTensorExtras extras;
  extras.scales.assign(fields.scales().begin(), fields.scales().end());
  extras.biases.assign(fields.biases().begin(), fields.biases().end());
  if (fields.has_axis()) extras.axis = fields.axis();
  if (fields.has_is_multiparam()) extras.is_multiparam = fields.is_multiparam();
  if (fields.has_data_type()) {
    extras.data_type = static_cast<int32_t>(fields.data_type());
  }
  return extras;
}

Status MakeQTensor(const std::string& blob, const caffe2::QTensorProto& fields,
                   const QTensorLayout& layout, QTensorExtras extras,
                   std::unique_ptr<HostQTensor>* out) {
  RETURN_IF_ERROR(CheckChannelValues(blob, extras));
  const auto precision = static_cast<unsigned char>(fields.precision());
  std::unique_ptr<HostQTensor> tensor;
  if (extras.empty()) {
    tensor = std::make_unique<HostQTensor>(layout.dims, precision,
                                           fields.is_signed());
  } else {
    auto per_channel = std::make_unique<PerChannelQTensor>(
        layout.dims, precision, fields.is_signed());
    per_channel->SetExtras(std::move(extras));
    tensor = std::move(per_channel);
  }
  if (layout.dims.empty() && layout.elements == 1) {
    tensor->Resize(std::vector<int>{1});
    tensor->Resize(std::vector<int>{});
  }
  tensor->SetScale(fields.scale());
  tensor->SetBias(fields.bias());
  try {
    tensor->mutable_data();
  } catch (const std::exception& error) {
    return Status::OutOfRange("QTensor '" + blob + "': no memory for " +
                              Text(layout.data_bytes) +
                              " bytes of planes: " + error.what());
  }
  *out = std::move(tensor);
  return Status::Ok();
}

Status BadDataValue(const std::string& blob, std::size_t index, int64_t value) {
  return Status::Corruption(Where(blob, "data[" + std::to_string(index) + "]") +
                            " is " + std::to_string(value) +
                            ", expected 0 to 255");
}

}  // namespace caffe2_quantization
