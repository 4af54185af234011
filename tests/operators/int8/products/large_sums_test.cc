// Sums of products that leave 32 bits, in every operator of products of the
// engine ONEDNN, against loops in 64 bits. CTest runs this program once a cap
// of the instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "operators/int8/products/stage.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

constexpr int32_t kLowest = std::numeric_limits<int32_t>::min();
constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();

// Where sums of 8-bit codes can leave 32 bits: beyond 33,025 with any zero
// points, beyond 65,793 without one of the weights; 50,176 is a picture of
// 224 x 224.
constexpr int64_t kSizes[] = {1,     33025, 33026, 33030,
                              50176, 65536, 65537, 140000};

caffe2::OperatorDef Definition(const std::string& type,
                               const std::vector<std::string>& inputs,
                               const std::string& suffix) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, inputs, {"y"});
  definition.set_engine("ONEDNN" + suffix);
  if (suffix == "_16") {
    OpBuilder(&definition)
        .Int("activation_precision", 16)
        .Int("weight_precision", 16);
  }
  return definition;
}

// Codes of T of one tensor.
template <typename T>
struct Codes {
  std::vector<T> values;
  int32_t zero_point;

  int64_t operator[](int64_t i) const {
    return int64_t{values[i]} - zero_point;
  }
  void Feed(caffe2::Workspace* workspace, const char* name,
            const std::vector<int64_t>& shape) const {
    FeedCodes<T>(workspace, name, values, shape, 1, zero_point);
  }
};

// Random ones, the largest or smallest alone, or both in turn; zero points at
// either end, or anywhere.
template <typename T>
Codes<T> MakeCodes(TestRandom* random, int64_t count) {
  constexpr int32_t kMost = std::numeric_limits<T>::max();
  Codes<T> codes;
  const int64_t kind = random->Integer(0, 3);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t code = kind == 0   ? random->Integer(0, kMost)
                         : kind == 1 ? 0
                         : kind == 2 ? kMost
                                     : i % 2 * kMost;
    codes.values.push_back(static_cast<T>(code));
  }
  const int32_t zero_points[] = {
      0, kMost, kMost / 2 + 1, static_cast<int32_t>(random->Integer(0, kMost))};
  codes.zero_point = zero_points[random->Integer(0, 3)];
  return codes;
}

std::vector<int32_t> MakeBias(TestRandom* random, int64_t count) {
  std::vector<int32_t> bias(count);
  for (int32_t& code : bias) {
    const int64_t codes[] = {0, kLowest, kLargest,
                             random->Integer(kLowest, kLargest)};
    code = static_cast<int32_t>(codes[random->Integer(0, 3)]);
  }
  return bias;
}

int64_t LargestOf(const std::vector<int64_t>& sums) {
  int64_t largest = 1;
  for (const int64_t sum : sums) largest = std::max(largest, std::abs(sum));
  return largest;
}

// Runs an operator whose inputs have the scale 1, so that a sum is what it is
// worth, with an output of codes by which the sums are spread over its range.
template <typename T>
void ExpectCodes(TestRandom* random, caffe2::Workspace* workspace,
                 caffe2::OperatorDef definition,
                 const std::vector<int64_t>& sums) {
  constexpr int32_t kMost = std::numeric_limits<T>::max();
  const auto y_scale = static_cast<float>(static_cast<double>(LargestOf(sums)) /
                                          random->Float(1, kMost));
  const auto zero_point = static_cast<int32_t>(random->Integer(0, kMost));
  OpBuilder(&definition).Float("Y_scale", y_scale);
  OpBuilder(&definition).Int("Y_zero_point", zero_point);
  ASSERT_TRUE(workspace->RunOperatorOnce(definition));
  const TestTensor y = FetchTensor(*workspace, "y");
  ASSERT_EQ(y.codes.size(), sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const float scaled = static_cast<float>(sums[i]) * (1 / y_scale);
    const double code = double{1} * zero_point + std::nearbyint(scaled);
    ASSERT_EQ(y.codes[i], std::clamp<double>(code, 0, kMost))
        << i << ": " << sums[i];
  }
}

void ExpectFloats(caffe2::Workspace* workspace, caffe2::OperatorDef definition,
                  const std::vector<int64_t>& sums) {
  OpBuilder(&definition).Int("dequantize_output", 1);
  ASSERT_TRUE(workspace->RunOperatorOnce(definition));
  const auto y = Fetch<float>(*workspace, "y");
  ASSERT_EQ(y.size(), sums.size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    // Rounded once.
    ASSERT_EQ(y[i], static_cast<float>(sums[i])) << i << ": " << sums[i];
  }
}

// [m, k] by [n, k], for each of both.
template <typename T>
std::vector<int64_t> Products(const Codes<T>& x, const Codes<T>& w, int64_t m,
                              int64_t n, int64_t k, int64_t x_first = 0,
                              int64_t w_first = 0) {
  std::vector<int64_t> sums;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int64_t sum = 0;
      for (int64_t l = 0; l < k; ++l) {
        sum += x[x_first + i * k + l] * w[w_first + j * k + l];
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

template <typename T>
void ExpectFc(TestRandom* random, int64_t k, const std::string& suffix) {
  const int64_t m = random->Integer(1, 4), n = random->Integer(1, 5);
  SCOPED_TRACE(testing::Message() << m << " x " << k << " x " << n << suffix);
  const auto x = MakeCodes<T>(random, m * k), w = MakeCodes<T>(random, n * k);
  caffe2::Workspace workspace;
  x.Feed(&workspace, "x", {m, k});
  w.Feed(&workspace, "w", {n, k});
  FeedCodes<int32_t>(&workspace, "b", std::vector<int32_t>(n), {n}, 1, 0);
  std::string weights = "w";
  if (sizeof(T) == 1 && random->OneIn(2)) {
    weights = "packed";
    caffe2::OperatorDef pack = Definition("Int8FCPackWeight", {"w"}, suffix);
    pack.set_output(0, "packed");
    ASSERT_TRUE(workspace.RunOperatorOnce(pack));
  }
  std::vector<int64_t> sums = Products(x, w, m, n, k);
  const auto fc = Definition("FC", {"x", weights, "b"}, suffix);
  ASSERT_NO_FATAL_FAILURE(ExpectFloats(&workspace, fc, sums));
  const auto bias = MakeBias(random, n);
  FeedCodes<int32_t>(&workspace, "b", bias, {n}, 1, 0);
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += bias[i % n];
  ASSERT_NO_FATAL_FAILURE(ExpectCodes<T>(random, &workspace, fc, sums));
}

TEST(LargeSums, OfFc) {
  TestRandom random;
  for (const int64_t k : kSizes) {
    for (int64_t i = CaseCount(6, 100); i > 0; --i) {
      for (const char* suffix : {"", "_ROWWISE"}) {
        ASSERT_NO_FATAL_FAILURE(ExpectFc<uint8_t>(&random, k, suffix));
      }
      ASSERT_NO_FATAL_FAILURE(ExpectFc<uint16_t>(&random, k, "_16"));
    }
  }
}

template <typename T>
void ExpectBatchMatMul(TestRandom* random, int64_t k,
                       const std::string& suffix) {
  const int64_t batches = random->Integer(1, 2);
  const int64_t m = random->Integer(1, 3), n = random->Integer(1, 3);
  SCOPED_TRACE(testing::Message()
               << batches << " of " << m << " x " << k << " x " << n << suffix);
  const auto a = MakeCodes<T>(random, batches * m * k);
  const auto b = MakeCodes<T>(random, batches * n * k);
  caffe2::Workspace workspace;
  const bool trans_b = random->OneIn(2);
  a.Feed(&workspace, "a", {batches, m, k});
  Codes<T> fed = b;
  for (int64_t i = 0; !trans_b && i < n * k * batches; ++i) {
    const int64_t batch = i / (n * k), row = i / k % n, column = i % k;
    fed.values[(batch * k + column) * n + row] = b.values[i];
  }
  fed.Feed(&workspace, "b",
           trans_b ? std::vector<int64_t>{batches, n, k}
                   : std::vector<int64_t>{batches, k, n});
  std::vector<int64_t> sums;
  for (int64_t batch = 0; batch < batches; ++batch) {
    const auto own = Products(a, b, m, n, k, batch * m * k, batch * n * k);
    sums.insert(sums.end(), own.begin(), own.end());
  }
  auto product = Definition("BatchMatMul", {"a", "b"}, suffix);
  OpBuilder(&product)
      .Int("trans_b", trans_b)
      .Int("constant_B", random->OneIn(2));
  ASSERT_NO_FATAL_FAILURE(ExpectFloats(&workspace, product, sums));
  ASSERT_NO_FATAL_FAILURE(ExpectCodes<T>(random, &workspace, product, sums));
}

TEST(LargeSums, OfBatchMatMul) {
  TestRandom random;
  for (const int64_t k : kSizes) {
    for (int64_t i = CaseCount(6, 100); i > 0; --i) {
      ASSERT_NO_FATAL_FAILURE(ExpectBatchMatMul<uint8_t>(&random, k, ""));
      ASSERT_NO_FATAL_FAILURE(ExpectBatchMatMul<uint16_t>(&random, k, "_16"));
    }
  }
}

// Of one dimension: channels of a group and columns of the window are summed.
template <typename T>
void ExpectConv(TestRandom* random, int64_t columns, int64_t channels,
                int64_t groups, const std::string& suffix) {
  const bool nhwc = random->OneIn(2);
  const int64_t outputs = random->Integer(1, 3), pixels = 2;
  const int64_t input = columns + pixels - 1;
  const int64_t c = channels * groups, m = outputs * groups;
  SCOPED_TRACE(testing::Message()
               << columns << " columns of " << channels << " channels, "
               << groups << " groups of " << outputs << " outputs" << suffix);
  const auto x = MakeCodes<T>(random, c * input);
  const auto w = MakeCodes<T>(random, m * channels * columns);
  const auto bias = MakeBias(random, m);
  caffe2::Workspace workspace;
  using Sizes = std::vector<int64_t>;
  x.Feed(&workspace, "x", nhwc ? Sizes{1, input, c} : Sizes{1, c, input});
  w.Feed(&workspace, "w",
         nhwc ? Sizes{m, columns, channels} : Sizes{m, channels, columns});
  FeedCodes<int32_t>(&workspace, "b", bias, {m}, 1, 0);
  std::vector<int64_t> sums(m * pixels);
  for (int64_t out = 0; out < m; ++out) {
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      int64_t sum = bias[out];
      for (int64_t own = 0; own < channels; ++own) {
        const int64_t channel = out / outputs * channels + own;
        for (int64_t column = 0; column < columns; ++column) {
          const int64_t at = pixel + column;
          sum += x[nhwc ? at * c + channel : channel * input + at] *
                 w[nhwc ? (out * columns + column) * channels + own
                        : (out * channels + own) * columns + column];
        }
      }
      sums[nhwc ? pixel * m + out : out * pixels + pixel] = sum;
    }
  }
  auto conv = Definition("Conv", {"x", "w", "b"}, suffix);
  OpBuilder(&conv)
      .Ints("kernels", {columns})
      .Int("group", groups)
      .String("order", nhwc ? "NHWC" : "NCHW");
  ASSERT_NO_FATAL_FAILURE(ExpectCodes<T>(random, &workspace, conv, sums));
  if (!nhwc || sizeof(T) > 1) return;
  auto pack = Definition("Int8ConvPackWeight", {"w"}, suffix);
  OpBuilder(&pack).Int("group", groups);
  pack.set_output(0, "packed");
  ASSERT_TRUE(workspace.RunOperatorOnce(pack));
  conv.set_input(1, "packed");
  ASSERT_NO_FATAL_FAILURE(ExpectCodes<T>(random, &workspace, conv, sums));
}

TEST(LargeSums, OfConv) {
  TestRandom random;
  for (const int64_t k : kSizes) {
    for (int64_t i = CaseCount(2, 40); i > 0; --i) {
      for (const bool wide : {false, true}) {
        const auto expect = wide ? ExpectConv<uint16_t> : ExpectConv<uint8_t>;
        const char* const suffix = wide ? "_16" : "";
        ASSERT_NO_FATAL_FAILURE(expect(&random, 1, k, 1, suffix));
        ASSERT_NO_FATAL_FAILURE(expect(&random, k, 1, 1, suffix));
        ASSERT_NO_FATAL_FAILURE(expect(&random, k, 1, 3, suffix));
        ASSERT_NO_FATAL_FAILURE(expect(&random, (k + 3) / 4, 4, 2, suffix));
      }
    }
  }
}

// Of ones as many as they are; a K of a million has 16 pieces.
TEST(LargeSums, OfOnes) {
  for (const int64_t k : {33025, 33030, 50176, 1000000}) {
    caffe2::Workspace workspace;
    const std::vector<float> ones(k, 1.0f);
    FeedFloats(&workspace, "x", ones, {1, k});
    FeedFloats(&workspace, "w", ones, {1, k});
    FeedFloats(&workspace, "b", {0});
    auto fc = Definition("FC", {"x", "w", "b"}, "");
    OpBuilder(&fc).Int("dequantize_output", 1);
    ASSERT_TRUE(workspace.RunOperatorOnce(fc));
    // Three roundings: of the scales, their product, and the result's.
    EXPECT_NEAR(Fetch<float>(workspace, "y")[0], k, 4e-7 * k);
  }
}

TEST(LargeSums, AreOutputsForDebugging) {
  const int64_t k = 70000;
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", std::vector<uint8_t>(k, 255), {1, k}, 1,
                     0);
  FeedCodes<uint8_t>(&workspace, "w", std::vector<uint8_t>(k, 0), {1, k}, 1, 0);
  FeedFloats(&workspace, "b", {0});
  auto fc = Definition("Int8FC", {"x", "w", "b"}, "");
  OpBuilder(&fc).Int("dequantize_output", 1);
  for (const char* name : {"xq", "wq", "sums"}) fc.add_output(name);
  ASSERT_TRUE(workspace.RunOperatorOnce(fc));
  EXPECT_EQ(Fetch<float>(workspace, "sums")[0], 255.0f * -128 * k);
  EXPECT_EQ(Fetch<float>(workspace, "y")[0], 0);
}

TEST(LargeSums, OfMoreThan31BitsOfKAreRefused) {
  const std::vector<float> scales = {1};
  const std::vector<int32_t> zero_points = {0};
  const int64_t sum = 0;
  ProductStage stage;
  const auto error = [&](int64_t k) {
    return stage
        .SetFloats({1, k, &scales, &zero_points, &sum}, 1, 0, nullptr, false)
        .message();
  };
  EXPECT_EQ(error(int64_t{1} << 31),
            "K is 2147483648, expected at most 2147483647");
  EXPECT_EQ(error(kLargest), "");
}

}  // namespace
}  // namespace caffe2_quantization
