// The product of bit matrices on every target, against the product of integers.
#include "quantization/kernels/bit_matmul.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "quantization/kernels/bit_planes.h"
#include "tests/support/every_target.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

using Bytes = std::vector<uint8_t>;
using Integers = std::vector<int32_t>;

Integers RandomIntegers(size_t n, BitPlaneFormat format, uint32_t seed) {
  std::mt19937 random(seed);
  const int32_t high = LargestOf(format);
  std::uniform_int_distribution<int32_t> any(format.is_signed ? -high : 0,
                                             high);
  Integers integers(n);
  for (int32_t& x : integers) {
    const uint32_t kind = random() % 8;
    x = kind == 0 ? 0 : kind == 1 ? high : any(random);
  }
  return integers;
}

class BitMatMulTest : public TargetTest {};
INSTANTIATE_ON_EVERY_TARGET(BitMatMulTest);

// Everything a product needs, made from two integer matrices.
struct Operands {
  Operands(size_t m, size_t n, size_t k, BitPlaneFormat a_format,
           BitPlaneFormat b_format, uint32_t seed)
      : a(RandomIntegers(m * k, a_format, seed)),
        b(RandomIntegers(n * k, b_format, seed + 1)),
        row_bytes(BitRowBytes(k)),
        a_rows(a_format.planes() * m * row_bytes),
        panels(b_format.planes() * BitPanelWords(n, row_bytes)) {
    PackBitRows(a.data(), m, k, a_format.planes(), a_rows.data());
    Bytes b_rows(b_format.planes() * n * row_bytes);
    PackBitRows(b.data(), n, k, b_format.planes(), b_rows.data());
    PackBitPanels(b_rows.data(), n, row_bytes, b_format.planes(),
                  panels.data());
    left = {a_rows.data(), m, m * row_bytes, a_format.planes(),
            a_format.is_signed};
    right = {panels.data(), n, BitPanelWords(n, row_bytes), b_format.planes(),
             b_format.is_signed};
  }

  Integers a, b;
  size_t row_bytes;
  Bytes a_rows;
  std::vector<uint32_t> panels;
  BitRows left;
  BitPanels right;
};

TEST_P(BitMatMulTest, IsTheIntegerProduct) {
  uint32_t seed = 0;
  const auto check = [&](size_t m, size_t n, size_t k, BitPlaneFormat a_format,
                         BitPlaneFormat b_format) {
    SCOPED_TRACE(testing::Message()
                 << "m " << m << " n " << n << " k " << k << " bits "
                 << a_format.precision << (a_format.is_signed ? "s" : "u")
                 << " x " << b_format.precision
                 << (b_format.is_signed ? "s" : "u") << " seed " << ++seed);
    const Operands operands(m, n, k, a_format, b_format, seed);
    const size_t ldc = n + 3;
    Integers got(m * ldc, 77);
    BitPlaneMatMul(operands.left, operands.right, operands.row_bytes,
                   got.data(), ldc);
    Integers want(m * ldc, 77);
    for (size_t i = 0; i < m; ++i) {
      for (size_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (size_t l = 0; l < k; ++l) {
          sum += int64_t{operands.a[i * k + l]} * operands.b[j * k + l];
        }
        want[i * ldc + j] = static_cast<int32_t>(sum);
      }
    }
    ASSERT_EQ(got, want);
  };
  for (int p = 1; p <= 8; ++p) {
    for (int q = 1; q <= 8; ++q) {
      for (bool a_signed : {false, true}) {
        for (bool b_signed : {false, true}) {
          check(5, 19, 70, {p, a_signed}, {q, b_signed});
        }
      }
    }
  }
  for (size_t m : {1, 2, 7, 8, 9, 17}) {
    for (size_t n : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 65}) {
      for (size_t k : {0, 1, 31, 32, 33, 991, 993, 2100}) {
        check(m, n, k, {1, false}, {1, false});
        check(m, n, k, {2, true}, {1, true});
      }
    }
  }
  check(9, 20, 5000, {8, true}, {8, true});
}

TEST_P(BitMatMulTest, OfABlockOfRows) {
  const Operands all(20, 24, 100, {2, true}, {3, true}, 1);
  Integers whole(20 * 24);
  BitPlaneMatMul(all.left, all.right, all.row_bytes, whole.data(), 24);
  BitRows part = all.left;
  part.data += 7 * all.row_bytes;
  part.rows = 11;
  Integers got(11 * 24);
  BitPlaneMatMul(part, all.right, all.row_bytes, got.data(), 24);
  EXPECT_EQ(got, Integers(whole.begin() + 7 * 24, whole.begin() + 18 * 24));
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
