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
// written too much is written over by the next piece.
template <size_t kBytes>
HWY_INLINE void CopyVectors(const uint8_t* HWY_RESTRICT src, int64_t count,
                            uint8_t* HWY_RESTRICT dst) {
  const hn::CappedTag<uint8_t, kBytes> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  do {
    hn::StoreU(hn::LoadU(d, src + i), d, dst + i);
    i += lanes;
  } while (i < count);
}

// Nothing is read from src_end on.
HWY_INLINE void Copy(const uint8_t* HWY_RESTRICT src, const uint8_t* src_end,
                     int64_t count, uint8_t* HWY_RESTRICT dst) {
  if (src_end - src < count + kIm2ColSlack) {
    std::memcpy(dst, src, static_cast<size_t>(count));
  } else {
    CopyVectors<kIm2ColSlack>(src, count, dst);
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

// A window as pieces that are contiguous in the image: where they begin in it
// if the window begins at x = 0, or null where they are all padding.
constexpr int64_t kMostPieces = 128;

struct Pieces {
  const uint8_t* begin[kMostPieces];
  int64_t count;
  int64_t bytes;  // of each
};

// Windows of `pixels` neighbours; the first begins at x_bytes, each `step`
// bytes after the one before.
template <size_t kBytes>
HWY_INLINE void CopyPixels(const Pieces& pieces, int64_t x_bytes, int64_t step,
                           int64_t pixels, uint8_t fill, uint8_t* dst,
                           int64_t dst_stride) {
  for (int64_t p = 0; p < pixels; ++p) {
    uint8_t* to = dst + p * dst_stride;
    const int64_t at = x_bytes + p * step;
    for (int64_t i = 0; i < pieces.count; ++i, to += pieces.bytes) {
      if (pieces.begin[i] != nullptr) {
        CopyVectors<kBytes>(pieces.begin[i] + at, pieces.bytes, to);
      } else {
        Fill(fill, pieces.bytes, to);
      }
    }
  }
}

// Output pixels of one line of the output.
class Line {
 public:
  Line(const Windows& windows, const uint8_t* image, uint8_t fill, int64_t oz,
       int64_t oy)
      : windows_(windows),
        image_(image),
        end_(image +
             (windows.input[0] * windows.input[1] * windows.input[2] - 1) *
                 windows.pixel_stride +
             windows.channels),
        fill_(fill),
        z_(oz * windows.stride[0] - windows.pad[0]),
        y_(oy * windows.stride[1] - windows.pad[1]) {}

  // Those from ox on.
  void Run(int64_t ox, int64_t pixels, uint8_t* dst, int64_t dst_stride) const {
    // Of these no part is left or right of the image.
    const int64_t stride = windows_.stride[2];
    const int64_t reach = windows_.dilation[2] * (windows_.kernel[2] - 1);
    const int64_t last = windows_.input[2] - 1 - reach + windows_.pad[2];
    const int64_t begin = std::min(
        std::max((windows_.pad[2] + stride - 1) / stride - ox, int64_t{0}),
        pixels);
    const int64_t end =
        last < 0 ? begin
                 : std::max(std::min(last / stride + 1 - ox, pixels), begin);
    Pieces pieces;
    if (end == begin || !FindPieces(&pieces)) {
      RunWithCare(ox, pixels, dst, dst_stride);
    } else if (pieces.bytes <= 16) {
      RunPieces<16>(pieces, ox, begin, end, pixels, dst, dst_stride);
    } else if (pieces.bytes <= 32) {
      RunPieces<32>(pieces, ox, begin, end, pixels, dst, dst_stride);
    } else {
      RunPieces<64>(pieces, ox, begin, end, pixels, dst, dst_stride);
    }
  }

 private:
  // [begin, end) of the pixels have windows within the width of the image.
  template <size_t kBytes>
  void RunPieces(const Pieces& pieces, int64_t ox, int64_t begin, int64_t end,
                 int64_t pixels, uint8_t* dst, int64_t dst_stride) const {
    const int64_t step = windows_.stride[2] * windows_.pixel_stride;
    const int64_t x =
        ox * step - windows_.pad[2] * windows_.pixel_stride;  // in bytes
    RunEdge<kBytes>(pieces, ox, 0, begin, dst, dst_stride);
    CopyPixels<kBytes>(pieces, x + begin * step, step, end - begin, fill_,
                       dst + begin * dst_stride, dst_stride);
    RunEdge<kBytes>(pieces, ox, end, pixels, dst, dst_stride);
  }

  // Pixels [begin, end), whose windows reach beyond the width.
  template <size_t kBytes>
  void RunEdge(const Pieces& pieces, int64_t ox, int64_t begin, int64_t end,
               uint8_t* dst, int64_t dst_stride) const {
    if (pieces.bytes != windows_.channels) {  // parts of pieces
      RunWithCare(ox + begin, end - begin, dst + begin * dst_stride,
                  dst_stride);
      return;
    }
    for (int64_t p = begin; p < end; ++p) {
      const int64_t x = (ox + p) * windows_.stride[2] - windows_.pad[2];
      Pieces inside;
      inside.bytes = pieces.bytes;
      inside.count = 0;
      while (inside.count < pieces.count) {
        for (int64_t l = 0; l < windows_.kernel[2]; ++l, ++inside.count) {
          const int64_t at = x + l * windows_.dilation[2];
          inside.begin[inside.count] = at >= 0 && at < windows_.input[2]
                                           ? pieces.begin[inside.count]
                                           : nullptr;
        }
      }
      CopyPixels<kBytes>(inside, x * windows_.pixel_stride, 0, 1, fill_,
                         dst + p * dst_stride, dst_stride);
    }
  }

  // False where there are too many, or what they read too much could lie
  // outside of the image.
  bool FindPieces(Pieces* pieces) const {
    const auto& input = windows_.input;
    const bool joined =
        windows_.dilation[2] == 1 && windows_.channels == windows_.pixel_stride;
    const int64_t in_row = joined ? 1 : windows_.kernel[2];
    const int64_t rows = windows_.kernel[0] * windows_.kernel[1];
    if (rows > kMostPieces / in_row) return false;
    pieces->count = rows * in_row;
    pieces->bytes = windows_.channels * (joined ? windows_.kernel[2] : 1);
    const uint8_t** to = pieces->begin;
    for (int64_t i = 0; i < windows_.kernel[0]; ++i) {
      for (int64_t j = 0; j < windows_.kernel[1]; ++j) {
        const uint8_t* begin = RowOf(i, j);
        if (begin == nullptr) {
          to = std::fill_n(to, in_row, nullptr);
          continue;
        }
        if (end_ - begin < input[2] * windows_.pixel_stride + kIm2ColSlack) {
          return false;
        }
        for (int64_t l = 0; l < in_row; ++l) {
          *to++ = begin + l * windows_.dilation[2] * windows_.pixel_stride;
        }
      }
    }
    return true;
  }

  // A row of the image, of a row of the window; null outside.
  const uint8_t* RowOf(int64_t kd, int64_t kh) const {
    const int64_t z = z_ + kd * windows_.dilation[0];
    const int64_t y = y_ + kh * windows_.dilation[1];
    if (z < 0 || z >= windows_.input[0] || y < 0 || y >= windows_.input[1]) {
      return nullptr;
    }
    return image_ + (z * windows_.input[1] + y) * windows_.input[2] *
                        windows_.pixel_stride;
  }

  void RunWithCare(int64_t ox, int64_t pixels, uint8_t* dst,
                   int64_t dst_stride) const {
    const int64_t piece = windows_.kernel[2] * windows_.channels;
    for (int64_t p = 0; p < pixels; ++p, dst += dst_stride) {
      const int64_t x = (ox + p) * windows_.stride[2] - windows_.pad[2];
      uint8_t* to = dst;
      for (int64_t i = 0; i < windows_.kernel[0]; ++i) {
        for (int64_t j = 0; j < windows_.kernel[1]; ++j, to += piece) {
          const uint8_t* const row = RowOf(i, j);
          if (row != nullptr) {
            CopyRow(windows_, row, end_, fill_, x, to);
          } else {
            Fill(fill_, piece, to);
          }
        }
      }
    }
  }

  const Windows& windows_;
  const uint8_t* const image_;
  const uint8_t* const end_;
  const uint8_t fill_;
  const int64_t z_, y_;
};

void Im2ColRows(const Windows& windows, const uint8_t* image, uint8_t fill,
                int64_t first, int64_t rows, uint8_t* dst, int64_t dst_stride) {
  const auto& output = windows.output;
  for (int64_t r = 0; r < rows;) {
    const int64_t pixel = first + r;
    const int64_t ox = pixel % output[2];
    const int64_t pixels = std::min(output[2] - ox, rows - r);
    const Line line(windows, image, fill, pixel / (output[1] * output[2]),
                    pixel / output[2] % output[1]);
    line.Run(ox, pixels, dst + r * dst_stride, dst_stride);
    r += pixels;
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
