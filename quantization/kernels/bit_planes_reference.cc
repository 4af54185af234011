// The plain scalar forms of the bit plane kernels.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantization/kernels/bit_planes.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

inline bool GetBit(const uint8_t* plane, std::size_t i) {
  return (plane[i / 8] & (0x80 >> (i % 8))) != 0;
}

inline void SetBit(uint8_t* plane, std::size_t i) {
  plane[i / 8] = static_cast<uint8_t>(plane[i / 8] | (0x80 >> (i % 8)));
}

struct SignMagnitude {
  uint64_t magnitude;
  bool negative;  // false for 0
};

inline SignMagnitude ReadInteger(const uint8_t* src, std::size_t plane_bytes,
                                 std::size_t i, BitPlaneFormat format) {
  uint64_t magnitude = 0;
  for (int bit = 0; bit < format.precision; ++bit) {
    if (GetBit(src + bit * plane_bytes, i)) magnitude |= uint64_t{1} << bit;
  }
  const bool negative = format.is_signed && magnitude != 0 &&
                        GetBit(src + format.precision * plane_bytes, i);
  return {magnitude, negative};
}

inline void WriteInteger(int32_t value, std::size_t i, BitPlaneFormat format,
                         std::size_t plane_bytes, uint8_t* dst) {
  const uint32_t bits = static_cast<uint32_t>(value);
  const uint32_t magnitude = value < 0 ? 0u - bits : bits;
  for (int bit = 0; bit < format.precision; ++bit) {
    if ((magnitude >> bit) & 1) SetBit(dst + bit * plane_bytes, i);
  }
  if (format.is_signed && value < 0) {
    SetBit(dst + format.precision * plane_bytes, i);
  }
}

inline int32_t Quantize(float v, double scale, double bias, double low,
                        double high) {
  double x = static_cast<double>(v) / scale - bias;
  x = x > low ? x : low;
  x = x < high ? x : high;
  return static_cast<int32_t>(std::nearbyint(x));
}

template <typename Int>
void Unpack(const uint8_t* src, std::size_t n, BitPlaneFormat format,
            Int* dst) {
  const std::size_t plane_bytes = BitPlaneBytes(n);
  for (std::size_t i = 0; i < n; ++i) {
    const SignMagnitude x = ReadInteger(src, plane_bytes, i, format);
    const Int magnitude = static_cast<Int>(x.magnitude);
    dst[i] = x.negative ? -magnitude : magnitude;
  }
}

}  // namespace

void PackBitPlanes(const int32_t* src, std::size_t n, BitPlaneFormat format,
                   uint8_t* dst) {
  const std::size_t plane_bytes = BitPlaneBytes(n);
  std::fill(dst, dst + format.planes() * plane_bytes, uint8_t{0});
  for (std::size_t i = 0; i < n; ++i) {
    WriteInteger(src[i], i, format, plane_bytes, dst);
  }
}

void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int32_t* dst) {
  Unpack(src, n, format, dst);
}

void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int64_t* dst) {
  Unpack(src, n, format, dst);
}

void DequantizeBitPlanes(const uint8_t* src, BitPlaneFormat format,
                         const ChannelParams& params, float* dst) {
  const std::size_t plane_bytes = BitPlaneBytes(params.size());
  std::size_t i = 0;
  for (std::size_t o = 0; o < params.outer; ++o) {
    for (std::size_t c = 0; c < params.channels; ++c) {
      for (std::size_t k = 0; k < params.inner; ++k, ++i) {
        const SignMagnitude x = ReadInteger(src, plane_bytes, i, format);
        const double magnitude = static_cast<double>(x.magnitude);
        const double sum =
            (x.negative ? -magnitude : magnitude) + params.biases[c];
        dst[i] = static_cast<float>(params.scales[c] * sum);
      }
    }
  }
}

void QuantizeToIntegers(const float* src, std::size_t n, double scale,
                        double bias, int32_t low, int32_t high, int32_t* dst) {
  for (std::size_t i = 0; i < n; ++i) {
    dst[i] = Quantize(src[i], scale, bias, low, high);
  }
}

void QuantizeToBitPlanes(const float* src, BitPlaneFormat format,
                         const ChannelParams& params, uint8_t* dst) {
  const std::size_t plane_bytes = BitPlaneBytes(params.size());
  const double high = LargestOf(format);
  const double low = format.is_signed ? -high : 0;
  std::fill(dst, dst + format.planes() * plane_bytes, uint8_t{0});
  std::size_t i = 0;
  for (std::size_t o = 0; o < params.outer; ++o) {
    for (std::size_t c = 0; c < params.channels; ++c) {
      for (std::size_t k = 0; k < params.inner; ++k, ++i) {
        WriteInteger(
            Quantize(src[i], params.scales[c], params.biases[c], low, high), i,
            format, plane_bytes, dst);
      }
    }
  }
}

void PackBitRows(const int32_t* src, std::size_t rows, std::size_t columns,
                 int planes, uint8_t* dst) {
  const std::size_t row_bytes = BitRowBytes(columns);
  std::fill(dst, dst + planes * rows * row_bytes, uint8_t{0});
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t k = 0; k < columns; ++k) {
      const uint32_t bits = static_cast<uint32_t>(src[row * columns + k]);
      for (int p = 0; p < planes; ++p) {
        if ((bits >> p) & 1) SetBit(dst + (p * rows + row) * row_bytes, k);
      }
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
