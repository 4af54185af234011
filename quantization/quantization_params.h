// QuantizationParams: how a tensor's integers stand for real numbers.
//
//   x = scale * (q - zero_point)      q = round(x / scale) + zero_point
//
// q is rounded half to even and saturated to [qmin, qmax] of the type; this is
// the only rounding rule, of every kernel and operator of the project.
// (Jacob et al. 2018, "Quantization and Training of Neural Networks for
// Efficient Integer-Arithmetic-Only Inference", equation 1.)
//
// One pair (scale, zero point) holds for a parameter set: the whole tensor, a
// channel (an index of `axis`), a block of block_size consecutive values in
// memory order, or a block within a channel: each channel's values, in memory
// order, are cut into blocks, the last of which may be shorter. Sets are
// numbered channel by channel, block by block.
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_H_

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "quantization/export.h"
#include "quantization/quantized_type.h"
#include "quantization/status.h"

namespace caffe2_quantization {

enum class Symmetry { kSymmetric, kAsymmetric };
enum class Granularity { kTensor, kChannel, kBlock, kChannelBlock };

class QuantizationParams {
 public:
  // Wire forms: proto/quantization_params.proto and ToJson.
  static constexpr int kFormatVersion = 1;

  // uint8, asymmetric, one set, scale 1, zero point 0.
  QuantizationParams() = default;
  // One set for the tensor. Not validated: call Validate().
  QuantizationParams(QuantizedType type, float scale, int32_t zero_point);
  // int8, zero point 0, scale 1.
  static QuantizationParams Int8Symmetric();
  // uint8, zero point 128, scale 1.
  static QuantizationParams UInt8Asymmetric();
  // int4, zero point 0, scale 1.
  static QuantizationParams Int4Symmetric();
  // Scales 1, zero points 0, one for each channel of axis.
  static QuantizationParams ChannelWise(int num_channels, QuantizedType type,
                                        int axis = 0);
  // Scale 1, zero point 0, one set until num_blocks is told.
  static QuantizationParams BlockWise(int64_t block_size, QuantizedType type,
                                      int num_blocks = 1);

  QuantizedType type;
  Symmetry symmetry = Symmetry::kAsymmetric;
  Granularity granularity = Granularity::kTensor;
  std::vector<float> scales = {1.0f};
  std::vector<int32_t> zero_points = {0};
  int axis = 0;            // kChannel, kChannelBlock
  int64_t block_size = 0;  // kBlock, kChannelBlock; else 0
  // Observed extremes of all values; absent: not observed.
  std::optional<float> min;
  std::optional<float> max;
  // … see the design notes for the functions:
  // Status FromStatistics(float min, float max);   sets scale(s) and zero
  // point(s) Status Validate() const; Status ValidateFor(shape) const; size_t
  // NumParameterSets() const; bool IsPerChannel() const; float
  // QuantizationErrorBound(size_t set) const; … over all sets double
  // CompressionRatio(int64_t num_values) const; std::string ToString() const;
  // operator<<; ==
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_H_
