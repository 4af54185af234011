// Sums of rows on every target, against a plain loop.
#include "quantization/kernels/row_sums.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(RowSums, AreSums) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int64_t k = 0; k < 300; ++k) {
      const int64_t rows = random.Integer(1, 3);
      const int64_t stride = k + random.Integer(0, 5);
      std::vector<uint8_t> a((rows - 1) * stride + k);
      for (uint8_t& code : a) code = random.OneIn(2) ? 255 : random.Byte();
      std::vector<int32_t> sums(rows + 1, 7), expected(rows + 1, 7);
      for (int64_t r = 0; r < rows; ++r) {
        expected[r] = 0;
        for (int64_t i = 0; i < k; ++i) expected[r] += a[r * stride + i];
      }
      RowSums(a.data(), rows, k, stride, sums.data());
      ASSERT_EQ(sums, expected) << k;
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
