#include <algorithm>
#include <limits>

#include "quantization/kernels/depthwise.h"

namespace caffe2_quantization {
namespace kernels {

DepthwiseFilter PackDepthwise(const int8_t* codes, const int32_t* zero_points,
                              int64_t channels, int64_t rows, int64_t columns) {
  DepthwiseFilter filter;
  filter.channels = channels;
  filter.rows = rows;
  filter.columns = columns;
  const int64_t taps = rows * columns;
  filter.pairs.resize((taps + 1) / 2 * channels * 2);
  const int64_t blocks = (channels + kDepthwiseBlock - 1) / kDepthwiseBlock;
  const int64_t quads = (rows + 3) / 4;
  const int64_t part = blocks * columns * quads * kDepthwiseBlock * 4;
  filter.quads.resize(2 * part);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int32_t weight = codes[c * taps + tap] - zero_points[c];
      if (weight < std::numeric_limits<int8_t>::min() ||
          weight > std::numeric_limits<int8_t>::max()) {
        filter.parts = 2;
      }
      filter.pairs[(tap / 2 * channels + c) * 2 + tap % 2] =
          static_cast<int16_t>(weight);
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int32_t weight = codes[c * taps + tap] - zero_points[c];
      const int64_t row = tap / columns;
      const int64_t quad =
          (c / kDepthwiseBlock * columns + tap % columns) * quads + row / 4;
      int8_t* const to = filter.quads.data() +
                         (quad * kDepthwiseBlock + c % kDepthwiseBlock) * 4 +
                         row % 4;
      to[0] = static_cast<int8_t>(filter.parts == 1 ? weight : weight >> 1);
      to[part] = static_cast<int8_t>(weight & 1);
    }
  }
  filter.quads.resize(filter.parts * part);
  return filter;
}

namespace reference {

void DepthwiseSums(const DepthwiseFilter& filter, const uint8_t* const* x,
                   int64_t column_step, int64_t pixel_step, int64_t pixels,
                   int32_t* sums) {
  const int64_t channels = filter.channels;
  for (int64_t p = 0; p < pixels; ++p) {
    int32_t* const to = sums + p * channels;
    for (int64_t c = 0; c < channels; ++c) {
      uint32_t sum = 0;
      for (int64_t tap = 0; tap < filter.rows * filter.columns; ++tap) {
        const uint8_t code =
            x[tap / filter.columns]
             [p * pixel_step + tap % filter.columns * column_step + c];
        sum += static_cast<uint32_t>(
            code * filter.pairs[(tap / 2 * channels + c) * 2 + tap % 2]);
      }
      to[c] = static_cast<int32_t>(sum);
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
