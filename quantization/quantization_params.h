// QuantizationParams: how a tensor's integers stand for real numbers.
//
//   dequantize   x = scale * (q - zero_point)
//   quantize     q = round(x / scale + zero_point), saturated to the type
//
// (Jacob et al. 2018, "Quantization and Training of Neural Networks for
// Efficient Integer-Arithmetic-Only Inference", equation 1.) Rounding is half
// to even everywhere; quantization/quantize.h says what is rounded when.
//
// One pair (scale, zero point) applies to a parameter set. A set is the whole
// tensor, a channel (an index of `axis`), a block of block_size consecutive
// values in memory order, or a block within a channel. For the latter each
// channel's values, in memory order, are cut into blocks, the last of which may
// be shorter. Sets are numbered channel by channel, and block by block within a
// channel.
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_H_

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

enum class Symmetry { kSymmetric, kAsymmetric };
enum class Granularity { kTensor, kChannel, kBlock, kChannelBlock };

// Return "symmetric" and so on; "tensor", "channel", "block", "channel_block".
const char* Name(Symmetry symmetry);
const char* Name(Granularity granularity);

// Which parameter set each value of a tensor has. Values lie in memory as
// [outer, channels, inner]; for a tensor without channels, channels is 1.
struct ParameterSets {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
  int64_t block_size = 0;  // 0: a channel is not cut
  int64_t blocks = 1;      // of one channel

  int64_t num_values() const { return outer * channels * inner; }
  int64_t num_sets() const { return channels * blocks; }
  // Returns the set of a value by its index in memory, which is below
  // num_values().
  int64_t SetOf(int64_t index) const;

  friend bool operator==(const ParameterSets& a, const ParameterSets& b) {
    return a.outer == b.outer && a.channels == b.channels &&
           a.inner == b.inner && a.block_size == b.block_size &&
           a.blocks == b.blocks;
  }
};

class QuantizationParams {
 public:
  // The version of the wire forms: quantization_params_json.h, and
  // serialization/quantization_params_proto.h.
  static constexpr int kFormatVersion = 1;
  // Scales are from 2^-126 to 2^126, so that they and their reciprocals are
  // normal floats, even if a processor treats denormals as zeros.
  static constexpr float kSmallestScale = 0x1p-126f;
  static constexpr float kLargestScale = 0x1p126f;

  // uint8, asymmetric, one set, scale 1, zero point 0.
  QuantizationParams() = default;
  // One set for the tensor; symmetric if the type is signed and zero_point is
  // 0. The parameters are not validated: call Validate().
  QuantizationParams(QuantizedType type, float scale, int32_t zero_point);
  // int8, zero point 0, scale 1.
  static QuantizationParams Int8Symmetric();
  // uint8, zero point 128, scale 1.
  static QuantizationParams UInt8Asymmetric();
  // int4, zero point 0, scale 1.
  static QuantizationParams Int4Symmetric();
  // Scales 1 and zero points 0, one per channel of axis. Symmetric if the type
  // is signed. Without channels, Validate() refuses the result.
  static QuantizationParams ChannelWise(int num_channels, QuantizedType type,
                                        int axis = 0);
  // The same, one per block of block_size values.
  static QuantizationParams BlockWise(int64_t block_size, QuantizedType type,
                                      int num_blocks = 1);

  // Sets all scales and zero points, and min and max, from observed extremes:
  // one range for all sets, or one range per set, for which there must be
  // NumParameterSets() ranges. Each range is widened to hold 0; a symmetric one
  // is widened to both sides of 0, so that 0 is the middle code. Scales are
  // those of ChooseFromRange in quantization/choose.h, down to kSmallestScale.
  // Errors, which change nothing: a range that is not finite or ends before it
  // begins, numbers of ranges that differ, and what Validate() refuses.
  Status FromStatistics(float observed_min, float observed_max);
  Status FromStatistics(const std::vector<float>& observed_min,
                        const std::vector<float>& observed_max);

  // Returns OK if the members agree with each other:
  //   - the type is one that exists; axis is not negative, block_size is
  //     positive, and both are 0 where the granularity has none;
  //   - there are as many scales as zero points, one for kTensor, one or more
  //     otherwise;
  //   - scales are finite, positive and in [kSmallestScale, kLargestScale];
  //   - zero points are codes of the type. Symmetric: the middle code (0, or
  //     2^(precision-1) if unsigned), or the first or the last code, as DNNLOWP
  //     chooses them for ranges that 0 ends;
  //   - what the codes stand for is finite;
  //   - min and max are both absent, or both finite and in order.
  // Each rule has its own message, which names the member, its index and value.
  Status Validate() const;
  // Also checks that the members fit a tensor of this shape: axis is one of its
  // dimensions, and it needs as many sets as there are.
  Status ValidateFor(const std::vector<int64_t>& shape) const;

  // The number of pairs of scale and zero point that are held.
  std::size_t NumParameterSets() const { return scales.size(); }
  // Sets *count to the number of pairs that a tensor of this shape needs; an
  // empty tensor needs one too, although it does not use it. Errors: a negative
  // dimension, more than 2^63 - 1 values, no dimension `axis`.
  Status NumParameterSetsFor(const std::vector<int64_t>& shape,
                             int64_t* count) const;
  Status SetsFor(const std::vector<int64_t>& shape, ParameterSets* sets) const;
  // Returns whether each channel has parameters of its own.
  bool IsPerChannel() const {
    return granularity == Granularity::kChannel ||
           granularity == Granularity::kChannelBlock;
  }

  // The real numbers that the first and the last code of a set stand for.
  float RepresentedMin(std::size_t set) const;
  float RepresentedMax(std::size_t set) const;

  // No value within [RepresentedMin, RepresentedMax] moves farther than this
  // when it is quantized and dequantized: half a scale, and the roundings of
  // float arithmetic on the way. With u = 2^-24, and in units of scale,
  //   1/2 + u * (3 * max|q - zero_point| + max|q|)
  // (for the reciprocal of scale, the multiply-add, the product that
  // dequantizes, and the range's end). For int32, whose arithmetic is in
  // double, u counts only for the product and the end. The bound is that of one
  // set, or the largest of all sets. Precondition: the parameters are valid.
  float QuantizationErrorBound(std::size_t set) const;
  float QuantizationErrorBound() const;

  // Returns the bytes of num_values floats divided by the bytes of as many
  // stored integers (of 4 bits or fewer: two per byte) with their parameters (8
  // bytes per set). 0 for no values.
  double CompressionRatio(int64_t num_values) const;

  // One line: "int8 symmetric channel, axis 0, 2 sets: 0.5 (0), 0.25 (0)",
  // scales and (zero points) of the first sets, then min and max if known.
  std::string ToString() const;

  QuantizedType type;
  Symmetry symmetry = Symmetry::kAsymmetric;
  Granularity granularity = Granularity::kTensor;
  std::vector<float> scales = {1.0f};
  std::vector<int32_t> zero_points = {0};
  int axis = 0;            // kChannel, kChannelBlock; else 0
  int64_t block_size = 0;  // kBlock, kChannelBlock; else 0
  // Observed extremes of all values; absent if they were not observed.
  std::optional<float> min;
  std::optional<float> max;
};

// Compares member by member; a NaN equals nothing.
bool operator==(const QuantizationParams& a, const QuantizationParams& b);
inline bool operator!=(const QuantizationParams& a,
                       const QuantizationParams& b) {
  return !(a == b);
}
std::ostream& operator<<(std::ostream& stream,
                         const QuantizationParams& params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_H_
