#include "quantization/kernels/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

std::string Text(const PoolShape& shape) {
  std::ostringstream text;
  text << (shape.channels_first ? "NCHW " : "NHWC ") << shape.batch << " x "
       << shape.channels << " channels";
  for (int dim = 0; dim < 3; ++dim) {
    text << "; " << shape.input[dim] << " to " << shape.output[dim]
         << ", kernel " << shape.kernel[dim] << ", stride " << shape.stride[dim]
         << ", pad " << shape.pad[dim];
  }
  return text.str();
}

PoolShape RandomShape(TestRandom* random) {
  PoolShape shape;
  const auto draw = [&](int bits) {
    return random->Integer(1, int64_t{1} << random->Integer(0, bits));
  };
  do {
    shape = PoolShape();
    shape.batch = random->Integer(0, 3);
    shape.channels = random->OneIn(6) ? random->Integer(1, 1200) : draw(7);
    shape.channels_first = random->OneIn(2);
    const bool is_large = shape.batch * shape.channels < 8;
    for (int dim = static_cast<int>(random->Integer(0, 2)); dim < 3; ++dim) {
      shape.input[dim] = draw(is_large ? 7 : 4);
      shape.kernel[dim] = random->OneIn(5) ? shape.input[dim] : draw(2);
      shape.stride[dim] = random->Integer(1, 4);
      shape.pad[dim] =
          random->OneIn(2) ? 0 : random->Integer(-2, shape.kernel[dim] - 1);
      const int64_t reach =
          shape.input[dim] + shape.pad[dim] - shape.kernel[dim] +
          random->Integer(0, std::max<int64_t>(shape.kernel[dim] - 1, 0));
      shape.output[dim] = std::max<int64_t>(reach / shape.stride[dim] + 1, 1);
    }
  } while (!shape.HasInputs());
  return shape;
}

template <typename T>
std::vector<T> RandomCodes(TestRandom* random, const PoolShape& shape) {
  std::vector<T> codes(shape.batch * shape.channels * shape.input_size());
  // Small codes have sums with many ties.
  const auto mask = static_cast<T>(random->OneIn(3) ? 3 : ~0);
  for (T& code : codes) {
    code = static_cast<T>(random->generator()()) & mask;
  }
  return codes;
}

// Any scales, equal ones, and such as have ties.
AverageRounding RandomRounding(TestRandom* random, int64_t most_code,
                               const PoolShape& shape) {
  AverageRounding rounding{};
  rounding.scale = std::ldexp(random->Float(1, 2), random->Integer(-9, 3));
  rounding.y_scale = rounding.scale * random->Float(0.2f, 4);
  if (random->OneIn(2)) {
    rounding.y_scale = std::ldexp(rounding.scale, random->Integer(-3, 3));
  }
  const int64_t largest = random->OneIn(3) ? most_code / 2 : most_code;
  rounding.zero_point = static_cast<int32_t>(random->Integer(0, most_code));
  rounding.range = {static_cast<int32_t>(random->Integer(0, largest)), 0,
                    static_cast<int32_t>(largest)};
  if (random->OneIn(3)) {
    rounding.divisor = shape.kernel[0] * shape.kernel[1] * shape.kernel[2];
  }
  return rounding;
}

// The codes of every window, in the order of the output, by coordinates.
template <typename T>
std::vector<std::vector<T>> Windows(const PoolShape& shape,
                                    const std::vector<T>& src) {
  const auto place = [&](int64_t n, int64_t c, const PoolShape::Sizes& at,
                         const PoolShape::Sizes& sizes) {
    const int64_t pixel = (at[0] * sizes[1] + at[1]) * sizes[2] + at[2];
    const int64_t pixels = sizes[0] * sizes[1] * sizes[2];
    return shape.channels_first ? (n * shape.channels + c) * pixels + pixel
                                : (n * pixels + pixel) * shape.channels + c;
  };
  std::vector<std::vector<T>> windows(shape.lines() * shape.line_size());
  PoolShape::Sizes o, k;
  const auto each = [](PoolShape::Sizes* at, const PoolShape::Sizes& sizes,
                       const auto& body) {
    for ((*at)[0] = 0; (*at)[0] < sizes[0]; ++(*at)[0]) {
      for ((*at)[1] = 0; (*at)[1] < sizes[1]; ++(*at)[1]) {
        for ((*at)[2] = 0; (*at)[2] < sizes[2]; ++(*at)[2]) body();
      }
    }
  };
  for (int64_t n = 0; n < shape.batch; ++n) {
    for (int64_t c = 0; c < shape.channels; ++c) {
      each(&o, shape.output, [&] {
        auto& window = windows[place(n, c, o, shape.output)];
        each(&k, shape.kernel, [&] {
          PoolShape::Sizes at;
          for (int dim = 0; dim < 3; ++dim) {
            at[dim] = o[dim] * shape.stride[dim] - shape.pad[dim] + k[dim];
            if (at[dim] < 0 || at[dim] >= shape.input[dim]) return;
          }
          window.push_back(src[place(n, c, at, shape.input)]);
        });
      });
    }
  }
  return windows;
}

template <typename T>
void ExpectTheDefinition(TestRandom* random) {
  constexpr int64_t kMost = std::numeric_limits<T>::max();
  for (int i = 0; i < 300; ++i) {
    const PoolShape shape = RandomShape(random);
    SCOPED_TRACE(Text(shape));
    const auto src = RandomCodes<T>(random, shape);
    const AverageRounding rounding = RandomRounding(random, kMost, shape);
    const auto windows = Windows(shape, src);
    std::vector<T> most(windows.size()), average(windows.size());
    const auto least = static_cast<T>(random->Integer(0, 200));
    reference::MaxPool(shape, src.data(), least, 0, shape.lines(), most.data());
    reference::AveragePool(shape, src.data(), rounding, 0, shape.lines(),
                           average.data());
    for (std::size_t w = 0; w < windows.size(); ++w) {
      T expected = least;
      int64_t centred = 0;
      ASSERT_FALSE(windows[w].empty());
      for (const T code : windows[w]) {
        expected = std::max(expected, code);
        centred += code - rounding.zero_point;
      }
      ASSERT_EQ(most[w], expected) << w;
      const auto divisor = static_cast<double>(
          rounding.divisor > 0 ? rounding.divisor : windows[w].size());
      const double value = static_cast<double>(centred) * rounding.scale /
                           (divisor * rounding.y_scale);
      const double code = std::nearbyint(value) + rounding.range.zero_point;
      ASSERT_EQ(average[w],
                std::min(std::max(code, 0.0), double(rounding.range.qmax)))
          << w << ": " << value;
    }
  }
}

TEST(Pool, ThePlainFormsAreTheDefinition) {
  TestRandom random;
  ExpectTheDefinition<uint8_t>(&random);
  ExpectTheDefinition<uint16_t>(&random);
}

TEST(Pool, MergedShapesGiveTheSame) {
  TestRandom random;
  int merged_shapes = 0;
  for (int i = 0; i < 300; ++i) {
    const PoolShape shape = RandomShape(&random);
    const PoolShape merged = MergedShape(shape);
    SCOPED_TRACE(Text(shape) + " as " + Text(merged));
    merged_shapes += merged.input != shape.input;
    const auto src = RandomCodes<uint8_t>(&random, shape);
    EXPECT_TRUE(merged.HasInputs());
    ASSERT_EQ(Windows(merged, src), Windows(shape, src));
  }
  EXPECT_GT(merged_shapes, 20);
  PoolShape global;
  global.channels = 8;
  global.input = global.kernel = {4, 5, 6};
  EXPECT_EQ(MergedShape(global).input, (PoolShape::Sizes{1, 1, 120}));
}

template <typename T>
void ExpectTheReference(TestRandom* random, PoolShape shape) {
  if (random->OneIn(2)) shape = MergedShape(shape);
  SCOPED_TRACE(Text(shape));
  const auto src = RandomCodes<T>(random, shape);
  const AverageRounding rounding =
      RandomRounding(random, std::numeric_limits<T>::max(), shape);
  const auto least = static_cast<T>(random->OneIn(2) ? 0 : 100);
  // Some of the lines; what is around them stays.
  const int64_t begin = random->Integer(0, shape.lines() / 2);
  const int64_t end = random->Integer(begin, shape.lines());
  const auto compare = [&](const char* what, const auto& pool,
                           const auto& plain) {
    std::vector<T> dst(shape.lines() * shape.line_size(), 99);
    std::vector<T> expected = dst;
    pool(dst.data() + begin * shape.line_size());
    plain(expected.data() + begin * shape.line_size());
    for (std::size_t i = 0; i < dst.size(); ++i) {
      ASSERT_EQ(dst[i], expected[i]) << what << ", code " << i;
    }
  };
  compare(
      "max",
      [&](T* dst) { MaxPool(shape, src.data(), least, begin, end, dst); },
      [&](T* dst) {
        reference::MaxPool(shape, src.data(), least, begin, end, dst);
      });
  compare(
      "average",
      [&](T* dst) {
        AveragePool(shape, src.data(), rounding, begin, end, dst);
      },
      [&](T* dst) {
        reference::AveragePool(shape, src.data(), rounding, begin, end, dst);
      });
}

TEST(Pool, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int i = 0; i < 400; ++i) {
      ExpectTheReference<uint8_t>(&random, RandomShape(&random));
      ExpectTheReference<uint16_t>(&random, RandomShape(&random));
    }
    if (testing::Test::HasFatalFailure()) return;
    // Windows whose sums need more than 16 bits, and more than a float has;
    // rows wider than the buffers.
    const std::pair<int64_t, int64_t> kSizes[] = {
        {3, 300}, {1, 5000}, {33, 17}, {2, 66000}};
    for (const auto& [channels, size] : kSizes) {
      PoolShape shape;
      shape.channels = channels;
      shape.channels_first = random.OneIn(2);
      shape.input = {1, 2, size};
      shape.kernel = {1, 2, size};
      shape.output = {1, 1, 1};
      ExpectTheReference<uint8_t>(&random, shape);
      ExpectTheReference<uint16_t>(&random, shape);
      shape.kernel[2] = 3;
      shape.output[2] = size - 2;
      ExpectTheReference<uint8_t>(&random, shape);
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
