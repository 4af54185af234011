// Integer matrix products by oneDNN against the plain loop: exact, on every
// instruction set (CTest runs this program once a cap).
#include "quantization/onednn/matmul.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "quantization/kernels/isa.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

using Order = PackedMatrix::Order;
using Matrix = std::shared_ptr<const PackedMatrix>;

// How values are spread: all of them, few, or the extremes alone, which
// saturate 16 bits.
enum class Values { kAll, kSmall, kExtremes };

struct Product {
  int64_t m, k, n;
  Order order;
  std::vector<uint8_t> a;
  std::vector<int8_t> w;

  Product(TestRandom* random, int64_t m, int64_t k, int64_t n, Order order,
          Values values)
      : m(m), k(k), n(n), order(order), a(m * k), w(k * n) {
    for (uint8_t& x : a) {
      x = values != Values::kExtremes ? random->Byte()
          : random->OneIn(8)          ? 0
                                      : 255;
    }
    for (int8_t& x : w) {
      x = static_cast<int8_t>(random->Byte());
      if (values == Values::kSmall) x = static_cast<int8_t>(x / 2);
      if (values == Values::kExtremes) x = x < -100 ? -128 : 127;
    }
  }

  Matrix Pack() const {
    Matrix packed;
    const Status status = PackedMatrix::Pack(w.data(), k, n, order, &packed);
    EXPECT_TRUE(status.ok()) << status.message();
    return packed;
  }

  std::vector<int32_t> Expected() const {
    std::vector<int32_t> c(m * n);
    reference::Multiply(a.data(), w.data(), m, k, n, order, c.data());
    return c;
  }
};

std::vector<int32_t> Multiply(const PackedMatrix& packed,
                              const std::vector<uint8_t>& a, int64_t m) {
  constexpr int32_t kGuard = 0x5a5a5a5a;
  std::vector<int32_t> c(m * packed.n() + 1, kGuard);
  const Status status = packed.Multiply(a.data(), m, c.data());
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(c.back(), kGuard);
  c.pop_back();
  return c;
}

TEST(MatMul, ThePlainLoopIsTheEquation) {
  const std::vector<uint8_t> a = {1, 2, 255, 0, 3, 4};
  const std::vector<int8_t> rows_of_k = {1, -1, 2, -2, -128, 127};
  const std::vector<int8_t> rows_of_n = {1, 2, -128, -1, -2, 127};
  const std::vector<int32_t> expected = {1 + 4 - 255 * 128, -1 - 4 + 255 * 127,
                                         6 - 512, -6 + 508};
  std::vector<int32_t> c(4);
  reference::Multiply(a.data(), rows_of_k.data(), 2, 3, 2, Order::kRowsOfK,
                      c.data());
  EXPECT_EQ(c, expected);
  reference::Multiply(a.data(), rows_of_n.data(), 2, 3, 2, Order::kRowsOfN,
                      c.data());
  EXPECT_EQ(c, expected);
}

// A stage with what it points to.
struct Outputs {
  std::vector<int32_t> zero_points, offsets;
  std::vector<float> multipliers, bias;
  std::vector<uint8_t> addend;
  kernels::OutputStage stage;

  Outputs(TestRandom* random, int64_t m, int64_t k, int64_t n) : addend(m * n) {
    for (int64_t j = 0; j < n; ++j) {
      zero_points.push_back(static_cast<int32_t>(random->Integer(-128, 127)));
      offsets.push_back(static_cast<int32_t>(random->Integer(-5000, 5000)));
      multipliers.push_back(random->Float(0, 0.1f / static_cast<float>(k)));
      bias.push_back(random->Float(-50, 50));
    }
    for (uint8_t& code : addend) code = random->Byte();
    stage.columns = n;
    if (random->OneIn(2)) stage.weight_zero_points = zero_points.data();
    if (random->OneIn(2)) stage.column_offsets = offsets.data();
    stage.multipliers = multipliers.data();
    stage.zero_point = random->Byte();
    if (random->OneIn(2)) stage.low = stage.zero_point;
    if (random->OneIn(2)) stage.addend = addend.data();
    stage.addend_zero_point = random->Byte();
    stage.addend_multiplier = random->Float(0, 1);
    if (random->OneIn(2)) stage.bias = bias.data();
    stage.relu = random->OneIn(2);
  }
};

// Against the plain sums and, in double, what they stand for.
void ExpectOutputs(const Product& product, const PackedMatrix& packed,
                   const Outputs& outputs) {
  SCOPED_TRACE(testing::Message()
               << product.m << " x " << product.k << " x " << product.n);
  const kernels::OutputStage& stage = outputs.stage;
  const auto count = static_cast<std::size_t>(product.m * product.n);
  std::vector<uint8_t> codes(count + 1, 7);
  std::vector<float> floats(count + 1, 7);
  ASSERT_TRUE(
      MultiplyToCodes(packed, product.a.data(), product.m, stage, codes.data())
          .ok());
  ASSERT_TRUE(MultiplyToFloats(packed, product.a.data(), product.m, stage,
                               floats.data())
                  .ok());
  ASSERT_EQ(codes.back(), 7);
  ASSERT_EQ(floats.back(), 7);
  const std::vector<int32_t> sums = product.Expected();
  std::vector<int32_t> row_sums(product.m);
  kernels::reference::RowSums(product.a.data(), product.m, product.k, product.k,
                              row_sums.data());
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t n = i % product.n;
    double acc = sums[i];
    if (stage.weight_zero_points != nullptr) {
      acc -= double{1} * stage.weight_zero_points[n] * row_sums[i / product.n];
    }
    if (stage.column_offsets != nullptr) acc += stage.column_offsets[n];
    const double real = acc * stage.multipliers[n];
    double code = real;
    if (stage.addend != nullptr) {
      code += (stage.addend[i] - stage.addend_zero_point) *
              double{stage.addend_multiplier};
    }
    code = std::clamp<double>(code, stage.low - stage.zero_point,
                              stage.high - stage.zero_point);
    // Half a code, and what single precision loses of some hundred.
    ASSERT_NEAR(codes[i], code + stage.zero_point, 0.5 + 1e-4) << i;
    double y = real + (stage.bias == nullptr ? 0 : stage.bias[n]);
    if (stage.relu) y = std::max(y, 0.0);
    ASSERT_NEAR(floats[i], y, 1e-6 * (std::abs(real) + std::abs(y))) << i;
  }
  std::vector<uint8_t> expected(count + 1, 7);
  kernels::reference::SumsToCodes(sums.data(), product.n, row_sums.data(),
                                  product.m, stage, expected.data(), product.n);
  ASSERT_EQ(codes, expected);
  std::vector<float> expected_floats(count + 1, 7);
  kernels::reference::SumsToFloats(sums.data(), product.n, row_sums.data(),
                                   product.m, stage, expected_floats.data(),
                                   product.n);
  ASSERT_EQ(floats, expected_floats);
}

TEST(MatMul, ExactOverRandomSizes) {
  TestRandom random;
  for (int i = 0; i < 2000; ++i) {
    const auto size = [&] {
      return random.Integer(1, 1 << random.Integer(0, 7));
    };
    const Product product(&random, size(), size(), size(),
                          random.OneIn(2) ? Order::kRowsOfK : Order::kRowsOfN,
                          static_cast<Values>(i % 3));
    SCOPED_TRACE(testing::Message()
                 << product.m << " x " << product.k << " x " << product.n);
    const Matrix packed = product.Pack();
    ASSERT_NE(packed, nullptr);
    ASSERT_EQ(Multiply(*packed, product.a, product.m), product.Expected());
    const Outputs outputs(&random, product.m, product.k, product.n);
    ASSERT_NO_FATAL_FAILURE(ExpectOutputs(product, *packed, outputs));
    for (int64_t j = 0; j < product.n; ++j) {
      int32_t sum = 0;
      for (int64_t l = 0; l < product.k; ++l) {
        sum += product.w[product.order == Order::kRowsOfK ? l * product.n + j
                                                          : j * product.k + l];
      }
      ASSERT_EQ(packed->column_sums()[j], sum);
    }
  }
}

// Sizes of which there are several chunks, some for two threads, and the last
// chunk is smaller.
TEST(MatMul, OutputsOfManyRows) {
  TestRandom random;
  for (const int64_t m : {1, 31, 33, 64, 65, 100, 257}) {
    const Product product(&random, m, 97, 3000, Order::kRowsOfN, Values::kAll);
    const Outputs outputs(&random, m, product.k, product.n);
    ASSERT_NO_FATAL_FAILURE(ExpectOutputs(product, *product.Pack(), outputs));
  }
}

// Rows whose last values are not meant, into some columns of a larger output.
TEST(MatMul, RowsIntoAPartOfAnOutput) {
  TestRandom random;
  for (int i = 0; i < 300; ++i) {
    Product product(&random, random.Integer(1, 60), random.Integer(2, 40),
                    random.Integer(1, 100), Order::kRowsOfN, Values::kAll);
    const int64_t m = product.m, k = product.k, n = product.n;
    const int64_t summed = random.Integer(1, k);
    for (int64_t j = 0; j < n; ++j) {
      std::fill_n(product.w.data() + j * k + summed, k - summed, int8_t{0});
    }
    const int64_t stride = n + random.Integer(0, 9);
    Outputs outputs(&random, m, k, stride);
    outputs.stage.columns = n;
    const std::vector<int32_t> sums = product.Expected();
    std::vector<int32_t> row_sums(m);
    kernels::reference::RowSums(product.a.data(), m, summed, k,
                                row_sums.data());
    std::vector<uint8_t> codes(m * stride, 7), expected_codes(m * stride, 7);
    std::vector<float> floats(m * stride, 7), expected_floats(m * stride, 7);
    kernels::reference::SumsToCodes(sums.data(), n, row_sums.data(), m,
                                    outputs.stage, expected_codes.data(),
                                    stride);
    kernels::reference::SumsToFloats(sums.data(), n, row_sums.data(), m,
                                     outputs.stage, expected_floats.data(),
                                     stride);
    const Matrix packed = product.Pack();
    ASSERT_TRUE(MultiplyRowsToCodes(*packed, product.a.data(), m, summed,
                                    outputs.stage, codes.data(), stride)
                    .ok());
    ASSERT_EQ(codes, expected_codes);
    ASSERT_TRUE(MultiplyRowsToFloats(*packed, product.a.data(), m, summed,
                                     outputs.stage, floats.data(), stride)
                    .ok());
    ASSERT_EQ(floats, expected_floats);
  }
}

TEST(MatMul, TheStageHasToFit) {
  TestRandom random;
  const Product product(&random, 1, 4, 3, Order::kRowsOfK, Values::kAll);
  kernels::OutputStage stage;
  stage.columns = 4;
  uint8_t code = 0;
  EXPECT_EQ(MultiplyToCodes(*product.Pack(), product.a.data(), 1, stage, &code)
                .message(),
            "matrix product: the output stage has 4 columns, expected N, 3");
  stage.columns = 3;
  EXPECT_TRUE(MultiplyToCodes(*product.Pack(), nullptr, 0, stage, &code).ok());
  EXPECT_EQ(
      MultiplyToCodes(*product.Pack(), nullptr, -1, stage, &code).message(),
      "matrix product: M is -1, expected 0 to 2147483647");
}

// Sums beyond 2^24, which float would round.
TEST(MatMul, ExactWhereSumsAreLarge) {
  TestRandom random;
  for (const int64_t k : {4096, 25088}) {
    Product product(&random, 3, k, 40, Order::kRowsOfN, Values::kExtremes);
    for (int64_t l = 0; l < k; ++l) product.w[l] = 127;
    for (int64_t l = 0; l < k; ++l) product.w[k + l] = -128;
    for (int64_t l = 0; l < k; ++l) product.a[l] = 255;
    const auto c = Multiply(*product.Pack(), product.a, product.m);
    EXPECT_EQ(c[0], k * 255 * 127);
    EXPECT_EQ(c[1], -k * 255 * 128);
    EXPECT_EQ(c, product.Expected());
  }
}

// One packed form serves every number of rows.
TEST(MatMul, OnePackedMatrixForAnyRows) {
  TestRandom random;
  const Product product(&random, 700, 64, 48, Order::kRowsOfN, Values::kAll);
  const Matrix packed = product.Pack();
  const auto expected = product.Expected();
  for (const int64_t m : {1, 2, 15, 16, 17, 64, 255, 700}) {
    const std::vector<uint8_t> rows(product.a.begin(),
                                    product.a.begin() + m * product.k);
    EXPECT_EQ(Multiply(*packed, rows, m),
              std::vector<int32_t>(expected.begin(),
                                   expected.begin() + m * product.n));
    std::string name;
    ASSERT_TRUE(packed->ImplementationName(m, &name).ok());
    // Not oneDNN's own plain loops.
    EXPECT_EQ(name.find("ref"), std::string::npos) << name;
    EXPECT_EQ(name == "scalar", kernels::UseScalarReference()) << name;
  }
}

TEST(MatMul, RunsWhatTheCapAllows) {
  TestRandom random;
  const Product product(&random, 1, 64, 64, Order::kRowsOfK, Values::kAll);
  std::string name;
  ASSERT_TRUE(product.Pack()->ImplementationName(64, &name).ok());
  if (kernels::GetIsaCap() < kernels::IsaCap::kAmx) {
    EXPECT_EQ(name.find("amx"), std::string::npos) << name;
  }
  if (kernels::GetIsaCap() < kernels::IsaCap::kAvx512) {
    EXPECT_EQ(name.find("avx512"), std::string::npos) << name;
  }
}

TEST(MatMul, PlansAreBounded) {
  TestRandom random;
  const Product product(&random, kMostPlans + 8, 8, 8, Order::kRowsOfK,
                        Values::kAll);
  const Matrix packed = product.Pack();
  const auto expected = product.Expected();
  for (int64_t m = 1; m <= product.m; ++m) {
    const std::vector<uint8_t> rows(product.a.begin(),
                                    product.a.begin() + m * product.k);
    ASSERT_EQ(Multiply(*packed, rows, m),
              std::vector<int32_t>(expected.begin(),
                                   expected.begin() + m * product.n));
    ASSERT_LE(NumPlans(), std::size_t{kMostPlans});
  }
  EXPECT_EQ(NumPlans(),
            kernels::UseScalarReference() ? 0u : std::size_t{kMostPlans});
  // The first ones are made again.
  EXPECT_EQ(Multiply(*packed, {product.a.begin(), product.a.begin() + 8}, 1),
            std::vector<int32_t>(expected.begin(), expected.begin() + 8));
}

TEST(MatMul, FourThreadsShareAMatrix) {
  TestRandom random;
  const Product product(&random, 64, 96, 80, Order::kRowsOfN,
                        Values::kExtremes);
  const Matrix packed = product.Pack();
  const auto expected = product.Expected();
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& each : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        const int64_t m = 1 + i % product.m;
        std::vector<int32_t> c(m * product.n);
        each += !packed->Multiply(product.a.data(), m, c.data()).ok() ||
                !std::equal(c.begin(), c.end(), expected.begin());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

// Each with its own share of the threads, some with several chunks.
TEST(MatMul, FourThreadsMakeOutputsOfAMatrix) {
  TestRandom random;
  const Product product(&random, 300, 257, 129, Order::kRowsOfN, Values::kAll);
  const Matrix packed = product.Pack();
  Outputs outputs(&random, product.m, product.k, product.n);
  outputs.stage.addend = nullptr;
  const std::vector<int32_t> sums = product.Expected();
  std::vector<int32_t> row_sums(product.m);
  kernels::reference::RowSums(product.a.data(), product.m, product.k, product.k,
                              row_sums.data());
  std::vector<uint8_t> expected(product.m * product.n);
  kernels::reference::SumsToCodes(sums.data(), product.n, row_sums.data(),
                                  product.m, outputs.stage, expected.data(),
                                  product.n);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& each : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const int64_t m = 1 + i * 37 % product.m;
        std::vector<uint8_t> codes(m * product.n);
        each += !MultiplyToCodes(*packed, product.a.data(), m, outputs.stage,
                                 codes.data())
                     .ok() ||
                !std::equal(codes.begin(), codes.end(), expected.begin());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// After as many different numbers of rows as there may be plans, others need no
// more memory.
TEST(MatMul, MemoryIsFlat) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps what was freed";
#endif
  TestRandom random;
  constexpr int64_t kRows = 1000;
  const Product product(&random, kRows, 16, 16, Order::kRowsOfN, Values::kAll);
  const Outputs outputs(&random, kRows, product.k, product.n);
  const Matrix packed = product.Pack();
  std::vector<uint8_t> codes(kRows * product.n);
  std::vector<int32_t> sums(kRows * product.n);
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const int64_t m = random.Integer(1, kRows);
      ASSERT_TRUE(packed->Multiply(product.a.data(), m, sums.data()).ok());
      ASSERT_TRUE(MultiplyToCodes(*packed, product.a.data(), m, outputs.stage,
                                  codes.data())
                      .ok());
    }
  };
  run(4 * kMostPlans);
  const int64_t before = ResidentBytes();
  run(12 * kMostPlans);
  EXPECT_LT(ResidentBytes(), before + (int64_t{4} << 20));
}

TEST(MatMul, BadSizesAreNamed) {
  const std::vector<int8_t> w(4, 1);
  Matrix packed;
  const auto error = [&](int64_t k, int64_t n) {
    return PackedMatrix::Pack(w.data(), k, n, Order::kRowsOfK, &packed)
        .message();
  };
  EXPECT_EQ(error(0, 4), "matrix product: K is 0, expected 1 to 2147483647");
  EXPECT_EQ(error(4, -1), "matrix product: N is -1, expected 1 to 2147483647");
  EXPECT_EQ(error(int64_t{1} << 31, 1),
            "matrix product: K is 2147483648, expected 1 to 2147483647");
  EXPECT_EQ(packed, nullptr);
  ASSERT_EQ(error(2, 2), "");
  EXPECT_EQ(packed->Multiply(nullptr, -1, nullptr).message(),
            "matrix product: M is -1, expected 0 to 2147483647");
  EXPECT_TRUE(packed->Multiply(nullptr, 0, nullptr).ok());
}

TEST(MatMul, SumsThatCouldOverflowAreRefused) {
  // 255 * 127 * 66,312 is above 2^31 - 1; one row less is not.
  constexpr int64_t kTooMany = 66312;
  std::vector<int8_t> w(2 * kTooMany, 0);
  std::fill(w.begin() + kTooMany, w.end(), int8_t{127});
  Matrix packed;
  const std::string error =
      PackedMatrix::Pack(w.data(), kTooMany, 2, Order::kRowsOfN, &packed)
          .message();
  EXPECT_EQ(error.find("matrix product: weights of output 1 sum up to 8421624 "
                       "and 0 over K = 66312"),
            0u)
      << error;
  EXPECT_TRUE(PackedMatrix::Pack(w.data() + kTooMany, kTooMany - 1, 1,
                                 Order::kRowsOfN, &packed)
                  .ok());
  const std::vector<uint8_t> a(kTooMany - 1, 255);
  EXPECT_EQ(Multiply(*packed, a, 1)[0], 255 * 127 * (kTooMany - 1));
}

}  // namespace
}  // namespace onednn
}  // namespace caffe2_quantization
