// ForEachStrip: divides images among the threads that an operator may use, for
// passes that move their channels.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_IMAGE_STRIPS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_IMAGE_STRIPS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "c10/util/accumulate.h"
#include "operators/int8/engine/parts.h"

namespace caffe2_quantization {

// Calls body(image, pixels, channels, first, count) for strips that make up
// images of the sizes [N, ..., C]: pixels `first` to first + count of one that
// has `pixels`. body must not throw. Thread rule: as ForEachPart.
template <class Body>
void ForEachStrip(const std::vector<int64_t>& sizes, const Body& body) {
  const int64_t count = c10::multiply_integers(sizes);
  if (count == 0) return;
  constexpr int64_t kStripValues = 1 << 14, kLeast = 1 << 16;
  const int64_t images = sizes[0], channels = sizes.back();
  const int64_t pixels = count / images / channels;
  // A multiple of 64, so that threads seldom share a line.
  const int64_t strip = std::max<int64_t>(kStripValues / channels / 64, 1) * 64;
  const int64_t strips = (pixels + strip - 1) / strip;
  ForEachItem(images * strips, std::min(strip, pixels) * channels, kLeast,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t first = i % strips * strip;
                  body(i / strips, pixels, channels, first,
                       std::min(strip, pixels - first));
                }
              });
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_IMAGE_STRIPS_H_
