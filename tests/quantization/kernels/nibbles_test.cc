#include "quantization/kernels/nibbles.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(NibblesReference, LowHalfFirstAndAnOddTailIsZero) {
  const uint8_t codes[] = {0x01, 0xFE, 0x08};  // the low 4 bits count
  uint8_t packed[3] = {9, 9, 9};
  reference::PackNibbles(codes, 3, packed);
  EXPECT_EQ(packed[0], 0xE1);
  EXPECT_EQ(packed[1], 0x08);
  EXPECT_EQ(packed[2], 9);
  uint8_t unpacked[3];
  reference::UnpackNibbles(packed, 3, false, unpacked);
  EXPECT_EQ(std::vector<int>(unpacked, unpacked + 3),
            (std::vector<int>{1, 14, 8}));
  reference::UnpackNibbles(packed, 3, true, unpacked);
  EXPECT_EQ(static_cast<int8_t>(unpacked[0]), 1);
  EXPECT_EQ(static_cast<int8_t>(unpacked[1]), -2);
  EXPECT_EQ(static_cast<int8_t>(unpacked[2]), -8);
}

TEST(Nibbles, EveryTargetHasTheReferencesBytes) {
  TestRandom random;
  OnEveryTarget([&] {
    for (std::size_t count = 0; count < 300; ++count) {
      std::vector<uint8_t> codes(count);
      for (auto& code : codes) code = random.Byte();
      const std::size_t bytes = (count + 1) / 2;
      // A guard behind.
      std::vector<uint8_t> expected(bytes + 1, 77), actual(bytes + 1, 77);
      reference::PackNibbles(codes.data(), count, expected.data());
      PackNibbles(codes.data(), count, actual.data());
      ASSERT_EQ(actual, expected) << count;
      for (const bool is_signed : {false, true}) {
        std::vector<uint8_t> wanted(count + 1, 77), got(count + 1, 77);
        reference::UnpackNibbles(expected.data(), count, is_signed,
                                 wanted.data());
        UnpackNibbles(expected.data(), count, is_signed, got.data());
        ASSERT_EQ(got, wanted) << count;
        ASSERT_EQ(got[count], 77);
      }
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
