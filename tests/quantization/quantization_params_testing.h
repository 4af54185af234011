// Parameters for tests of their wire forms: those of the files of version 1,
// and random ones.
#ifndef CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_QUANTIZATION_PARAMS_TESTING_H_
#define CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_QUANTIZATION_PARAMS_TESTING_H_

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "quantization/quantization_params.h"
#include "tests/support/random.h"

namespace caffe2_quantization {

// Every granularity and symmetry, known and unknown extremes; the names are
// those of the golden files, and neither they nor the files ever change.
inline std::vector<std::pair<std::string, QuantizationParams>> GoldenParams() {
  QuantizationParams tensor(QuantizedType::UInt8(), 0.1f, 37);
  tensor.min = -3.7f;
  tensor.max = 21.8f;
  auto channel = QuantizationParams::ChannelWise(3, QuantizedType::Int8(), 1);
  channel.scales = {0.5f, 1e-7f, 3.3333333f};
  auto block = QuantizationParams::BlockWise(32, QuantizedType::Int4(), 2);
  block.scales = {0.0625f, 1.1754944e-38f};
  auto channel_block =
      QuantizationParams::ChannelWise(4, QuantizedType::Int16(), 0);
  channel_block.granularity = Granularity::kChannelBlock;
  channel_block.symmetry = Symmetry::kAsymmetric;
  channel_block.block_size = 128;
  channel_block.scales = {1, 2, 3e10f, 0.3f};
  channel_block.zero_points = {-32768, 32767, 0, -1};
  return {{"tensor", tensor},
          {"channel", channel},
          {"block", block},
          {"channel_block", channel_block},
          {"bias", QuantizationParams(QuantizedType::Int32(), 0.25f, 0)}};
}

inline QuantizationParams RandomQuantizationParams(TestRandom* random) {
  QuantizationParams params;
  params.type = {static_cast<int>(random->Integer(1, 16)), random->OneIn(2)};
  if (random->OneIn(10)) params.type = QuantizedType::Int32();
  params.granularity = static_cast<Granularity>(random->Integer(0, 3));
  const bool has_blocks = params.granularity == Granularity::kBlock ||
                          params.granularity == Granularity::kChannelBlock;
  if (params.IsPerChannel()) {
    params.axis = static_cast<int>(random->Integer(0, 5));
  }
  if (has_blocks) params.block_size = random->Integer(1, int64_t{1} << 40);
  const std::size_t sets =
      params.granularity == Granularity::kTensor ? 1 : random->Integer(1, 50);
  params.scales.resize(sets);
  params.zero_points.resize(sets);
  for (std::size_t i = 0; i < sets; ++i) {
    params.scales[i] = std::ldexp(random->Float(0.5f, 1),
                                  static_cast<int>(random->Integer(-125, 90)));
    params.zero_points[i] = static_cast<int32_t>(
        random->Integer(params.type.qmin(), params.type.qmax()));
  }
  if (random->OneIn(2)) {
    params.min = random->Float(-9, 0);
    params.max = random->Float(0, 1e30f);
  }
  return params;
}

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string TestDataPath(const std::string& name) {
  const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  return std::string(root == nullptr ? "." : root) + "/tests/" + name;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_QUANTIZATION_PARAMS_TESTING_H_
