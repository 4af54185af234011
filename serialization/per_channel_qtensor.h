// PerChannelQTensor: the in-memory form of a QTensor that has more fields than
// the host's class keeps.
//
// The host's caffe2::QTensor<CPUContext> has one scale and one bias; the
// message QTensorProto also has `scales`, `biases`, `axis`, `is_multiparam` and
// `data_type`, which the host's serializer drops. This subclass carries them: a
// blob of the host's type can hold one, and code that knows only the host still
// sees a QTensor. AsPerChannel() tells whether a tensor is one.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_PER_CHANNEL_QTENSOR_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_PER_CHANNEL_QTENSOR_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "caffe2/core/qtensor.h"

namespace caffe2_quantization {

// The optional fields of a QTensorProto, each of them absent or as it was
// found.
struct QTensorExtras {
  // When is_multiparam is true: value = scales[c] * (x + biases[c]), where c is
  // the index along dimension `axis` (0 when absent); both have dims[axis]
  // elements, the scales finite and above 0, the biases finite. When it is not
  // true, the tensor's own scale and bias apply, and these are only kept.
  std::vector<double> scales;
  std::vector<double> biases;
  std::optional<int32_t> axis;
  std::optional<bool> is_multiparam;
  // A caffe2::TensorProto::DataType: the type that was quantized. Only kept.
  std::optional<int32_t> data_type;

  bool empty() const {
    return scales.empty() && biases.empty() && !axis && !is_multiparam &&
           !data_type;
  }
};

class PerChannelQTensor : public caffe2::QTensor<caffe2::CPUContext> {
 public:
  using caffe2::QTensor<caffe2::CPUContext>::QTensor;

  const QTensorExtras& extras() const { return extras_; }
  void SetExtras(QTensorExtras extras) { extras_ = std::move(extras); }

  bool is_per_channel() const { return extras_.is_multiparam.value_or(false); }
  int axis() const { return extras_.axis.value_or(0); }

 private:
  QTensorExtras extras_;
};

// Returns null if the tensor is of the host's class and nothing more.
inline const PerChannelQTensor* AsPerChannel(
    const caffe2::QTensor<caffe2::CPUContext>& tensor) {
  return dynamic_cast<const PerChannelQTensor*>(&tensor);
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_PER_CHANNEL_QTENSOR_H_
