#include "quantization/kernels/depthwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

// One line of an output, and what it reads.
struct Line {
  int64_t channels, rows, columns, column_step, pixel_step, pixels;
  std::vector<int8_t> codes;
  std::vector<int32_t> zero_points;
  std::vector<std::vector<uint8_t>> x;

  std::vector<const uint8_t*> pointers() const {
    std::vector<const uint8_t*> result;
    for (const auto& row : x) result.push_back(row.data());
    return result;
  }

  DepthwiseFilter Pack() const {
    return PackDepthwise(codes.data(), zero_points.data(), channels, rows,
                         columns);
  }

  std::vector<int32_t> Expected() const {
    std::vector<int32_t> sums(pixels * channels);
    for (int64_t p = 0; p < pixels; ++p) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t s = 0; s < columns; ++s) {
            sums[p * channels + c] +=
                x[r][p * pixel_step + s * column_step + c] *
                (codes[(c * rows + r) * columns + s] - zero_points[c]);
          }
        }
      }
    }
    return sums;
  }
};

Line RandomLine(TestRandom* random) {
  Line line;
  line.channels = random->Integer(1, random->OneIn(2) ? 20 : 100);
  line.rows = random->Integer(1, 9);
  line.columns = random->Integer(1, 6);
  if (random->OneIn(2)) {
    line.rows = random->OneIn(2) ? 3 : 5;
    line.columns = line.rows;
  }
  const int64_t step = line.channels + random->Integer(0, 3);
  line.column_step = step * (random->OneIn(3) ? 2 : 1);
  line.pixel_step = step * random->Integer(1, 3);
  line.pixels = random->Integer(1, 12);
  line.codes.resize(line.channels * line.rows * line.columns);
  const bool extremes = random->OneIn(2);
  const bool few_bits = random->OneIn(2);  // weights of eight bits
  for (int8_t& code : line.codes) {
    code = static_cast<int8_t>(random->Byte());
    if (extremes) code = code < 0 ? -128 : 127;
    if (few_bits) code = static_cast<int8_t>(code / 2);
  }
  line.zero_points.resize(line.channels);
  for (int32_t& zero_point : line.zero_points) {
    zero_point = few_bits   ? random->Integer(-63, 63)
                 : extremes ? (random->OneIn(2) ? -128 : 127)
                            : random->Integer(-128, 127);
  }
  line.x.resize(line.rows);
  for (auto& row : line.x) {
    // No byte more than the windows have.
    row.resize((line.pixels - 1) * line.pixel_step +
               (line.columns - 1) * line.column_step + line.channels);
    for (uint8_t& code : row) code = extremes ? 255 : random->Byte();
  }
  return line;
}

TEST(DepthwiseSums, ThePlainFormIsTheEquation) {
  TestRandom random;
  for (int i = 0; i < 200; ++i) {
    const Line line = RandomLine(&random);
    std::vector<int32_t> sums(line.pixels * line.channels);
    reference::DepthwiseSums(line.Pack(), line.pointers().data(),
                             line.column_step, line.pixel_step, line.pixels,
                             sums.data());
    ASSERT_EQ(sums, line.Expected());
  }
}

TEST(DepthwiseSums, OnEveryTarget) {
  constexpr int32_t kGuard = 0x5a5a5a5a;
  TestRandom random;
  for (const std::string& target : SupportedTargetNames()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTargetForTest(target));
    for (int i = 0; i < 500; ++i) {
      const Line line = RandomLine(&random);
      std::vector<int32_t> sums(line.pixels * line.channels + 1, kGuard);
      DepthwiseSums(line.Pack(), line.pointers().data(), line.column_step,
                    line.pixel_step, line.pixels, sums.data());
      ASSERT_EQ(sums.back(), kGuard);
      sums.pop_back();
      ASSERT_EQ(sums, line.Expected())
          << line.channels << " channels, " << line.rows << " x "
          << line.columns << ", steps " << line.column_step << " and "
          << line.pixel_step << ", " << line.pixels << " pixels";
    }
  }
  ClearForcedTargetForTest();
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
