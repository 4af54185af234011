#include "quantization/kernels/code_moments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

std::vector<int64_t> Values(const std::vector<CodeMoments>& moments) {
  std::vector<int64_t> values;
  for (const CodeMoments& m : moments) {
    values.push_back(m.sum);
    values.push_back(m.squares);
  }
  return values;
}

TEST(CodeMoments, ThePlainFormsAreTheEquations) {
  const std::vector<uint8_t> src = {1, 2, 9, 255, 0, 9, 4, 5, 9};
  const CodeMoments run = reference::RunMoments(src.data() + 2, 3);
  EXPECT_EQ(run.sum, 9 + 255);
  EXPECT_EQ(run.squares, 81 + 65025);
  std::vector<CodeMoments> columns(2);
  reference::ColumnMoments(src.data(), 3, 2, 3, columns.data());
  EXPECT_EQ(Values(columns), (std::vector<int64_t>{260, 65042, 7, 29}));
}

TEST(CodeMoments, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int i = 0; i < 300; ++i) {
      const int64_t rows = random.Integer(0, 40);
      const int64_t columns = random.Integer(1, 150);
      const int64_t stride = columns + random.Integer(0, 9);
      std::vector<uint8_t> src(std::max<int64_t>(rows * stride, columns));
      const bool largest = random.OneIn(4);
      for (uint8_t& code : src) code = largest ? 255 : random.Byte();
      const int64_t count = rows * stride;
      const CodeMoments run = RunMoments(src.data(), count);
      const CodeMoments plain = reference::RunMoments(src.data(), count);
      ASSERT_EQ(Values({run}), Values({plain})) << count;
      std::vector<CodeMoments> expected(columns), actual(columns, run);
      reference::ColumnMoments(src.data(), rows, columns, stride,
                               expected.data());
      ColumnMoments(src.data(), rows, columns, stride, actual.data());
      ASSERT_EQ(Values(actual), Values(expected)) << rows << " x " << columns;
    }
  });
}

// Of more codes of 255 than squares fit into 32 bits.
TEST(CodeMoments, DoNotOverflow) {
  constexpr int64_t kRows = 70'000, kColumns = 70;
  const std::vector<uint8_t> src(kRows * kColumns, 255);
  OnEveryTarget([&] {
    const CodeMoments run = RunMoments(src.data(), kRows * kColumns);
    EXPECT_EQ(run.sum, 255 * kRows * kColumns);
    EXPECT_EQ(run.squares, 65'025 * kRows * kColumns);
    std::vector<CodeMoments> columns(kColumns);
    ColumnMoments(src.data(), kRows, kColumns, kColumns, columns.data());
    for (const CodeMoments& column : columns) {
      ASSERT_EQ(column.sum, 255 * kRows);
      ASSERT_EQ(column.squares, 65'025 * kRows);
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
