// The plain forms of pool.h, and its shapes.
#include <algorithm>

#include "quantization/kernels/pool.h"

namespace caffe2_quantization {
namespace kernels {

bool PoolShape::HasInputs() const {
  for (int dim = 0; dim < 3; ++dim) {
    // Windows go forward: the first and the last one lie outermost.
    for (const int64_t o : {int64_t{0}, output[dim] - 1}) {
      if (Begin(dim, o) >= End(dim, o)) return false;
    }
  }
  return true;
}

PoolShape MergedShape(PoolShape shape) {
  for (int merged = 0; merged < 2; ++merged) {
    const int64_t size = shape.input[2];
    const bool is_whole = shape.output[2] == 1 && shape.Begin(2, 0) == 0 &&
                          shape.End(2, 0) == size;
    if (!is_whole) break;
    // Lines of the image follow each other, and a window takes whole ones.
    shape.input = {1, shape.input[0], shape.input[1] * size};
    shape.output = {1, shape.output[0], shape.output[1]};
    shape.kernel = {1, shape.kernel[0], shape.kernel[1] * size};
    shape.stride = {1, shape.stride[0], shape.stride[1] * size};
    shape.pad = {0, shape.pad[0], shape.pad[1] * size};
  }
  return shape;
}

namespace reference {
namespace {

// Calls window(first, position) for each output of lines begin to end, in their
// order: `first` is the place of the first code of the image and channel in
// src, and position the three coordinates of the output.
template <class Window>
void ForEachOutput(const PoolShape& shape, int64_t begin, int64_t end,
                   const Window& window) {
  const int64_t image = shape.input_size() * shape.channels;
  for (int64_t line = begin; line < end; ++line) {
    const int64_t h = line % shape.output[1];
    const int64_t t = line / shape.output[1] % shape.output[0];
    const int64_t outer = line / shape.output[1] / shape.output[0];
    for (int64_t w = 0; w < shape.output[2]; ++w) {
      const PoolShape::Sizes position{t, h, w};
      if (shape.channels_first) {
        window(outer * shape.input_size(), position);
        continue;
      }
      for (int64_t c = 0; c < shape.channels; ++c) {
        window(outer * image + c, position);
      }
    }
  }
}

// Calls tap(code) for the codes of a window, and returns how many these are.
template <typename T, class Tap>
int64_t ForEachTap(const PoolShape& shape, const T* first,
                   const PoolShape::Sizes& position, const Tap& tap) {
  const int64_t step = shape.channels_first ? 1 : shape.channels;
  int64_t n = 0;
  for (int64_t t = shape.Begin(0, position[0]); t < shape.End(0, position[0]);
       ++t) {
    for (int64_t h = shape.Begin(1, position[1]); h < shape.End(1, position[1]);
         ++h) {
      for (int64_t w = shape.Begin(2, position[2]);
           w < shape.End(2, position[2]); ++w, ++n) {
        tap(first[((t * shape.input[1] + h) * shape.input[2] + w) * step]);
      }
    }
  }
  return n;
}

}  // namespace

template <typename T>
void MaxPool(const PoolShape& shape, const T* src, T least, int64_t begin,
             int64_t end, T* dst) {
  ForEachOutput(shape, begin, end,
                [&](int64_t first, const PoolShape::Sizes& position) {
                  T most = least;
                  ForEachTap(shape, src + first, position,
                             [&](T code) { most = std::max(most, code); });
                  *dst++ = most;
                });
}

template <typename T>
void AveragePool(const PoolShape& shape, const T* src,
                 const AverageRounding& rounding, int64_t begin, int64_t end,
                 T* dst) {
  ForEachOutput(shape, begin, end,
                [&](int64_t first, const PoolShape::Sizes& position) {
                  int64_t sum = 0;
                  const int64_t n = ForEachTap(shape, src + first, position,
                                               [&](T code) { sum += code; });
                  *dst++ = static_cast<T>(RoundedAverage(rounding, sum, n));
                });
}

template void MaxPool(const PoolShape&, const uint8_t*, uint8_t, int64_t,
                      int64_t, uint8_t*);
template void MaxPool(const PoolShape&, const uint16_t*, uint16_t, int64_t,
                      int64_t, uint16_t*);
template void AveragePool(const PoolShape&, const uint8_t*,
                          const AverageRounding&, int64_t, int64_t, uint8_t*);
template void AveragePool(const PoolShape&, const uint16_t*,
                          const AverageRounding&, int64_t, int64_t, uint16_t*);

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
