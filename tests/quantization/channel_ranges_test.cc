#include "quantization/channel_ranges.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

TEST(ChannelRanges, EqualAPlainLoopWhicheverAxisTheChannelsAreOn) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  TestRandom random;
  OnEveryTarget([&] {
    for (int round = 0; round < 200; ++round) {
      constexpr int64_t kInner[] = {1, 2, 9, 63, 64, 200};
      ChannelLayout layout;
      layout.outer = random.Integer(1, 40);
      layout.channels = random.Integer(1, 50);
      layout.inner = kInner[random.Integer(0, 5)];
      SCOPED_TRACE(std::to_string(layout.outer) + " x " +
                   std::to_string(layout.channels) + " x " +
                   std::to_string(layout.inner));
      std::vector<float> src(static_cast<std::size_t>(layout.count()));
      const bool all_finite = random.OneIn(2);
      for (float& x : src) {
        x = random.Float(-9, 9);
        if (random.OneIn(5)) x = 0;
        if (all_finite) continue;
        if (random.OneIn(20)) x = std::numeric_limits<float>::quiet_NaN();
        if (random.OneIn(20)) x = random.OneIn(2) ? kInfinity : -kInfinity;
      }
      const ChannelRanges found = FindChannelRanges(src.data(), layout);
      const auto channels = static_cast<std::size_t>(layout.channels);
      std::vector<float> mins(channels, kInfinity), maxs(channels, -kInfinity);
      for (std::size_t i = 0; i < src.size(); ++i) {
        const std::size_t c =
            i / static_cast<std::size_t>(layout.inner) % channels;
        if (!(src[i] - src[i] == 0)) continue;
        if (src[i] < mins[c]) mins[c] = src[i];
        if (src[i] > maxs[c]) maxs[c] = src[i];
      }
      EXPECT_EQ(found.mins, mins);
      EXPECT_EQ(found.maxs, maxs);
      const auto all = kernels::reference::MinMax(src.data(), src.size());
      EXPECT_EQ(found.all.min, all.min);
      EXPECT_EQ(found.all.max, all.max);
      EXPECT_EQ(found.all.zero_count, all.zero_count);
      EXPECT_EQ(found.all.nan_count, all.nan_count);
      EXPECT_EQ(found.all.left_out(), all.left_out());
    }
  });
}

TEST(ChannelRanges, OfNoElements) {
  ChannelLayout layout;
  layout.outer = 0;
  layout.channels = 3;
  layout.inner = 0;
  const ChannelRanges found = FindChannelRanges(nullptr, layout);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(found.mins, std::vector<float>(3, kInfinity));
  EXPECT_EQ(found.maxs, std::vector<float>(3, -kInfinity));
}

}  // namespace
}  // namespace caffe2_quantization
