// QuantizedType: which integers a quantized tensor holds.
//
// It has any precision from 1 to 16 bits, signed or unsigned, or is int32
// (biases, accumulators). Types that something stores or computes have names:
// int4, uint4, int8, uint8, int16, uint16, int32. Values of 4 bits or fewer may
// be stored two per byte (quantization/quantize.h), of up to 8 bits in one
// byte, of up to 16 bits in two.
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZED_TYPE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZED_TYPE_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

struct QuantizedType {
  static constexpr int kSmallestPrecision = 1;
  static constexpr int kLargestPrecision = 16;

  int precision = 8;  // bits
  bool is_signed = false;

  static constexpr QuantizedType Int4() { return {4, true}; }
  static constexpr QuantizedType UInt4() { return {4, false}; }
  static constexpr QuantizedType Int8() { return {8, true}; }
  static constexpr QuantizedType UInt8() { return {8, false}; }
  static constexpr QuantizedType Int16() { return {16, true}; }
  static constexpr QuantizedType UInt16() { return {16, false}; }
  static constexpr QuantizedType Int32() { return {32, true}; }

  // The smallest and the largest integer: two's complement, all codes used.
  constexpr int32_t qmin() const {
    return is_signed ? static_cast<int32_t>(-(int64_t{1} << (precision - 1)))
                     : 0;
  }
  constexpr int32_t qmax() const {
    return static_cast<int32_t>(
        (int64_t{1} << (is_signed ? precision - 1 : precision)) - 1);
  }

  // "int8", "uint3": the C type's name without _t.
  std::string Name() const {
    return (is_signed ? "int" : "uint") + std::to_string(precision);
  }
  static Status FromName(const std::string& name, QuantizedType* type);

  // Returns an error that names what is wrong: a precision outside 1 to 16 that
  // is not 32, or 32 bits unsigned.
  Status Validate() const;

  friend constexpr bool operator==(QuantizedType a, QuantizedType b) {
    return a.precision == b.precision && a.is_signed == b.is_signed;
  }
  friend constexpr bool operator!=(QuantizedType a, QuantizedType b) {
    return !(a == b);
  }
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZED_TYPE_H_
