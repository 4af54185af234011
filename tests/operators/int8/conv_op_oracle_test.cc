// Convolutions under the engine ONEDNN against DNNLOWP's in the same process:
// the same codes, over random shapes, engines and forms of input.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "operators/int8/products/conv_geometry.h"
#include "quantization/choose.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

int64_t Product(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<int64_t>());
}

struct Engine {
  const char* type;
  const char* suffix;
  bool is_wide() const { return std::string(suffix) == "_16"; }
};

constexpr Engine kEngines[] = {
    {"Conv", ""},           {"ConvRelu", ""},           {"Int8Conv", ""},
    {"Int8ConvRelu", ""},   {"Conv", "_ACC16"},         {"ConvRelu", "_ACC16"},
    {"Int8Conv", "_ACC16"}, {"Int8ConvRelu", "_ACC16"}, {"Conv", "_16"},
    {"ConvRelu", "_16"},
};

// A random convolution: its geometry, which forms its inputs have, and the
// nets of both engines.
class RandomConvolution {
 public:
  RandomConvolution(TestRandom* random, Engine engine)
      : random_(*random), engine_(engine) {
    ChooseShape();
    ChooseForms();
  }

  void Feed(caffe2::Workspace* workspace) {
    FeedInput(workspace);
    FeedFilter(workspace);
    FeedBias(workspace);
  }

  void Run(caffe2::Workspace* workspace, const std::string& engine,
           const std::string& y) {
    auto conv = Definition(engine, y);
    if (packed_) {
      ASSERT_TRUE(workspace->RunOperatorOnce(PackDefinition(engine)));
    }
    ASSERT_TRUE(workspace->RunOperatorOnce(conv));
  }

  std::string Text() const {
    return Definition("", "y").ShortDebugString() + " of " + SizesText(x_) +
           " and " + SizesText(w_) + (packed_ ? ", packed" : "");
  }

 private:
  int64_t Integer(int64_t low, int64_t high) {
    return random_.Integer(low, high);
  }

  void ChooseShape() {
    channels_first_ = random_.OneIn(4);
    dims_ = random_.OneIn(2) ? 2 : Integer(1, 3);
    const bool depthwise = random_.OneIn(4);
    groups_ = depthwise          ? 8 * Integer(1, 4)
              : random_.OneIn(2) ? 1
                                 : Integer(2, 4);
    const int64_t per_group =
        depthwise ? 1 : Integer(1, random_.OneIn(4) ? 40 : 9);
    const int64_t m_per_group =
        depthwise ? 1 : Integer(1, random_.OneIn(4) ? 40 : 9);
    std::vector<int64_t> input(dims_), kernel(dims_);
    // FBGEMM has kernels of its own for these.
    const bool three = random_.OneIn(3);
    // They take no notice of dilations, and write beyond the output.
    const bool plain = channels_first_ || engine_.is_wide();
    const bool dilates = !three && (groups_ == 1 || plain);
    for (int dim = 0; dim < dims_; ++dim) {
      kernel[dim] = three ? 3 : Integer(1, dims_ == 3 ? 3 : 5);
      strides_.push_back(Integer(1, 2));
      dilations_.push_back(dilates && random_.OneIn(4) ? 2 : 1);
      if (dilations_[dim] > 1 && !plain && kernel[dim] == 3) kernel[dim] = 2;
      input[dim] =
          Integer(dilations_[dim] * (kernel[dim] - 1) + 1, dims_ == 3 ? 7 : 11);
      input[dim] =
          std::max(input[dim], dilations_[dim] * (kernel[dim] - 1) + 1);
    }
    if (random_.OneIn(2)) {
      std::fill(strides_.begin(), strides_.end(), strides_[0]);
    }
    pads_.assign(2 * dims_, three ? 1 : Integer(0, 2));
    if (random_.OneIn(3)) {
      for (int64_t& pad : pads_) pad = Integer(0, 2);
    }
    // A window in the padding alone: FBGEMM does not make all of it.
    for (int i = 0; i < 2 * dims_ && !channels_first_; ++i) {
      pads_[i] =
          std::min(pads_[i], dilations_[i % dims_] * (kernel[i % dims_] - 1));
    }
    m_ = groups_ * m_per_group;
    x_ = Sizes(Integer(1, 3), groups_ * per_group, input);
    w_ = Sizes(m_, per_group, kernel);
    kernel_ = kernel;
  }

  std::vector<int64_t> Sizes(int64_t first, int64_t channels,
                             const std::vector<int64_t>& inner) const {
    std::vector<int64_t> sizes{first};
    if (channels_first_) sizes.push_back(channels);
    sizes.insert(sizes.end(), inner.begin(), inner.end());
    if (!channels_first_) sizes.push_back(channels);
    return sizes;
  }

  void ChooseForms() {
    const bool wide = engine_.is_wide();
    precision_ = wide ? Integer(8, 10) : 8;
    // FBGEMM's kernels of small groups saturate sums of two products at 16
    // bits: one of the factors keeps a bit free.
    weight_precision_ = wide ? Integer(8, 10) : random_.OneIn(2) ? 7 : 8;
    x_highest_ = wide                     ? (1 << precision_) - 1
                 : weight_precision_ == 7 ? 255
                                          : 127;
    // Under _ACC16 the host packs small ones in another form than the one that
    // it then reads, and ends.
    const bool packs = std::string(engine_.suffix).empty();
    packed_ = packs && !channels_first_ && random_.OneIn(3);
    int8_filter_ = !wide && random_.OneIn(4);
    groupwise_ = !int8_filter_ && random_.OneIn(3);
    bias_ = random_.OneIn(4)                  ? kNone
            : random_.OneIn(4) && !groupwise_ ? kCodes
                                              : kFloats;
    x_scale_ = std::ldexp(random_.Float(1, 2), Integer(-9, 2));
    x_zero_point_ = random_.OneIn(4) ? 0 : Integer(0, x_highest_);
    // About what the sums need.
    const double depth = static_cast<double>(Product(w_)) / m_;
    w_scale_ = 1.0f / 16;
    y_scale_ =
        static_cast<float>(x_scale_ * w_scale_ * std::sqrt(depth) * x_highest_ *
                           random_.Float(0.1f, 1) *
                           std::ldexp(1.0, weight_precision_ - 1 - precision_));
    y_zero_point_ = Integer(0, (1 << precision_) - 1);
  }

  void FeedInput(caffe2::Workspace* workspace) {
    const auto feed = [&](auto zero) {
      std::vector<decltype(zero)> codes(Product(x_));
      for (auto& code : codes) code = Integer(0, x_highest_);
      FeedCodes(workspace, "x", codes, x_, x_scale_, x_zero_point_);
    };
    if (engine_.is_wide()) {
      feed(uint16_t{0});
    } else {
      feed(uint8_t{0});
    }
  }

  void FeedFilter(caffe2::Workspace* workspace) {
    const int codes = 1 << weight_precision_;
    if (int8_filter_) {
      std::vector<uint8_t> values(Product(w_));
      for (uint8_t& value : values) value = Integer(0, codes - 1);
      FeedCodes(workspace, "w", values, w_, w_scale_, Integer(0, codes - 1));
      return;
    }
    // Of another precision than 8 the host rounds twice: there, values that
    // codes represent.
    const bool exact = engine_.is_wide() || weight_precision_ != 8;
    std::vector<float> values(Product(w_));
    for (float& value : values) {
      value = exact
                  ? w_scale_ * Integer(-codes / 2, codes / 2 - 1)
                  : random_.Float(-w_scale_ * codes / 2, w_scale_ * codes / 2);
    }
    if (exact) {
      const int64_t sets = groupwise_ ? groups_ : 1;
      const int64_t run = values.size() / sets;
      for (int64_t set = 0; set < sets && run > 1; ++set) {
        values[set * run] = -w_scale_ * codes / 2;
        values[set * run + 1] = w_scale_ * (codes / 2 - 1);
      }
    }
    FeedFloats(workspace, "w", values, w_);
  }

  void FeedBias(caffe2::Workspace* workspace) {
    if (bias_ == kFloats) {
      std::vector<float> values(m_);
      for (float& value : values) value = random_.Float(-9, 9) * y_scale_;
      FeedFloats(workspace, "b", values);
    } else if (bias_ == kCodes) {
      std::vector<int32_t> values(m_);
      for (int32_t& value : values) value = Integer(-3000, 3000);
      FeedCodes(workspace, "b", values, {m_}, BiasScale(workspace), 0);
    }
  }

  // The input's times the filter's, which the host makes of floats too.
  float BiasScale(caffe2::Workspace* workspace) {
    if (int8_filter_) return x_scale_ * w_scale_;
    const auto w = Fetch<float>(*workspace, "w");
    const auto [min, max] = std::minmax_element(w.begin(), w.end());
    return x_scale_ * (std::max(*max, 0.0f) - std::min(*min, 0.0f)) /
           ((1 << weight_precision_) - 1);
  }

  std::string EngineName(const std::string& engine) const {
    return engine + engine_.suffix;
  }

  void AddCommon(caffe2::OperatorDef* definition) const {
    OpBuilder builder(definition);
    builder.Ints("kernels", kernel_)
        .Ints("strides", strides_)
        .Ints("dilations", dilations_)
        .Ints("pads", pads_)
        .Int("group", groups_)
        .Int("weight_precision", weight_precision_)
        .Int("nbits_in_non_outlier", 0);
    if (groupwise_) builder.Int("quantize_groupwise", 1);
  }

  caffe2::OperatorDef Definition(const std::string& engine,
                                 const std::string& y) const {
    caffe2::OperatorDef definition;
    std::vector<std::string> inputs{"x", packed_ ? "w_" + engine : "w"};
    if (bias_ != kNone && !packed_) inputs.push_back("b");
    OpBuilder builder(&definition, engine_.type, inputs, {y});
    definition.set_engine(EngineName(engine));
    AddCommon(&definition);
    builder.String("order", channels_first_ ? "NCHW" : "NHWC")
        .Float("Y_scale", y_scale_)
        .Int("Y_zero_point", y_zero_point_);
    if (precision_ != 8) builder.Int("activation_precision", precision_);
    return definition;
  }

  caffe2::OperatorDef PackDefinition(const std::string& engine) const {
    caffe2::OperatorDef definition;
    std::vector<std::string> inputs{"w"};
    if (bias_ != kNone) inputs.push_back("b");
    OpBuilder builder(&definition, "Int8ConvPackWeight", inputs,
                      {"w_" + engine});
    definition.set_engine(EngineName(engine));
    AddCommon(&definition);
    builder.Float("in_scale", x_scale_);
    return definition;
  }

  enum Bias { kNone, kFloats, kCodes };

  TestRandom& random_;
  const Engine engine_;
  bool channels_first_, packed_, int8_filter_, groupwise_;
  int dims_;
  int64_t groups_, m_;
  std::vector<int64_t> x_, w_, kernel_, strides_, dilations_, pads_;
  Bias bias_;
  int precision_, weight_precision_, x_highest_;
  float x_scale_, w_scale_, y_scale_;
  int32_t x_zero_point_, y_zero_point_;
};

TEST(ConvOpOracle, CodesAreTheHostsOver2000Convolutions) {
  TestRandom random;
  int64_t codes = 0, inner = 0, differ = 0, by_more = 0;
  for (int i = 0; i < 2000; ++i) {
    RandomConvolution convolution(&random, kEngines[i % std::size(kEngines)]);
    SCOPED_TRACE(convolution.Text());
    caffe2::Workspace workspace;
    convolution.Feed(&workspace);
    // The first one in a process of some of FBGEMM's kernels goes wrong.
    convolution.Run(&workspace, "DNNLOWP", "expected");
    convolution.Run(&workspace, "DNNLOWP", "expected");
    convolution.Run(&workspace, "ONEDNN", "actual");
    if (testing::Test::HasFatalFailure()) return;
    const Int8Values expected = FetchCodes(workspace, "expected");
    const Int8Values actual = FetchCodes(workspace, "actual");
    ASSERT_EQ(actual.sizes, expected.sizes);
    // DNNLOWP has no smaller one.
    if (expected.scale == kDnnlowpSmallestScale) continue;
    ASSERT_EQ(actual.scale, expected.scale);
    ASSERT_EQ(actual.zero_point, expected.zero_point);
    codes += actual.codes.size();
    int64_t here = 0;
    for (std::size_t k = 0; k < actual.codes.size(); ++k) {
      here += actual.codes[k] != expected.codes[k];
      inner += expected.codes[k] > 0 && expected.codes[k] < 255;
      by_more += std::abs(actual.codes[k] - expected.codes[k]) > 1;
    }
    differ += here;
    EXPECT_EQ(here, 0) << "of " << actual.codes.size() << "\n"
                       << actual << "\n"
                       << expected;
  }
  EXPECT_GT(inner, codes / 3) << "of " << codes;  // not saturated
  std::printf("%lld of %lld codes differ from DNNLOWP's, %lld by more than 1\n",
              static_cast<long long>(differ), static_cast<long long>(codes),
              static_cast<long long>(by_more));
}

}  // namespace
}  // namespace caffe2_quantization
