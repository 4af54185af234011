// Choosing parameters against the host's Int8GenQuantParams, in one process.
//
// The host's full searches take seconds to half a minute a tensor, so few
// tensors go through them here; CAFFE2_QUANTIZATION_ORACLE_TENSORS asks for
// more.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>

#include "operators/int8_quant_blobs.h"
#include "quantization/choose.h"
#include "quantization/kernels/histogram.h"
#include "quantization/kl_minimization.h"
#include "quantization/norm_minimization.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

struct Parameters {
  float scale = 0;
  int zero_point = 0;
};

class Host {
 public:
  Parameters Choose(const std::vector<float>& values, const std::string& kind,
                    bool preserve_sparsity) {
    auto* tensor = caffe2::BlobGetMutableTensor(
        workspace_.CreateBlob("X"), {static_cast<int64_t>(values.size())},
        at::dtype<float>().device(caffe2::CPU));
    std::memcpy(tensor->mutable_data<float>(), values.data(),
                values.size() * sizeof(float));
    workspace_.CreateBlob("scheme")
        ->GetMutable<std::unique_ptr<caffe2::Int8QuantSchemeBlob>>()
        ->reset(new caffe2::Int8QuantSchemeBlob{kind, preserve_sparsity});
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "Int8GenQuantParams", {"X", "scheme"}, {"chosen"});
    CAFFE_ENFORCE(workspace_.RunOperatorOnce(definition));
    const auto& chosen =
        workspace_.GetBlob("chosen")
            ->Get<std::unique_ptr<caffe2::Int8QuantParamsBlob>>();
    return {chosen->qparam.scale, chosen->qparam.zero_point};
  }

 private:
  caffe2::Workspace workspace_;
};

std::vector<float> RandomTensor(TestRandom* random, std::string* what) {
  auto& generator = random->generator();
  std::normal_distribution<float> normal;
  std::exponential_distribution<float> exponential;
  const char* const kinds[] = {"normal",   "uniform",    "Laplace",
                               "ReLU'd",   "sparse",     "constant",
                               "outlier",  "heavy tail", "integers",
                               "positive", "far from 0", "negative"};
  const auto kind = random->Integer(0, std::size(kinds) - 1);
  const auto exponent = static_cast<int>(random->Integer(-20, 40));
  std::vector<float> values(random->Integer(1, 1 << random->Integer(1, 13)));
  const float constant = random->Float(-1, 1);
  for (float& x : values) {
    const float n = normal(generator);
    const float u = random->Float(-1, 1);
    switch (kind) {
      case 0:
      case 6:
        x = n;
        break;
      case 1:
        x = u;
        break;
      case 2:
        x = std::copysign(exponential(generator), u);
        break;
      case 3:
        x = std::max(0.0f, n);
        break;
      case 4:
        x = random->OneIn(10) ? n : 0;
        break;
      case 5:
        x = constant;
        break;
      case 7:
        x = n * n * n;
        break;
      case 8:
        x = std::round(127 * u);
        break;
      case 9:
        x = u + 1.25f;
        break;
      case 10:
        x = u + 40;
        break;
      default:
        x = -std::fabs(n) - 0.5f;
    }
    x = std::ldexp(x, exponent);
  }
  if (kind == 6) values[values.size() / 2] = std::ldexp(50.0f, exponent);
  *what = std::string(kinds[kind]) + ", " + std::to_string(values.size()) +
          " values, times 2^" + std::to_string(exponent);
  return values;
}

// The sum that a method minimises, of the best range that gives these
// parameters; infinite if none does.
double Objective(const std::vector<float>& values, const ChooseOptions& options,
                 Parameters parameters) {
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  std::vector<uint64_t> counts(2048);
  kernels::CountUniformBins(values.data(), values.size(), *min, *max,
                            counts.size(), counts.data());
  const float width = (*max - *min) / 2048;
  const bool is_kl = options.method == ChooseMethod::kKl;
  ChooseOptions range_options = options;
  if (is_kl) range_options.preserve_sparsity = false;
  const double shift = is_kl ? 0.5 : 0;
  const auto num_bins = static_cast<int64_t>(counts.size());
  const auto zero_bin = static_cast<int64_t>(std::round(-*min / width));
  double least = std::numeric_limits<double>::infinity();
  // Symmetric ranges of ours may be wider than all bins.
  const int64_t most = options.preserve_sparsity && *min < 0
                           ? 2 * std::max(zero_bin, num_bins - zero_bin) + 1
                           : num_bins;
  for (int64_t size = 1; size <= most; ++size) {
    int64_t first = 0;
    int64_t last = num_bins - size;
    if (options.preserve_sparsity) {
      first = last = *min == 0 ? 0 : zero_bin - size / 2;
    }
    for (int64_t start = first; start <= last; ++start) {
      Choice choice;
      const auto low =
          is_kl ? static_cast<float>(*min + double{width} * (start + shift))
                : *min + width * start;
      const auto high = is_kl
                            ? static_cast<float>(
                                  *min + double{width} * (start + size + shift))
                            : *min + width * (start + size);
      if (!ChooseFromRange(low, high, range_options, &choice).ok() ||
          choice.scale != parameters.scale ||
          choice.zero_point != parameters.zero_point) {
        continue;
      }
      least =
          std::min(least, is_kl ? RangeDivergence(counts, 256, {start, size})
                                : RangeError(counts,
                                             options.method == ChooseMethod::kL1
                                                 ? ErrorNorm::kL1
                                                 : ErrorNorm::kL2,
                                             256, start, size));
    }
  }
  return least;
}

// How many empty bins the host adds between the values and 0; each costs it
// time, and memory.
double PaddingBins(const std::vector<float>& values) {
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  const double nearest = std::max({0.0f, *min, -*max});
  return nearest == 0 || *min == *max ? 0 : nearest / (*max - *min) * 2048;
}

class Comparison {
 public:
  ~Comparison() {
    for (const auto& [name, tally] : tallies_) {
      std::printf(
          "%-24s %d tensors, %d the same, %d better, %d beyond the "
          "host\n",
          name.c_str(), tally.tensors, tally.same, tally.better,
          tally.host_failed);
    }
  }

  void Compare(const std::vector<float>& values, const std::string& kind,
               bool preserve_sparsity) {
    const std::string name = kind + (preserve_sparsity ? " symmetric" : "");
    SCOPED_TRACE(name);
    Tally& tally = tallies_[name];
    ++tally.tensors;
    ChooseOptions options;
    options.preserve_sparsity = preserve_sparsity;
    ASSERT_TRUE(
        ChooseMethodFromName(kind, &options.method, &options.percentile).ok());
    ChooseLikeDnnlowp(&options);
    Choice choice;
    const Status status =
        ChooseFromArray(values.data(), values.size(), options, &choice);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(std::isfinite(choice.scale) && choice.scale > 0);

    Parameters host;
    try {
      host = host_.Choose(values, kind, preserve_sparsity);
    } catch (const std::exception&) {
      ++tally.host_failed;
      return;
    }
    CompareWithoutFloor(values, options, choice);
    if (choice.scale == host.scale && choice.zero_point == host.zero_point) {
      ++tally.same;
      return;
    }
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    if (options.method != ChooseMethod::kMinMax && (*min > 0 || *max <= 0)) {
      // Symmetric, the host then looks at ranges up to half of the values; its
      // descent's floats overflow beyond about 2^40. Of few values the expected
      // error, which is what is minimised, says little about their own.
      if (values.size() >= 300) {
        EXPECT_GE(1.05 * SquaredError(values, host),
                  SquaredError(values, choice));
      }
      ++tally.better;
      return;
    }
    const double ours =
        Objective(values, options, {choice.scale, choice.zero_point});
    const double theirs = Objective(values, options, host);
    EXPECT_TRUE(std::isfinite(ours));
    EXPECT_LE(ours, theirs)
        << "host: scale " << host.scale << " zero point " << host.zero_point
        << ", ours: " << choice.scale << " " << choice.zero_point;
    ++tally.better;
  }

 private:
  struct Tally {
    int tensors = 0;
    int same = 0;
    int better = 0;
    int host_failed = 0;
  };

  // What is chosen by default is the same where the scale is above the host's
  // smallest; below it, the plain equation.
  static void CompareWithoutFloor(const std::vector<float>& values,
                                  ChooseOptions options,
                                  const Choice& with_floor) {
    options.smallest_scale = kSmallestChosenScale;
    Choice choice;
    ASSERT_TRUE(
        ChooseFromArray(values.data(), values.size(), options, &choice).ok());
    if (with_floor.scale > kDnnlowpSmallestScale) {
      EXPECT_EQ(choice.scale, with_floor.scale);
      EXPECT_EQ(choice.zero_point, with_floor.zero_point);
      return;
    }
    if (options.method != ChooseMethod::kMinMax) {
      // Squared errors are what these are for.
      if (options.method == ChooseMethod::kL2 && values.size() >= 300) {
        // Whole numbers may lie where the codes of the smallest scale do, which
        // no search by bins sees.
        const double noise = static_cast<double>(values.size()) *
                             std::pow(double{kDnnlowpSmallestScale}, 2) / 12;
        const double error = SquaredError(values, with_floor);
        if (error > 0.1 * noise) {
          EXPECT_LE(SquaredError(values, choice), 1.05 * error);
        }
      }
      return;
    }
    const auto [least, largest] =
        std::minmax_element(values.begin(), values.end());
    const double min = std::min(*least, 0.0f), max = std::max(*largest, 0.0f);
    const double scale = options.preserve_sparsity && min < 0 && max > 0
                             ? std::max(-min / 128, max / 127)
                             : (max - min) / 255;
    EXPECT_NEAR(choice.scale / scale, 1, 1e-6);
    EXPECT_NEAR(
        choice.zero_point,
        options.preserve_sparsity && min < 0 && max > 0 ? 128 : -min / scale,
        0.501);
  }

  template <typename P>
  static double SquaredError(const std::vector<float>& values, const P& p) {
    double sum = 0;
    for (const float x : values) {
      const double q = std::clamp(
          std::nearbyint(double{x} / p.scale) + p.zero_point, 0.0, 255.0);
      sum += std::pow(x - p.scale * (q - p.zero_point), 2);
    }
    return sum;
  }

  Host host_;
  std::map<std::string, Tally> tallies_;
};

int SlowTensors() {
  const char* given = std::getenv("CAFFE2_QUANTIZATION_ORACLE_TENSORS");
  return given == nullptr ? 1 : std::atoi(given);
}

TEST(Int8GenQuantParamsOracle, SameChoiceOver1000Tensors) {
  TestRandom random;
  Comparison comparison;
  for (int i = 0; i < 1000;) {
    std::string what;
    const auto values = RandomTensor(&random, &what);
    if (PaddingBins(values) > 1e6) continue;
    ++i;
    SCOPED_TRACE(what);
    for (const char* kind : {"MIN_MAX", "P99", "L2_APPROX"}) {
      comparison.Compare(values, kind, false);
      if (testing::Test::HasFailure()) return;
    }
    for (const char* kind : {"MIN_MAX", "P99"}) {
      comparison.Compare(values, kind, true);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(Int8GenQuantParamsOracle, SameSymmetricSearches) {
  TestRandom random;
  Comparison comparison;
  for (int i = 0; i < 60 * SlowTensors(); ++i) {
    std::string what;
    const auto values = RandomTensor(&random, &what);
    SCOPED_TRACE(what);
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    if (PaddingBins(values) > 4096) continue;
    for (const char* kind : {"L2", "L2_APPROX", "L1", "KL"}) {
      // KL is not defined for what lies on one side of 0, and L1 would make the
      // host search for minutes.
      const bool one_sided = *min > 0 || *max < 0 || *min == *max;
      if (one_sided && (kind == std::string("KL") || kind == std::string("L1")))
        continue;
      comparison.Compare(values, kind, true);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Each by itself, so that CTest can run them beside each other.
class Int8GenQuantParamsFullSearch
    : public testing::TestWithParam<const char*> {};

TEST_P(Int8GenQuantParamsFullSearch, FindsTheSame) {
  TestRandom random;
  Comparison comparison;
  for (int i = 0; i < SlowTensors();) {
    std::string what;
    const auto values = RandomTensor(&random, &what);
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    // What lies on one side of 0 makes the host search for minutes.
    if (*min > 0 || *max < 0 || *min == *max || values.size() < 300) continue;
    SCOPED_TRACE(what);
    comparison.Compare(values, GetParam(), false);
    if (testing::Test::HasFailure()) return;
    ++i;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Int8GenQuantParamsFullSearch,
                         testing::Values("L2", "L1", "KL"),
                         [](const testing::TestParamInfo<const char*>& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace caffe2_quantization
