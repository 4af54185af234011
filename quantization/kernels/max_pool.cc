// MaxPool of pool.h in Highway: this file is compiled once per target. With
// channels last, vectors go over the channels of a pixel; with channels first,
// over a row of the image, and what is left is short.
#include <algorithm>
#include <type_traits>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/max_pool.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "quantization/kernels/pool_lines-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <typename T>
void MaxLines(const PoolShape& shape, const T* src, T least, int64_t begin,
              int64_t end, T* dst) {
  reference::MaxPool(shape, src, least, begin, end, dst);
}

#else

// The maxima over `taps` pixels of each row, which lie `step` apart.
template <int kVectors, class D, typename T>
HWY_INLINE void MaxOfTaps(D d, const Line<T>& line, const T* at, int64_t taps,
                          int64_t step, T least, T* dst) {
  static_assert(kVectors == 1 || kVectors == 4, "");
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto m0 = hn::Set(d, least);
  auto m1 = m0, m2 = m0, m3 = m0;
  line.ForEachRow(at, [&](const T* from) HWY_ATTR {
    for (int64_t w = 0; w < taps; ++w, from += step) {
      m0 = hn::Max(m0, hn::LoadU(d, from));
      if constexpr (kVectors == 4) {
        m1 = hn::Max(m1, hn::LoadU(d, from + lanes));
        m2 = hn::Max(m2, hn::LoadU(d, from + 2 * lanes));
        m3 = hn::Max(m3, hn::LoadU(d, from + 3 * lanes));
      }
    }
  });
  hn::StoreU(m0, d, dst);
  if constexpr (kVectors == 4) {
    hn::StoreU(m1, d, dst + lanes);
    hn::StoreU(m2, d, dst + 2 * lanes);
    hn::StoreU(m3, d, dst + 3 * lanes);
  }
}

// Channels last.
template <class D, typename T>
HWY_INLINE void MaxOfPixels(D d, const PoolShape& shape, const Line<T>& line,
                            T least, T* dst) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = shape.channels;
  for (int64_t o = 0; o < shape.output[2]; ++o, dst += channels) {
    const int64_t begin = shape.Begin(2, o);
    const int64_t taps = shape.End(2, o) - begin;
    const T* const at = line.first + begin * channels;
    CoverByVectors(channels, lanes, [&](auto vectors, int64_t c) HWY_ATTR {
      MaxOfTaps<decltype(vectors)::value>(d, line, at + c, taps, channels,
                                          least, dst + c);
    });
  }
}

// The maximum of n values that follow each other.
template <typename T>
HWY_INLINE T MaxOfRun(const T* from, int64_t n) {
  constexpr int64_t kLanes = 16 / sizeof(T);
  const hn::FixedTag<T, kLanes> d;
  T most = 0;
  int64_t i = 0;
  if (n >= kLanes) {
    auto m = hn::LoadU(d, from);
    for (i = kLanes; i + kLanes <= n; i += kLanes) {
      m = hn::Max(m, hn::LoadU(d, from + i));
    }
    m = hn::Max(m, hn::LoadU(d, from + n - kLanes));
    HWY_ALIGN T lanes[kLanes];
    hn::Store(m, d, lanes);
    for (const T lane : lanes) most = std::max(most, lane);
    return most;
  }
  for (; i < n; ++i) most = std::max(most, from[i]);
  return most;
}

// dst[o] is the maximum of kKernel values from row + o * stride on.
template <int kKernel, typename T>
HWY_INLINE void MaxOfSteps(const T* HWY_RESTRICT row, int64_t stride, T least,
                           int64_t count, T* HWY_RESTRICT dst) {
  for (int64_t o = 0; o < count; ++o) {
    T most = least;
    for (int k = 0; k < kKernel; ++k) {
      most = std::max(most, row[o * stride + k]);
    }
    dst[o] = most;
  }
}

// Channels first: `row` has the maxima of the line's rows.
template <typename T>
HWY_INLINE void MaxOfRow(const PoolShape& shape, const WholeWindows& whole,
                         const T* row, T least, T* dst) {
  const auto one = [&](int64_t o) HWY_ATTR {
    const int64_t begin = shape.Begin(2, o);
    dst[o] = std::max(least, MaxOfRun(row + begin, shape.End(2, o) - begin));
  };
  const int64_t kernel = shape.kernel[2], stride = shape.stride[2];
  for (int64_t o = 0; o < whole.begin; ++o) one(o);
  const T* const first = row + whole.begin * stride - shape.pad[2];
  const int64_t count = whole.end - whole.begin;
  if (kernel == 3 && stride == 2) {
    MaxOfSteps<3>(first, 2, least, count, dst + whole.begin);
  } else if (kernel == 3) {
    MaxOfSteps<3>(first, stride, least, count, dst + whole.begin);
  } else if (kernel == 2) {
    MaxOfSteps<2>(first, stride, least, count, dst + whole.begin);
  } else {
    for (int64_t o = whole.begin; o < whole.end; ++o) one(o);
  }
  for (int64_t o = whole.end; o < shape.output[2]; ++o) one(o);
}

template <typename T>
void MaxOfPlanes(const PoolShape& shape, const T* src, T least, int64_t begin,
                 int64_t end, T* dst) {
  const int64_t width = shape.input[2];
  const WholeWindows whole(shape);
  T row[kMostWidth];
  for (int64_t i = begin; i < end; ++i, dst += shape.output[2]) {
    const Line<T> line(shape, src, i);
    if (line.num_rows() == 1) {
      MaxOfRow(shape, whole, line.first, least, dst);
      continue;
    }
    const bool done = WithVectors<T>(width, [&](auto d) HWY_ATTR {
      CoverByVectors(width, static_cast<int64_t>(hn::Lanes(d)),
                     [&](auto vectors, int64_t w) HWY_ATTR {
                       MaxOfTaps<decltype(vectors)::value>(
                           d, line, line.first + w, 1, 1, least, row + w);
                     });
    });
    if (!done) {
      std::fill(row, row + width, least);
      line.ForEachRow(line.first, [&](const T* from) HWY_ATTR {
        for (int64_t w = 0; w < width; ++w) row[w] = std::max(row[w], from[w]);
      });
    }
    MaxOfRow(shape, whole, row, least, dst);
  }
}

template <typename T>
void MaxLines(const PoolShape& shape, const T* src, T least, int64_t begin,
              int64_t end, T* dst) {
  if (shape.channels_first) {
    if (shape.input[2] > kMostWidth) {
      return reference::MaxPool(shape, src, least, begin, end, dst);
    }
    return MaxOfPlanes(shape, src, least, begin, end, dst);
  }
  const bool done = WithVectors<T>(shape.channels, [&](auto d) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      MaxOfPixels(d, shape, Line<T>(shape, src, i), least,
                  dst + (i - begin) * shape.line_size());
    }
  });
  if (!done) reference::MaxPool(shape, src, least, begin, end, dst);
}

#endif

void MaxPool8(const PoolShape& shape, const uint8_t* src, uint8_t least,
              int64_t begin, int64_t end, uint8_t* dst) {
  MaxLines(shape, src, least, begin, end, dst);
}

void MaxPool16(const PoolShape& shape, const uint16_t* src, uint16_t least,
               int64_t begin, int64_t end, uint16_t* dst) {
  MaxLines(shape, src, least, begin, end, dst);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(MaxPool8);
HWY_EXPORT(MaxPool16);

template <typename T>
void MaxPool(const PoolShape& shape, const T* src, T least, int64_t begin,
             int64_t end, T* dst) {
  if (UseScalarReference()) {
    return reference::MaxPool(shape, src, least, begin, end, dst);
  }
  if constexpr (sizeof(T) == 1) {
    HWY_DYNAMIC_DISPATCH(MaxPool8)(shape, src, least, begin, end, dst);
  } else {
    HWY_DYNAMIC_DISPATCH(MaxPool16)(shape, src, least, begin, end, dst);
  }
}
template void MaxPool(const PoolShape&, const uint8_t*, uint8_t, int64_t,
                      int64_t, uint8_t*);
template void MaxPool(const PoolShape&, const uint16_t*, uint16_t, int64_t,
                      int64_t, uint16_t*);

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
