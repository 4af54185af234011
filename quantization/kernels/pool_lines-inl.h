// What the two pools of pool.h share: lines and their windows, and vectors that
// are as wide as a row allows. Include it after highway.h in a file that is
// compiled once per target; it has nothing for HWY_SCALAR.
#if defined(CAFFE2_QUANTIZATION_POOL_LINES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CAFFE2_QUANTIZATION_POOL_LINES_INL_H_
#undef CAFFE2_QUANTIZATION_POOL_LINES_INL_H_
#else
#define CAFFE2_QUANTIZATION_POOL_LINES_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "quantization/kernels/pool.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR

// With channels first, the widest row of an image that is added up in a buffer.
constexpr int64_t kMostWidth = 4096;

// What the windows of a line have in common: the image (with channels first,
// its channel), and rows of it, which lie row_step or plane_step apart.
template <typename T>
struct Line {
  Line(const PoolShape& shape, const T* src, int64_t line) {
    const int64_t h = line % shape.output[1];
    const int64_t t = line / shape.output[1] % shape.output[0];
    const int64_t outer = line / shape.output[1] / shape.output[0];
    row_step = shape.input[2] * (shape.channels_first ? 1 : shape.channels);
    plane_step = row_step * shape.input[1];
    rows = shape.End(1, h) - shape.Begin(1, h);
    planes = shape.End(0, t) - shape.Begin(0, t);
    first = src + outer * plane_step * shape.input[0] +
            shape.Begin(0, t) * plane_step + shape.Begin(1, h) * row_step;
  }

  // Calls row(T*) for the rows from `at` on, which is in the first one.
  template <class Row>
  HWY_INLINE void ForEachRow(const T* at, const Row& row) const {
    for (int64_t t = 0; t < planes; ++t, at += plane_step) {
      const T* from = at;
      for (int64_t h = 0; h < rows; ++h, from += row_step) row(from);
    }
  }
  int64_t num_rows() const { return planes * rows; }

  const T* first;
  int64_t row_step, plane_step;
  int64_t rows, planes;
};

// The outputs of the last dimension whose windows are whole.
struct WholeWindows {
  explicit WholeWindows(const PoolShape& shape) {
    const int64_t stride = shape.stride[2], pad = shape.pad[2];
    const int64_t reach = shape.input[2] + pad - shape.kernel[2];
    begin =
        pad > 0 ? std::min((pad + stride - 1) / stride, shape.output[2]) : 0;
    end = reach < 0
              ? begin
              : std::max(std::min(reach / stride + 1, shape.output[2]), begin);
  }
  int64_t begin, end;
};

// Calls body(d) with the widest tag of T that has no more lanes than `count`,
// of vectors of 8 bytes and more; returns false if there is none.
template <typename T, class Body>
HWY_INLINE bool WithVectors(int64_t count, const Body& body) {
  const auto bytes = static_cast<size_t>(count) * sizeof(T);
  const hn::ScalableTag<T> whole;
  if (bytes >= hn::Lanes(whole) * sizeof(T)) {
    body(whole);
  } else if (bytes >= 32) {
    body(hn::CappedTag<T, 32 / sizeof(T)>());
  } else if (bytes >= 16) {
    body(hn::CappedTag<T, 16 / sizeof(T)>());
  } else if (bytes >= 8) {
    body(hn::CappedTag<T, 8 / sizeof(T)>());
  } else {
    return false;
  }
  return true;
}

// Calls vectors<4>(i) and vectors<1>(i), given as integral constants, so that
// vectors of `lanes` cover [0, count), which has `lanes` values at least; the
// last one may overlap another.
template <class Vectors>
HWY_INLINE void CoverByVectors(int64_t count, int64_t lanes,
                               const Vectors& vectors) {
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    vectors(std::integral_constant<int, 4>(), i);
  }
  for (; i + lanes <= count; i += lanes) {
    vectors(std::integral_constant<int, 1>(), i);
  }
  if (i < count) vectors(std::integral_constant<int, 1>(), count - lanes);
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#endif  // once per target
