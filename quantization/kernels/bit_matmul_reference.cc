// The product of bit matrices, by the definition.
#include <cstring>

#include "quantization/kernels/bit_matmul.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

constexpr std::size_t kWordBytes = sizeof(uint32_t);

}  // namespace

void PackBitPanels(const uint8_t* rows, std::size_t n, std::size_t row_bytes,
                   int planes, uint32_t* panels) {
  const std::size_t words = row_bytes / kWordBytes;
  for (int p = 0; p < planes; ++p) {
    for (std::size_t first = 0; first < n; first += kBitPanelColumns) {
      for (std::size_t w = 0; w < words; ++w) {
        for (std::size_t r = first; r < first + kBitPanelColumns; ++r) {
          uint32_t word = 0;
          if (r < n) {
            std::memcpy(&word, rows + (p * n + r) * row_bytes + w * kWordBytes,
                        kWordBytes);
          }
          *panels++ = word;
        }
      }
    }
  }
}

void BitPlaneMatMul(const BitRows& a, const BitPanels& b, std::size_t row_bytes,
                    int32_t* c, std::size_t ldc) {
  const std::size_t words = row_bytes / kWordBytes;
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < b.rows; ++j) {
      uint32_t sum = 0;
      for (int p = 0; p < a.planes; ++p) {
        const uint8_t* const row = a.data + p * a.plane_bytes + i * row_bytes;
        for (int q = 0; q < b.planes; ++q) {
          const uint32_t* const column =
              b.data + q * b.plane_words +
              j / kBitPanelColumns * kBitPanelColumns * words +
              j % kBitPanelColumns;
          uint32_t count = 0;
          for (std::size_t w = 0; w < words; ++w) {
            uint32_t word;
            std::memcpy(&word, row + w * kWordBytes, kWordBytes);
            count += static_cast<uint32_t>(
                __builtin_popcount(word & column[w * kBitPanelColumns]));
          }
          const bool negative = (a.is_signed && p == a.planes - 1) !=
                                (b.is_signed && q == b.planes - 1);
          count <<= p + q;
          sum += negative ? 0u - count : count;
        }
      }
      c[i * ldc + j] = static_cast<int32_t>(sum);
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
