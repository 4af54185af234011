// Integer matrix products by oneDNN against the plain loop: exact, on every
// instruction set (CTest runs this program once a cap).
#include "quantization/onednn/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <thread>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/row_sums.h"
#include "quantization/onednn/column_offsets.h"
#include "quantization/onednn/parallel.h"
#include "tests/support/random.h"
#include "tests/support/resident_bytes.h"
#include "tests/support/test_size.h"

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
    reference::Multiply(a.data(), w.data(), m, k, k, n, order, c.data());
    return c;
  }
};

std::vector<int32_t> Multiply(const PackedMatrix& packed,
                              const std::vector<uint8_t>& a, int64_t m) {
  constexpr int32_t kGuard = 0x5a5a5a5a;
  std::vector<int32_t> c(m * packed.n() + 1, kGuard);
  const Status status =
      packed.Multiply(a.data(), m, packed.k(), MaxThreads(), c.data());
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
  reference::Multiply(a.data(), rows_of_k.data(), 2, 3, 3, 2, Order::kRowsOfK,
                      c.data());
  EXPECT_EQ(c, expected);
  reference::Multiply(a.data(), rows_of_n.data(), 2, 3, 3, 2, Order::kRowsOfN,
                      c.data());
  EXPECT_EQ(c, expected);
  // Rows of which the last value is not meant.
  reference::Multiply(a.data(), rows_of_n.data(), 2, 2, 3, 1, Order::kRowsOfN,
                      c.data());
  EXPECT_EQ(c[0], 1 + 4);
  EXPECT_EQ(c[1], 6);
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
    const double bias = stage.bias == nullptr ? 0 : stage.bias[n];
    double code = real + bias;
    if (stage.addend != nullptr) {
      code += (stage.addend[i] - stage.addend_zero_point) *
              double{stage.addend_multiplier};
    }
    code = std::clamp<double>(code, stage.low - stage.zero_point,
                              stage.high - stage.zero_point);
    // Half a code, and what single precision loses of some hundred.
    ASSERT_NEAR(codes[i], code + stage.zero_point, 0.5 + 1e-4) << i;
    double y = real + bias;
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

// Shapes that oneDNN multiplies wrongly with AMX unless K is filled up before.
TEST(MatMul, ExactWhereKIsNoMultipleOfFour) {
  TestRandom random;
  for (const int64_t k : {61, 125, 126, 127, 189}) {
    for (const int64_t n : {65, 70, 111}) {
      for (const int64_t m : {34, 35, 37, 38, 41, 43, 46, 47}) {
        const Product product(&random, m, k, n, Order::kRowsOfN, Values::kAll);
        ASSERT_EQ(Multiply(*product.Pack(), product.a, m), product.Expected())
            << m << " x " << k << " x " << n;
      }
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
        each += !packed
                     ->Multiply(product.a.data(), m, product.k, MaxThreads(),
                                c.data())
                     .ok() ||
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
  std::vector<int64_t> sums(kRows * product.n);
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

TEST(MatMul, SumsOf32BitsAreRefusedInPieces) {
  constexpr int64_t kTooMany = kMostSummed + 1;
  const std::vector<int8_t> w(kTooMany, 127);
  const std::vector<uint8_t> a(kTooMany, 255);
  const auto pack = [&](int64_t k) {
    Matrix packed;
    EXPECT_TRUE(
        PackedMatrix::Pack(w.data(), k, 1, Order::kRowsOfN, &packed).ok());
    return packed;
  };
  int32_t c = 7;
  EXPECT_EQ(pack(kTooMany)->Multiply(a.data(), 1, kTooMany, 1, &c).message(),
            "matrix product: K is 65537, expected at most 65536 for sums of 32 "
            "bits");
  EXPECT_EQ(c, 7);
  ASSERT_TRUE(pack(kMostSummed)->Multiply(a.data(), 1, kTooMany, 1, &c).ok());
  EXPECT_EQ(c, 255 * 127 * kMostSummed);
}

// What a stage makes of each output, by int64 loops over the definition.
struct WideProduct {
  int64_t m, k, n;
  Order order;
  std::vector<uint8_t> a;
  std::vector<int8_t> w;
  int32_t x_zero_point;
  std::vector<int32_t> zero_points, bias;

  int8_t W(int64_t l, int64_t j) const {
    return w[order == Order::kRowsOfK ? l * n + j : j * k + l];
  }

  WideProduct(TestRandom* random, int64_t m, int64_t k, int64_t n)
      : m(m),
        k(k),
        n(n),
        order(random->OneIn(2) ? Order::kRowsOfK : Order::kRowsOfN),
        a(m * k),
        w(k * n),
        zero_points(n),
        bias(n) {
    const int64_t kind = random->Integer(0, 3);
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] = kind == 0   ? random->Byte()
             : kind == 3 ? (i % 2 == 0 ? 255 : 0)
                         : 255;
    }
    for (int8_t& code : w) {
      code = static_cast<int8_t>(kind == 0          ? random->Byte()
                                 : kind == 1        ? 127
                                 : kind == 2        ? -128
                                 : random->OneIn(2) ? 127
                                                    : -128);
    }
    const int32_t x_zero_points[] = {0, 255, random->Byte()};
    x_zero_point = x_zero_points[random->Integer(0, 2)];
    const bool symmetric = random->OneIn(4);
    for (int64_t j = 0; j < n; ++j) {
      const int32_t each[] = {-128, 127,
                              static_cast<int32_t>(random->Integer(-128, 127))};
      zero_points[j] = symmetric ? 0 : each[random->Integer(0, 2)];
      const int32_t biases[] = {
          0, std::numeric_limits<int32_t>::max(),
          std::numeric_limits<int32_t>::min(),
          static_cast<int32_t>(random->Integer(-1000000, 1000000))};
      bias[j] = biases[random->Integer(0, 3)];
    }
  }

  // sums of a * w, and acc.
  void Sum(std::vector<int64_t>* products, std::vector<int64_t>* acc) const {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        int64_t product = 0, sum = bias[j];
        for (int64_t l = 0; l < k; ++l) {
          const int64_t code = a[i * k + l];
          product += code * W(l, j);
          sum += (code - x_zero_point) * (W(l, j) - zero_points[j]);
        }
        products->push_back(product);
        acc->push_back(sum);
      }
    }
  }
};

// Below, at and beyond where sums leave 32 bits, and where there are pieces:
// 33,025 with any zero points, 65,793 without, kMostSummed.
TEST(MatMul, ExactForEveryK) {
  TestRandom random;
  for (const int64_t k :
       {1, 9, 1000, 33025, 33026, 33030, 50176, 65535, 65536, 65537, 65793,
        65794, 130944, 131073, 200001, 1000000}) {
    const int64_t rounds = CaseCount(k > 100000 ? 4 : 8, 100);
    for (int64_t round = 0; round < rounds; ++round) {
      // Some with many rows, some with many outputs, some with one of both.
      const int64_t most =
          std::max<int64_t>(1, std::min<int64_t>(100, 300000 / k));
      WideProduct product(&random, random.Integer(1, most), k,
                          random.Integer(1, most));
      const int64_t m = product.m, n = product.n;
      SCOPED_TRACE(testing::Message()
                   << m << " x " << k << " x " << n << ", round " << round);
      Matrix packed;
      ASSERT_TRUE(
          PackedMatrix::Pack(product.w.data(), k, n, product.order, &packed)
              .ok());
      for (int64_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (int64_t l = 0; l < k; ++l) sum += product.W(l, j);
        ASSERT_EQ(packed->column_sums()[j], sum);
      }
      std::vector<int64_t> products, acc;
      product.Sum(&products, &acc);
      std::vector<int64_t> sums(m * n);
      ASSERT_TRUE(packed->Multiply(product.a.data(), m, sums.data()).ok());
      ASSERT_EQ(sums, products);

      ColumnOffsets offsets;
      offsets.Set(n, k, product.x_zero_point, packed->column_sums().data(),
                  product.zero_points.data(), product.bias.data());
      kernels::OutputStage stage;
      stage.columns = n;
      stage.weight_zero_points = product.zero_points.data();
      offsets.Lend(&stage);
      // Sums as they are, rounded once.
      const std::vector<float> ones(n, 1.0f);
      stage.multipliers = ones.data();
      std::vector<float> floats(m * n);
      ASSERT_TRUE(
          MultiplyToFloats(*packed, product.a.data(), m, stage, floats.data())
              .ok());
      for (int64_t i = 0; i < m * n; ++i) {
        ASSERT_EQ(floats[i], static_cast<float>(acc[i])) << i;
      }
      // Codes that are spread over the sums.
      int64_t largest = 1;
      for (const int64_t sum : acc) largest = std::max(largest, std::abs(sum));
      std::vector<float> multipliers(n);
      for (float& multiplier : multipliers) {
        multiplier = random.Float(0.1f, 128) / static_cast<float>(largest);
      }
      stage.multipliers = multipliers.data();
      stage.zero_point = random.Byte();
      std::vector<uint8_t> codes(m * n);
      ASSERT_TRUE(
          MultiplyToCodes(*packed, product.a.data(), m, stage, codes.data())
              .ok());
      for (int64_t i = 0; i < m * n; ++i) {
        const float scaled = static_cast<float>(acc[i]) * multipliers[i % n];
        ASSERT_EQ(codes[i],
                  std::clamp<float>(std::nearbyint(scaled) + stage.zero_point,
                                    0, 255))
            << i;
      }
    }
  }
}

// Rows whose last values are not meant, in pieces, into a part of an output.
TEST(MatMul, RowsInPiecesIntoAPartOfAnOutput) {
  TestRandom random;
  for (const int64_t unsummed : {0, 3, 70000}) {
    WideProduct product(&random, 3, 140000, 2);
    const int64_t k = product.k, n = product.n, summed = k - unsummed;
    product.order = Order::kRowsOfN;
    for (int64_t j = 0; j < n; ++j) {
      std::fill_n(product.w.begin() + j * k + summed, unsummed, int8_t{0});
    }
    Matrix packed;
    ASSERT_TRUE(
        PackedMatrix::Pack(product.w.data(), k, n, product.order, &packed)
            .ok());
    const std::vector<double> offsets = {-1e10, 123456789012};
    const std::vector<float> ones(n, 1.0f);
    kernels::OutputStage stage;
    stage.columns = n;
    stage.weight_zero_points = product.zero_points.data();
    stage.wide_offsets = offsets.data();
    stage.multipliers = ones.data();
    std::vector<float> floats(3 * 5, 7.0f);
    ASSERT_TRUE(MultiplyRowsToFloats(*packed, product.a.data(), 3, summed,
                                     stage, floats.data(), 5)
                    .ok());
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t j = 0; j < 5; ++j) {
        if (j >= n) {
          ASSERT_EQ(floats[i * 5 + j], 7.0f);
          continue;
        }
        auto sum = static_cast<int64_t>(offsets[j]);
        for (int64_t l = 0; l < summed; ++l) {
          sum += product.a[i * k + l] *
                 int64_t{product.W(l, j) - product.zero_points[j]};
        }
        ASSERT_EQ(floats[i * 5 + j], static_cast<float>(sum));
      }
    }
  }
}

TEST(MatMul, FourThreadsShareAMatrixInPieces) {
  TestRandom random;
  const WideProduct product(&random, 64, 66000, 8);
  Matrix packed;
  ASSERT_TRUE(PackedMatrix::Pack(product.w.data(), product.k, product.n,
                                 product.order, &packed)
                  .ok());
  ColumnOffsets offsets;
  offsets.Set(product.n, product.k, product.x_zero_point,
              packed->column_sums().data(), product.zero_points.data(),
              product.bias.data());
  const std::vector<float> ones(product.n, 1.0f);
  kernels::OutputStage stage;
  stage.columns = product.n;
  stage.weight_zero_points = product.zero_points.data();
  offsets.Lend(&stage);
  stage.multipliers = ones.data();
  std::vector<int64_t> products, acc;
  product.Sum(&products, &acc);
  const std::vector<float> expected(acc.begin(), acc.end());
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int& each : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 4; ++i) {
        const int64_t m = product.m - 21 * i;
        std::vector<float> y(m * product.n);
        each += !MultiplyToFloats(*packed, product.a.data(), m, stage, y.data())
                     .ok() ||
                !std::equal(y.begin(), y.end(), expected.begin());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(ColumnOffsets, AreTheEquation) {
  ColumnOffsets offsets;
  const std::vector<int64_t> sums = {1000, -2000};
  const std::vector<int32_t> zero_points = {-3, 4}, bias = {7, -9};
  offsets.Set(2, 100, 11, sums.data(), zero_points.data(), bias.data());
  EXPECT_EQ(offsets.exact(), (std::vector<int64_t>{7 - 11 * (1000 + 300),
                                                   -9 - 11 * (-2000 - 400)}));
  kernels::OutputStage stage;
  offsets.Lend(&stage);
  ASSERT_NE(stage.column_offsets, nullptr);
  EXPECT_EQ(stage.wide_offsets, nullptr);
  EXPECT_EQ(stage.column_offsets[0], 7 - 11 * 1300);
  EXPECT_EQ(stage.column_offsets[1], -9 + 11 * 2400);
  offsets.Set(2, 100000, 11, sums.data(), zero_points.data(), nullptr);
  offsets.Lend(&stage);
  EXPECT_EQ(stage.column_offsets, nullptr);
  ASSERT_NE(stage.wide_offsets, nullptr);
  EXPECT_EQ(stage.wide_offsets[0], -11 * (1000.0 + 300000));
  EXPECT_EQ(stage.wide_offsets[1], -11 * (-2000.0 - 400000));
}

TEST(ColumnOffsets, AreNarrowAsLongAsSumsFit) {
  const auto fit = [](int64_t k, int32_t x_zero_point, int32_t zero_point,
                      int32_t bias) {
    ColumnOffsets offsets;
    const int64_t sum = 0;
    offsets.Set(1, k, x_zero_point, &sum, &zero_point, &bias);
    return offsets.fit_in_32_bits();
  };
  constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();
  for (const int32_t x_zero_point : {0, 255}) {
    for (const int32_t zero_point : {-128, 127}) {
      EXPECT_TRUE(fit(33025, x_zero_point, zero_point, 0));
      EXPECT_FALSE(fit(33026, x_zero_point, zero_point, 0));
    }
    EXPECT_TRUE(fit(65793, x_zero_point, 0, 0));
    EXPECT_FALSE(fit(65794, x_zero_point, 0, 0));
  }
  EXPECT_TRUE(fit(131000, 127, 0, 0));
  EXPECT_TRUE(fit(1, 0, -128, kLargest - 65025));
  EXPECT_FALSE(fit(1, 0, -128, kLargest - 65024));
  EXPECT_TRUE(fit(1, 0, -128, 65025 - kLargest));
  EXPECT_FALSE(fit(1, 0, -128, 65024 - kLargest));
  EXPECT_FALSE(fit(1, 128, 0, std::numeric_limits<int32_t>::min()));
  EXPECT_FALSE(fit(std::numeric_limits<int32_t>::max(), 0, 0, 0));
}

}  // namespace
}  // namespace onednn
}  // namespace caffe2_quantization
