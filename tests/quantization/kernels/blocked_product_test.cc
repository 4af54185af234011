#include "quantization/kernels/blocked_product.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

// Operands of any size, where extremes are frequent.
struct Case {
  int64_t rows, k, n, a_stride, sums_stride;
  std::vector<uint8_t> a;
  std::vector<int8_t> w;  // [K, N]
  std::vector<int8_t> packed;
  BlockedWeights weights;

  explicit Case(TestRandom* random)
      : rows(random->Integer(1, 30)),
        k(random->Integer(1, random->OneIn(3) ? 300 : 20)),
        n(random->Integer(1, 200)),
        a_stride(k + random->Integer(0, 3)),
        sums_stride((n + 15) / 16 * 16 + random->Integer(0, 5)),
        a((rows - 1) * a_stride + k),
        w(k * n) {
    for (uint8_t& x : a) x = random->OneIn(2) ? 255 : random->Byte();
    for (int8_t& x : w) {
      x = random->OneIn(2) ? -128 : static_cast<int8_t>(random->Byte());
    }
    weights.k = k;
    weights.block_bytes =
        (k + 3) / 4 * 4 * kBlockOutputs + 64 * random->Integer(0, 2);
    packed.resize((n + 63) / 64 * weights.block_bytes);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        packed[j / 64 * weights.block_bytes + i / 4 * 256 + j % 64 * 4 +
               i % 4] = w[i * n + j];
      }
    }
    weights.codes = packed.data();
  }
};

template <typename Function>
void ExpectTheEquation(const Function& function) {
  TestRandom random;
  for (int round = 0; round < 1000; ++round) {
    const Case c(&random);
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.k << " x " << c.n);
    const int64_t first = random.Integer(0, (c.n - 1) / kBlockOutputs);
    const int64_t columns = c.n - first * kBlockOutputs;
    const int64_t written = (columns + 15) / 16 * 16;
    std::vector<int32_t> sums(c.rows * c.sums_stride, 7);
    function(c.a.data(), c.rows, c.a_stride, c.weights, first, columns,
             sums.data(), c.sums_stride);
    for (int64_t r = 0; r < c.rows; ++r) {
      for (int64_t j = 0; j < c.sums_stride; ++j) {
        int32_t expected = j < written ? 0 : 7;
        for (int64_t i = 0; i < c.k && j < columns; ++i) {
          expected += c.a[r * c.a_stride + i] *
                      c.w[i * c.n + first * kBlockOutputs + j];
        }
        ASSERT_EQ(sums[r * c.sums_stride + j], expected) << r << ", " << j;
      }
    }
  }
}

TEST(BlockedProduct, ThePlainFormIsTheEquation) {
  ExpectTheEquation(reference::BlockedProduct);
}

TEST(BlockedProduct, SoIsTheFastOne) {
  if (!HasVnniProduct()) GTEST_SKIP() << "no VNNI of 512 bits, or the cap";
  ExpectTheEquation(BlockedProduct);
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
