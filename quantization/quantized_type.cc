#include "quantization/quantized_type.h"

#include <charconv>

namespace caffe2_quantization {

Status QuantizedType::Validate() const {
  if (precision == 32 && is_signed) return Status::Ok();
  if (precision < kSmallestPrecision || precision > kLargestPrecision) {
    return Status::InvalidArgument("quantized type: precision is " +
                                   std::to_string(precision) +
                                   (is_signed ? "" : ", unsigned") +
                                   ", expected 1 to 16 bits, or 32 signed");
  }
  return Status::Ok();
}

Status QuantizedType::FromName(const std::string& name, QuantizedType* type) {
  const bool is_signed = name.rfind("int", 0) == 0;
  if (is_signed || name.rfind("uint", 0) == 0) {
    const char* first = name.data() + (is_signed ? 3 : 4);
    const char* last = name.data() + name.size();
    int precision = 0;
    const auto [end, error] = std::from_chars(first, last, precision);
    const QuantizedType found{precision, is_signed};
    if (error == std::errc() && end == last && found.Name() == name &&
        found.Validate().ok()) {
      *type = found;
      return Status::Ok();
    }
  }
  return Status::InvalidArgument("quantized type '" + name +
                                 "' is unknown, expected int1 to int16, uint1 "
                                 "to uint16, or int32");
}

}  // namespace caffe2_quantization
