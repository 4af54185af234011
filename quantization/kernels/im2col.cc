// im2col in Highway: this file is compiled once per target.
#include "quantization/kernels/im2col.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/im2col.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Copies whole vectors, up to kIm2ColSlack bytes more than asked for: what is
// written too much is written over by the next piece. Nothing is read from
// src_end on.
HWY_INLINE void Copy(const uint8_t* HWY_RESTRICT src, const uint8_t* src_end,
                     int64_t count, uint8_t* HWY_RESTRICT dst) {
  const hn::CappedTag<uint8_t, 16> small;
  const hn::ScalableTag<uint8_t> d;
  const int64_t few = static_cast<int64_t>(hn::Lanes(small));
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  if (src_end - src < count + lanes) {
    std::memcpy(dst, src, static_cast<size_t>(count));
  } else if (count <= few) {
    hn::StoreU(hn::LoadU(small, src), small, dst);
  } else {
    for (int64_t i = 0; i < count; i += lanes) {
      hn::StoreU(hn::LoadU(d, src + i), d, dst + i);
    }
  }
}

HWY_INLINE void Fill(uint8_t value, int64_t count, uint8_t* HWY_RESTRICT dst) {
  const hn::ScalableTag<uint8_t> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto values = hn::Set(d, value);
  for (int64_t i = 0; i < count; i += lanes) hn::StoreU(values, d, dst + i);
}

// The taps of one row of the kernel, which lie in one row of the image.
// Columns of the window begin at x, which may be outside of the row.
HWY_INLINE void CopyRow(const Windows& windows, const uint8_t* row,
                        const uint8_t* end, uint8_t fill, int64_t x,
                        uint8_t* dst) {
  const int64_t channels = windows.channels;
  const int64_t step = windows.dilation[2];
  const int64_t width = windows.input[2];
  const int64_t taps = windows.kernel[2];
  if (step == 1 && channels == windows.pixel_stride) {
    const int64_t before = std::min(std::max<int64_t>(-x, 0), taps);
    const int64_t until = std::max(std::min(width - x, taps), before);
    if (before > 0) Fill(fill, before * channels, dst);
    if (until > before) {
      Copy(row + (x + before) * channels, end, (until - before) * channels,
           dst + before * channels);
    }
    if (until < taps) {
      Fill(fill, (taps - until) * channels, dst + until * channels);
    }
    return;
  }
  for (int64_t tap = 0; tap < taps; ++tap, x += step, dst += channels) {
    if (x >= 0 && x < width) {
      Copy(row + x * windows.pixel_stride, end, channels, dst);
    } else {
      Fill(fill, channels, dst);
    }
  }
}

void Im2ColRows(const Windows& windows, const uint8_t* image, uint8_t fill,
                int64_t first, int64_t rows, uint8_t* dst, int64_t dst_stride) {
  const auto& input = windows.input;
  const auto& output = windows.output;
  const int64_t row_bytes = input[2] * windows.pixel_stride;
  const int64_t piece = windows.kernel[2] * windows.channels;
  const uint8_t* const end =
      image + (input[0] * input[1] * input[2] - 1) * windows.pixel_stride +
      windows.channels;
  int64_t ox = first % output[2];
  int64_t oy = first / output[2] % output[1];
  int64_t oz = first / (output[2] * output[1]);
  for (int64_t r = 0; r < rows; ++r, dst += dst_stride) {
    const int64_t x = ox * windows.stride[2] - windows.pad[2];
    const int64_t y = oy * windows.stride[1] - windows.pad[1];
    const int64_t z = oz * windows.stride[0] - windows.pad[0];
    uint8_t* to = dst;
    for (int64_t i = 0; i < windows.kernel[0]; ++i) {
      const int64_t zi = z + i * windows.dilation[0];
      for (int64_t j = 0; j < windows.kernel[1]; ++j, to += piece) {
        const int64_t yj = y + j * windows.dilation[1];
        if (zi >= 0 && zi < input[0] && yj >= 0 && yj < input[1]) {
          CopyRow(windows, image + (zi * input[1] + yj) * row_bytes, end, fill,
                  x, to);
        } else {
          Fill(fill, piece, to);
        }
      }
    }
    if (++ox < output[2]) continue;
    ox = 0;
    if (++oy < output[1]) continue;
    oy = 0;
    ++oz;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Im2ColRows);

void Im2Col(const Windows& windows, const uint8_t* image, uint8_t fill,
            int64_t first, int64_t rows, uint8_t* dst, int64_t dst_stride) {
  if (UseScalarReference()) {
    return reference::Im2Col(windows, image, fill, first, rows, dst,
                             dst_stride);
  }
  HWY_DYNAMIC_DISPATCH(Im2ColRows)
  (windows, image, fill, first, rows, dst, dst_stride);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
