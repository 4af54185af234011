#include "quantization/kernels/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "tests/support/denormals_are_zeros.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

constexpr int32_t kGuard = 0x5a5a5a5a;

std::vector<std::size_t> Sizes() {
  std::vector<std::size_t> sizes;
  for (std::size_t n = 0; n <= 70; ++n) sizes.push_back(n);
  for (const std::size_t n : {511, 512, 1000}) sizes.push_back(n);
  return sizes;
}

// Bins by `find(src, count, exponent, bins)`, with a guard behind them.
template <typename S, typename Find>
std::vector<int32_t> Bins(const std::vector<S>& src, int exponent, Find find) {
  std::vector<int32_t> bins(src.size() + 1, kGuard);
  find(src.data(), src.size(), exponent, bins.data());
  EXPECT_EQ(bins.back(), kGuard);
  bins.pop_back();
  return bins;
}

template <typename T>
std::vector<int32_t> Bins(const std::vector<T>& src, int exponent) {
  return Bins(src, exponent,
              [](const T* values, std::size_t count, int e, int32_t* bins) {
                BinsOf(values, count, e, bins);
              });
}

// A value whose bin is from -2^22 to 2^22, of any size in them.
template <typename T>
T ValueFor(int exponent, TestRandom* random) {
  switch (random->Integer(0, 9)) {
    case 0:
      return random->OneIn(2) ? T{0} : -T{0};
    case 1:
      return std::numeric_limits<T>::denorm_min() *
             static_cast<T>(random->Integer(-3, 3));
    case 2:  // on an edge, or beside it
    {
      const T edge =
          std::ldexp(static_cast<T>(random->Integer(-2048, 2048)), exponent);
      if (std::isinf(edge)) return 0;
      if (random->OneIn(2)) return edge;
      const T beside =
          std::nextafter(edge, static_cast<T>(random->OneIn(2) ? -1 : 1));
      return std::isinf(beside) ? edge : beside;
    }
    case 3:
      return random->OneIn(2) ? std::numeric_limits<T>::quiet_NaN()
                              : -std::numeric_limits<T>::quiet_NaN();
    case 4:
      return random->OneIn(2) ? std::numeric_limits<T>::infinity()
                              : -std::numeric_limits<T>::infinity();
    default: {
      const T value =
          std::ldexp(static_cast<T>(random->Float(-1, 1)),
                     exponent + static_cast<int>(random->Integer(-40, 22)));
      return std::isinf(value) ? T{1} : value;
    }
  }
}

// The definition, in a type with room for every exponent.
template <typename T>
int32_t Definition(T value, int exponent) {
  if (!std::isfinite(value)) return kNoBin;
  return static_cast<int32_t>(
      std::floor(std::ldexp(static_cast<long double>(value), -exponent)));
}

template <typename T>
void TestFloats() {
  TestRandom random;
  OnEveryTarget([&] {
    for (const std::size_t count : Sizes()) {
      const int exponents[] = {
          kFinestExponent,
          -125,
          -23,
          0,
          7,
          105,
          126,
          127,
          128,
          300,
          kCoarsestExponent - 1,
          kCoarsestExponent,
          static_cast<int>(random.Integer(kFinestExponent, kCoarsestExponent))};
      for (const int exponent : exponents) {
        SCOPED_TRACE("count " + std::to_string(count) + ", exponent " +
                     std::to_string(exponent));
        std::vector<T> src(count);
        std::vector<int32_t> wanted;
        for (T& x : src) {
          do {
            x = ValueFor<T>(exponent, &random);
          } while (std::isfinite(x) &&
                   std::abs(std::ldexp(static_cast<long double>(x),
                                       -exponent)) > (1 << 22));
          wanted.push_back(Definition(x, exponent));
        }
        ASSERT_EQ(Bins(src, exponent), wanted);
        DenormalsAreZeros mode;
        ASSERT_EQ(Bins(src, exponent), wanted);
      }
    }
  });
}

TEST(BinsOf, Float) { TestFloats<float>(); }
TEST(BinsOf, Double) { TestFloats<double>(); }

TEST(BinsOf, EveryHalf) {
  std::vector<uint16_t> all(65536);
  for (int i = 0; i < 65536; ++i) all[i] = static_cast<uint16_t>(i);
  OnEveryTarget([&] {
    for (const int exponent : {-6, -1, 0, 3, 20, 200}) {
      std::vector<int32_t> wanted;
      for (const uint16_t each : all) {
        wanted.push_back(Definition(HalfToFloat(each), exponent));
      }
      EXPECT_EQ(Bins(all, exponent, BinsOfHalf), wanted);
      DenormalsAreZeros mode;
      EXPECT_EQ(Bins(all, exponent, BinsOfHalf), wanted);
    }
  });
}

template <typename T>
class BinsOfInteger : public testing::Test {};
#define TYPE(T) , T
template <typename Ignored, typename... Rest>
struct Listed {
  using Types = testing::Types<Rest...>;
};
using IntegerTypes =
    Listed<void CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(TYPE)>::Types;
#undef TYPE
TYPED_TEST_SUITE(BinsOfInteger, IntegerTypes);

TYPED_TEST(BinsOfInteger, EqualsTheDefinition) {
  using T = TypeParam;
  TestRandom random;
  OnEveryTarget([&] {
    for (const int exponent :
         {kFinestExponent, -40, -31, -22, -5, -1, 0, 1, 9, 10, 31, 32, 41, 42,
          62, 63, 64, 500, kCoarsestExponent}) {
      const long double limit = std::ldexp(1.0L, 22 + exponent);
      std::vector<T> src;
      std::vector<int32_t> wanted;
      for (int i = 0; i < 200; ++i) {
        const T candidates[] = {
            std::numeric_limits<T>::max(), std::numeric_limits<T>::lowest(),
            static_cast<T>(random.generator()()),
            static_cast<T>(random.Integer(-100, 100)), T{0}};
        const T x = candidates[random.Integer(0, 4)];
        if (std::abs(static_cast<long double>(x)) > limit) continue;
        src.push_back(x);
        wanted.push_back(static_cast<int32_t>(
            std::floor(std::ldexp(static_cast<long double>(x), -exponent))));
      }
      EXPECT_EQ(Bins(src, exponent), wanted) << "exponent " << exponent;
    }
  });
}

TEST(BinTable, CountsAndFolds) {
  TestRandom random;
  OnEveryTarget([&] {
    const auto table = std::make_unique<BinTable>();
    std::fill(std::begin(table->counts), std::end(table->counts), 0);
    for (int round = 0; round < 3; ++round) {  // folding clears
      std::vector<uint32_t> wanted(BinTable::kBins);
      for (int part = 0; part < 20; ++part) {
        std::vector<int32_t> bins(
            static_cast<std::size_t>(random.Integer(0, 600)));
        for (int32_t& bin : bins) {
          bin = static_cast<int32_t>(random.Integer(-5000, 5000));
          if (random.OneIn(100)) bin = kNoBin;
          ++wanted[static_cast<uint32_t>(bin) % BinTable::kBins];
        }
        CountBins(bins.data(), bins.size(), table.get());
      }
      std::vector<uint32_t> sums(BinTable::kBins, 99);
      FoldTable(table.get(), sums.data());
      EXPECT_EQ(sums, wanted);
    }
  });
}

TEST(BinTable, HoldsItsCapacityInOneBin) {
  OnEveryTarget([&] {
    const auto table = std::make_unique<BinTable>();
    std::fill(std::begin(table->counts), std::end(table->counts), 0);
    const std::vector<int32_t> bins(BinTable::kCapacity, -7);
    CountBins(bins.data(), bins.size(), table.get());
    std::vector<uint32_t> sums(BinTable::kBins);
    FoldTable(table.get(), sums.data());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      ASSERT_EQ(sums[i], i == BinTable::kBins - 7 ? BinTable::kCapacity : 0);
    }
  });
}

TEST(CountBytes, EqualsThePlainCount) {
  TestRandom random;
  OnEveryTarget([&] {
    for (const std::size_t count : {0, 1, 7, 1023, 1024, 1029, 70000}) {
      std::vector<uint8_t> src(count);
      const bool few = random.OneIn(2);
      for (uint8_t& x : src) x = few ? random.Byte() % 3 : random.Byte();
      std::vector<uint64_t> wanted(256, 5), actual(256, 5);  // adds to these
      for (const uint8_t x : src) ++wanted[x];
      CountBytes(src.data(), src.size(), actual.data());
      EXPECT_EQ(actual, wanted) << count;
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
