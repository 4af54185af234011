// Turns the arguments that ByteWeightDequant and ByteWeightQuant share into the
// scale and offset of each channel.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_PARAMETERS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "quantization/channel_layout.h"
#include "quantization/kernels/byte_weight.h"

namespace caffe2_quantization {

// Returns the number of elements of `shape`. Throws an enforce error that names
// `op` if a dimension is negative or the product exceeds 2^62.
int64_t CheckedElementCount(const std::string& op,
                            const std::vector<int64_t>& shape);

// Splits `shape` at `axis`, which counts from the end if negative. Throws an
// enforce error if there is no such axis.
ChannelLayout SplitAtAxis(const std::string& op,
                          const std::vector<int64_t>& shape, int axis);

// The arguments `formula`, `quant_min` and `quant_max`, and the equations that
// go with them:
//   affine:   value = byte * (max - min) / 255 + min
//   centered: value = (2 * byte - quant_min - quant_max) * scale,
//             scale = (max - min) / (quant_max - quant_min),
//             which spans -(max - min) ... +(max - min)
class ByteWeightEquation {
 public:
  // Reads the arguments of `op`; an enforce error names a bad one.
  ByteWeightEquation(const caffe2::ArgumentHelper& arguments, std::string op);

  struct Parameters {
    float scale;
    float offset;
  };
  // Returns the kernel's parameters for one range. An enforce error names a
  // limit that is not finite, or a range that overflows float.
  Parameters ForRange(float min, float max) const;

  // Sets the range whose values cover the data: the data's own for affine; for
  // centered the symmetric range that reaches the larger magnitude.
  void CoverData(float data_min, float data_max, float* min, float* max) const;

  // Throws an enforce error unless quant_min and quant_max are bytes
  // themselves, so that the bytes reach the whole range.
  void EnforceBytesReachIt() const;

  kernels::ByteWeightFormula formula() const { return formula_; }
  uint8_t lowest_byte() const { return lowest_byte_; }
  uint8_t highest_byte() const { return highest_byte_; }

 private:
  std::string op_;
  kernels::ByteWeightFormula formula_;
  int64_t quant_min_ = 0;
  int64_t quant_max_ = 255;
  uint8_t lowest_byte_ = 0;
  uint8_t highest_byte_ = 255;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_PARAMETERS_H_
