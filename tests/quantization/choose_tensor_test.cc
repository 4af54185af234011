#include "quantization/choose_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "quantization/quantization_error.h"
#include "tests/quantization/parameter_sets_testing.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr ChooseMethod kMethods[] = {
    ChooseMethod::kMinMax,   ChooseMethod::kL2, ChooseMethod::kL1,
    ChooseMethod::kL2Approx, ChooseMethod::kKl, ChooseMethod::kPercentile,
    ChooseMethod::kMse,
};
constexpr QuantizedType kTypes[] = {
    QuantizedType::UInt8(),
    QuantizedType::Int8(),
    QuantizedType::Int4(),
};

struct Tensor {
  std::vector<int64_t> shape;
  SetsOptions sets;
  std::vector<float> values;
  std::vector<std::size_t> set_of_value;
  std::size_t num_sets;
};

Tensor RandomTensor(TestRandom* random, int64_t largest_dimension) {
  Tensor made;
  for (int64_t i = random->Integer(1, 4); i > 0; --i) {
    made.shape.push_back(random->Integer(1, largest_dimension));
  }
  made.sets.granularity = static_cast<Granularity>(random->Integer(0, 3));
  made.sets.axis = static_cast<int>(
      random->Integer(0, static_cast<int64_t>(made.shape.size()) - 1));
  made.sets.block_size = random->Integer(1, 40);
  QuantizationParams params;
  params.granularity = made.sets.granularity;
  params.axis = made.sets.axis;
  params.block_size = made.sets.block_size;
  made.set_of_value = SetOfEachValue(made.shape, params);
  made.num_sets =
      *std::max_element(made.set_of_value.begin(), made.set_of_value.end()) + 1;
  std::normal_distribution<float> normal(random->Float(-2, 2), 1);
  for (std::size_t i = 0; i < made.set_of_value.size(); ++i) {
    made.values.push_back(normal(random->generator()));
  }
  return made;
}

TEST(ChooseForTensor, ChoosesEachSetByItself) {
  TestRandom random;
  for (const ChooseMethod method : kMethods) {
    // Of the methods that search, fewer: a set takes them milliseconds.
    const bool searches = method == ChooseMethod::kL2 ||
                          method == ChooseMethod::kL1 ||
                          method == ChooseMethod::kKl;
    for (int round = 0; round < (searches ? 5 : 50); ++round) {
      const Tensor tensor = RandomTensor(&random, searches ? 3 : 7);
      ChooseOptions options;
      options.method = method;
      options.type = kTypes[random.Integer(0, 2)];
      options.preserve_sparsity = random.OneIn(2);
      options.reduced_range = random.OneIn(3);
      SCOPED_TRACE(Name(method) + ", " + options.type.Name());

      TensorChoice choice;
      const Status status = ChooseForTensor(tensor.values.data(), tensor.shape,
                                            tensor.sets, options, &choice);
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_EQ(choice.sets.size(), tensor.num_sets);
      ASSERT_EQ(choice.params.scales.size(), tensor.num_sets);
      ASSERT_EQ(choice.params.zero_points.size(), tensor.num_sets);
      EXPECT_EQ(choice.params.type, options.Codes());
      EXPECT_EQ(choice.params.granularity, tensor.sets.granularity);
      EXPECT_EQ(*choice.params.min,
                *std::min_element(tensor.values.begin(), tensor.values.end()));
      EXPECT_EQ(*choice.params.max,
                *std::max_element(tensor.values.begin(), tensor.values.end()));
      std::size_t warnings = 0;
      for (std::size_t set = 0; set < tensor.num_sets; ++set) {
        std::vector<float> own;
        for (std::size_t i = 0; i < tensor.values.size(); ++i) {
          if (tensor.set_of_value[i] == set) own.push_back(tensor.values[i]);
        }
        Choice wanted;
        ASSERT_TRUE(
            ChooseFromArray(own.data(), own.size(), options, &wanted).ok());
        const Choice& found = choice.sets[set];
        EXPECT_EQ(found.scale, wanted.scale);
        EXPECT_EQ(found.zero_point, wanted.zero_point);
        EXPECT_EQ(found.min, wanted.min);
        EXPECT_EQ(found.max, wanted.max);
        EXPECT_EQ(found.clipped_share, wanted.clipped_share);
        EXPECT_EQ(found.warning, wanted.warning);
        EXPECT_EQ(choice.params.scales[set], wanted.scale);
        EXPECT_EQ(choice.params.zero_points[set], wanted.zero_point);
        if (!wanted.warning.empty()) ++warnings;
      }
      EXPECT_EQ(choice.warnings.size(), warnings);
      // What it chose fits the shape.
      QuantizationError error;
      EXPECT_TRUE(MeasureQuantizationError(tensor.values.data(), tensor.shape,
                                           choice.params, &error)
                      .ok());
      EXPECT_EQ(error.count, tensor.values.size());
      if (HasFailure()) return;
    }
  }
}

TEST(ChooseForTensor, MoreSetsMakeNoLargerError) {
  TestRandom random;
  // Channels of sizes far apart.
  std::vector<float> values;
  for (int channel = 0; channel < 8; ++channel) {
    for (int i = 0; i < 256; ++i) {
      values.push_back(std::ldexp(random.Float(-1, 1), channel));
    }
  }
  const auto sqnr = [&](const SetsOptions& sets) {
    ChooseOptions options;
    options.type = QuantizedType::Int8();
    TensorChoice choice;
    QuantizationError error;
    EXPECT_TRUE(
        ChooseForTensor(values.data(), {8, 256}, sets, options, &choice).ok());
    EXPECT_TRUE(
        MeasureQuantizationError(values.data(), {8, 256}, choice.params, &error)
            .ok());
    return error.SqnrDb();
  };
  const double tensor = sqnr({});
  const double channel = sqnr({Granularity::kChannel, 0, 0});
  const double block = sqnr({Granularity::kChannelBlock, 0, 16});
  EXPECT_GT(channel, tensor + 3);
  EXPECT_GT(block, channel);
}

TEST(ChooseForTensor, AnEmptyTensorIsTheRangeOfZero) {
  TensorChoice choice;
  ASSERT_TRUE(ChooseForTensor(nullptr, {3, 0, 4}, {Granularity::kChannel, 0, 0},
                              ChooseOptions(), &choice)
                  .ok());
  EXPECT_EQ(choice.params.scales.size(), 3u);
  EXPECT_FALSE(choice.params.min.has_value());
  EXPECT_FALSE(choice.params.max.has_value());
}

TEST(ChooseForTensor, RefusesMoreEmptyChannelsThanAnyoneHas) {
  TensorChoice choice;
  const Status status =
      ChooseForTensor(nullptr, {int64_t{1} << 40, 0},
                      {Granularity::kChannel, 0, 0}, ChooseOptions(), &choice);
  EXPECT_EQ(status.message(),
            "choosing parameters: a tensor without values has 1099511627776 "
            "parameter sets, expected 1048576 at most");
}

TEST(ChooseForTensor, NamesTheSetOfAWarning) {
  std::vector<float> values(2 * 1000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 1000) / 1000;
  }
  ChooseOptions options;
  options.method = ChooseMethod::kPercentile;
  options.percentile = 0.9;
  TensorChoice choice;
  ASSERT_TRUE(ChooseForTensor(values.data(), {2, 1000},
                              {Granularity::kChannelBlock, 0, 500}, options,
                              &choice)
                  .ok());
  ASSERT_EQ(choice.warnings.size(), 4u);
  EXPECT_EQ(choice.warnings[2].rfind("channel 1, block 0: ", 0), 0u)
      << choice.warnings[2];
}

TEST(ChooseForTensor, RefusesBadOptionsAndValues) {
  std::vector<float> values(12, 1.0f);
  TensorChoice choice;
  choice.warnings = {"untouched"};
  const auto message = [&](const SetsOptions& sets,
                           const ChooseOptions& options) {
    const Status status =
        ChooseForTensor(values.data(), {3, 4}, sets, options, &choice);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(choice.warnings, std::vector<std::string>{"untouched"});
    return status.message();
  };
  EXPECT_EQ(
      message({Granularity::kChannel, -1, 0}, ChooseOptions()),
      "quantization parameters: axis is -1, expected one of 2 dimensions");
  EXPECT_EQ(message({Granularity::kBlock, 0, 0}, ChooseOptions()),
            "quantization parameters: block_size is 0, expected 1 or more");
  ChooseOptions bad;
  bad.percentile = 2;
  EXPECT_EQ(message({}, bad),
            "choosing parameters: percentile is 2, expected a share above 0 "
            "and up to 1");
  values[5] = std::numeric_limits<float>::quiet_NaN();
  values[6] = std::numeric_limits<float>::infinity();
  for (const Granularity granularity :
       {Granularity::kTensor, Granularity::kChannel, Granularity::kBlock}) {
    EXPECT_EQ(
        message({granularity, 1, 3}, ChooseOptions()),
        "choosing parameters: 1 NaN and 1 infinite of 12 values, expected "
        "finite values");
  }
}

TEST(ClipToRepresented, BringsEachValueIntoItsSetsRange) {
  TestRandom random;
  for (int round = 0; round < 200; ++round) {
    Tensor tensor = RandomTensor(&random, 7);
    QuantizationParams params;
    params.type = kTypes[random.Integer(0, 2)];
    params.granularity = tensor.sets.granularity;
    if (params.IsPerChannel()) params.axis = tensor.sets.axis;
    if (params.granularity == Granularity::kBlock ||
        params.granularity == Granularity::kChannelBlock) {
      params.block_size = tensor.sets.block_size;
    }
    params.scales.clear();
    params.zero_points.clear();
    for (std::size_t i = 0; i < tensor.num_sets; ++i) {
      params.scales.push_back(random.Float(1e-3f, 0.1f));
      params.zero_points.push_back(static_cast<int32_t>(
          random.Integer(params.type.qmin(), params.type.qmax())));
    }
    if (round % 3 == 0) {
      tensor.values[0] = std::numeric_limits<float>::quiet_NaN();
      tensor.values.back() = -std::numeric_limits<float>::infinity();
    }
    std::vector<float> clipped(tensor.values.size());
    const Status status = ClipToRepresented(tensor.values.data(), tensor.shape,
                                            params, clipped.data());
    ASSERT_TRUE(status.ok()) << status.message();
    for (std::size_t i = 0; i < clipped.size(); ++i) {
      const std::size_t set = tensor.set_of_value[i];
      const double scale = params.scales[set];
      const double zero_point = params.zero_points[set];
      if (std::isnan(tensor.values[i])) {
        EXPECT_TRUE(std::isnan(clipped[i]));
        continue;
      }
      EXPECT_EQ(
          clipped[i],
          std::min(
              std::max(tensor.values[i],
                       static_cast<float>(scale *
                                          (params.type.qmin() - zero_point))),
              static_cast<float>(scale * (params.type.qmax() - zero_point))));
    }
    std::vector<float> in_place = tensor.values;
    ASSERT_TRUE(ClipToRepresented(in_place.data(), tensor.shape, params,
                                  in_place.data())
                    .ok());
    EXPECT_EQ(std::count_if(in_place.begin(), in_place.end(),
                            [](float x) { return std::isnan(x); }),
              std::count_if(clipped.begin(), clipped.end(),
                            [](float x) { return std::isnan(x); }));
    for (std::size_t i = 0; i < clipped.size(); ++i) {
      if (!std::isnan(clipped[i])) {
        EXPECT_EQ(in_place[i], clipped[i]);
      }
    }
    QuantizationError error;
    ASSERT_TRUE(
        MeasureQuantizationError(clipped.data(), tensor.shape, params, &error)
            .ok());
    EXPECT_EQ(error.clipped, 0);
    if (HasFailure()) return;
  }
}

TEST(ClipToRepresented, RefusesParamsOfAnotherShape) {
  const std::vector<float> values(12, 1.0f);
  std::vector<float> clipped(12, 7.0f);
  QuantizationParams params;
  params.granularity = Granularity::kChannel;
  const Status status =
      ClipToRepresented(values.data(), {3, 4}, params, clipped.data());
  EXPECT_EQ(status.message(),
            "quantization parameters: 1 sets with granularity channel, "
            "expected 3 for a tensor of shape [3, 4]");
  EXPECT_EQ(clipped, std::vector<float>(12, 7.0f));
}

}  // namespace
}  // namespace caffe2_quantization
