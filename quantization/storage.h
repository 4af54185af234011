// Checks which C++ integers hold the codes of a type.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_STORAGE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_STORAGE_H_

#include <string>
#include <type_traits>

#include "base/status.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

// Returns OK if T is the type's storage: the smallest integer of 8, 16 or 32
// bits that holds its codes, of the same signedness.
template <typename T>
Status CheckStorage(QuantizedType type) {
  const int bits = type.precision <= 8 ? 8 : type.precision <= 16 ? 16 : 32;
  if (type.is_signed == std::is_signed_v<T> && bits == 8 * sizeof(T)) {
    return Status::Ok();
  }
  const auto name = [](int width, bool is_signed) {
    return QuantizedType{width, is_signed}.Name() + "_t";
  };
  return Status::InvalidArgument("quantization: values of " + type.Name() +
                                 " in an array of " +
                                 name(8 * sizeof(T), std::is_signed_v<T>) +
                                 ", expected " + name(bits, type.is_signed));
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_STORAGE_H_
