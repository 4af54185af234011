// Which parameter set each value of a tensor has, found value by value.
#ifndef CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_PARAMETER_SETS_TESTING_H_
#define CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_PARAMETER_SETS_TESTING_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// The sets of a row-major tensor, value by value.
inline std::vector<std::size_t> SetOfEachValue(
    const std::vector<int64_t>& shape, const QuantizationParams& params) {
  std::size_t inner = 1, channels = 1, total = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto dimension = static_cast<std::size_t>(shape[i]);
    total *= dimension;
    if (static_cast<int>(i) == params.axis) channels = dimension;
    if (static_cast<int>(i) > params.axis) inner *= dimension;
  }
  const auto block =
      static_cast<std::size_t>(std::max<int64_t>(params.block_size, 1));
  const std::size_t per_channel = total / channels;
  const std::size_t blocks =
      std::max<std::size_t>((per_channel + block - 1) / block, 1);
  std::vector<std::size_t> seen(channels);
  std::vector<std::size_t> sets;
  for (std::size_t i = 0; i < total; ++i) {
    const std::size_t channel = i / inner % channels;
    const std::size_t nth = seen[channel]++;
    switch (params.granularity) {
      case Granularity::kTensor:
        sets.push_back(0);
        break;
      case Granularity::kChannel:
        sets.push_back(channel);
        break;
      case Granularity::kBlock:
        sets.push_back(i / block);
        break;
      case Granularity::kChannelBlock:
        sets.push_back(channel * blocks + nth / block);
        break;
    }
  }
  return sets;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_PARAMETER_SETS_TESTING_H_
