#include "quantization/kernels/move_rows.h"

#include <gtest/gtest.h>

#include <vector>

#include "quantization/kernels/quantize.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(MoveRows, ThePlainFormIsTheEquation) {
  const std::vector<uint8_t> src = {1, 2, 3, 4, 5, 6};
  const std::vector<int32_t> rows = {2, 0, 2, 1};
  std::vector<uint8_t> dst(8);
  reference::MoveRows(src.data(), 2, rows.data(), 4, dst.data());
  EXPECT_EQ(dst, (std::vector<uint8_t>{5, 6, 1, 2, 5, 6, 3, 4}));
}

// Rows of `row_bytes`, with guards on both sides of src and dst.
template <typename Index>
void ExpectTheReference(TestRandom* random, int64_t row_bytes, int64_t count) {
  constexpr int64_t kGuard = 5;
  const int64_t num_rows = random->Integer(1, 20);
  std::vector<uint8_t> src(num_rows * row_bytes);
  for (uint8_t& byte : src) byte = random->Byte();
  std::vector<Index> rows(count);
  for (Index& row : rows) {
    row = static_cast<Index>(random->Integer(0, num_rows - 1));
  }
  for (const bool streams : {false, true}) {
    std::vector<uint8_t> expected(count * row_bytes + 2 * kGuard, 77);
    std::vector<uint8_t> dst = expected;
    reference::MoveRows(src.data(), row_bytes, rows.data(), count,
                        expected.data() + kGuard);
    MoveRows(src.data(), row_bytes, rows.data(), count, streams,
             dst.data() + kGuard);
    ASSERT_TRUE(dst == expected)
        << count << " rows of " << row_bytes << ", streams " << streams;
  }
}

TEST(MoveSpacedRows, ThePlainFormIsTheEquation) {
  const std::vector<uint8_t> src = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<uint8_t> dst(6);
  reference::MoveSpacedRows(src.data() + 1, 2, 3, 3, dst.data());
  EXPECT_EQ(dst, (std::vector<uint8_t>{2, 3, 5, 6, 8, 9}));
}

TEST(MoveRows, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int64_t row_bytes = 0; row_bytes < 150; ++row_bytes) {
      ExpectTheReference<int32_t>(&random, row_bytes, random.Integer(0, 300));
      ExpectTheReference<int64_t>(&random, row_bytes, random.Integer(0, 30));
    }
    for (const int64_t row_bytes : {255, 256, 1000, 1023, 1024, 5000, 20000}) {
      ExpectTheReference<int32_t>(&random, row_bytes, random.Integer(1, 20));
    }
  });
}

TEST(MoveSpacedRows, OnEveryTarget) {
  constexpr int64_t kGuard = 5;
  TestRandom random;
  OnEveryTarget([&] {
    for (int64_t row_bytes = 0; row_bytes < 1200;
         row_bytes += row_bytes < 150 ? 1 : 131) {
      const int64_t count = random.Integer(0, 300);
      const int64_t step = row_bytes + random.Integer(0, 70);
      std::vector<uint8_t> src(count * step + 1);
      for (uint8_t& byte : src) byte = random.Byte();
      for (const bool streams : {false, true}) {
        std::vector<uint8_t> expected(count * row_bytes + 2 * kGuard, 77);
        std::vector<uint8_t> dst = expected;
        reference::MoveSpacedRows(src.data(), row_bytes, step, count,
                                  expected.data() + kGuard);
        MoveSpacedRows(src.data(), row_bytes, step, count, streams,
                       dst.data() + kGuard);
        ASSERT_TRUE(dst == expected)
            << count << " rows of " << row_bytes << ", step " << step
            << ", streams " << streams;
      }
    }
  });
}

// These are streamed from where they are.
TEST(MoveRows, LongRowsOfWholeLines) {
  TestRandom random;
  OnEveryTarget([&] {
    for (const int64_t row_bytes : {512, 576, 1024, 4160}) {
      const int64_t count = random.Integer(0, 40);
      std::vector<uint8_t> src(20 * row_bytes + 7);
      for (uint8_t& byte : src) byte = random.Byte();
      std::vector<int64_t> rows(count);
      for (int64_t& row : rows) row = random.Integer(0, 19);
      std::vector<uint8_t> expected(count * row_bytes + 2 * kCacheLine, 77);
      std::vector<uint8_t> dst = expected;
      const auto first_line = [](std::vector<uint8_t>* bytes) {
        const auto place = reinterpret_cast<uintptr_t>(bytes->data());
        return bytes->data() + (kCacheLine - place % kCacheLine);
      };
      reference::MoveRows(src.data() + 7, row_bytes, rows.data(), count,
                          first_line(&expected));
      MoveRows(src.data() + 7, row_bytes, rows.data(), count, true,
               first_line(&dst));
      for (int64_t i = 0; i < count * row_bytes; ++i) {
        ASSERT_EQ(first_line(&dst)[i], first_line(&expected)[i])
            << i << " of rows of " << row_bytes;
      }
      EXPECT_EQ(first_line(&dst)[-1], 77);
      EXPECT_EQ(first_line(&dst)[count * row_bytes], 77);
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
