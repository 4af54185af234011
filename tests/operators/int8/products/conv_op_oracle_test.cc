// Convolutions under the engine ONEDNN against DNNLOWP's in the same process:
// the same codes, over random shapes, engines and forms of input.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantization/choose.h"
#include "tests/operators/int8/engine/operator_tester.h"

namespace caffe2_quantization {
namespace {

// Draws a convolution: its geometry, and which forms its inputs have.
class RandomConvolution {
 public:
  RandomConvolution(TestRandom* random, OperatorCase* c)
      : random_(*random), case_(*c), wide_(c->kind.suffix == "_16") {
    ChooseShape();
    ChooseForms();
    DrawInput();
    DrawFilter();
    DrawBias();
    Define();
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
    const bool plain = channels_first_ || wide_;
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
    precision_ = wide_ ? Integer(8, 10) : 8;
    case_.largest_code = (1 << precision_) - 1;
    // FBGEMM's kernels of small groups saturate sums of two products at 16
    // bits: one of the factors keeps a bit free.
    weight_precision_ = wide_ ? Integer(8, 10) : random_.OneIn(2) ? 7 : 8;
    x_highest_ = wide_                    ? (1 << precision_) - 1
                 : weight_precision_ == 7 ? 255
                                          : 127;
    // Under _ACC16 the host packs small ones in another form than the one that
    // it then reads, and ends.
    const bool packs = case_.kind.suffix.empty();
    packed_ = packs && !channels_first_ && random_.OneIn(3);
    int8_filter_ = !wide_ && random_.OneIn(4);
    groupwise_ = !int8_filter_ && random_.OneIn(3);
    bias_ = random_.OneIn(4)                  ? kNone
            : random_.OneIn(4) && !groupwise_ ? kCodes
                                              : kFloats;
    x_scale_ = std::ldexp(random_.Float(1, 2), Integer(-9, 2));
    x_zero_point_ = random_.OneIn(4) ? 0 : Integer(0, x_highest_);
    // About what the sums need.
    const double depth = static_cast<double>(NumValues(w_)) / m_;
    w_scale_ = 1.0f / 16;
    y_scale_ =
        static_cast<float>(x_scale_ * w_scale_ * std::sqrt(depth) * x_highest_ *
                           random_.Float(0.1f, 1) *
                           std::ldexp(1.0, weight_precision_ - 1 - precision_));
    y_zero_point_ = Integer(0, case_.largest_code);
    // What a Relu leaves of the range must not need a smaller scale than
    // DNNLOWP's smallest, which ours has not.
    while (y_zero_point_ > 0 && case_.kind.has("Relu") &&
           y_scale_ * (case_.largest_code - y_zero_point_) <
               1.01 * kDnnlowpSmallestScale * case_.largest_code) {
      y_zero_point_ /= 2;
    }
  }

  void DrawInput() {
    case_.blobs["x"] =
        CodeTensor(wide_ ? TestTensor::kUint16 : TestTensor::kUint8,
                   RandomCodes(&random_, NumValues(x_), 0, x_highest_), x_,
                   x_scale_, x_zero_point_);
  }

  void DrawFilter() {
    const int codes = 1 << weight_precision_;
    if (int8_filter_) {
      auto values = RandomCodes(&random_, NumValues(w_), 0, codes - 1);
      case_.blobs["w"] =
          CodeTensor(TestTensor::kUint8, std::move(values), w_, w_scale_,
                     static_cast<int32_t>(Integer(0, codes - 1)));
      return;
    }
    // Of another precision than 8 the host rounds twice: there, values that
    // codes represent.
    const bool exact = wide_ || weight_precision_ != 8;
    std::vector<float> values(NumValues(w_));
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
    case_.blobs["w"] = FloatTensor(std::move(values), w_);
  }

  void DrawBias() {
    if (bias_ == kFloats) {
      std::vector<float> values(m_);
      for (float& value : values) value = random_.Float(-9, 9) * y_scale_;
      case_.blobs["b"] = FloatTensor(std::move(values), {m_});
    } else if (bias_ == kCodes) {
      case_.blobs["b"] =
          CodeTensor(TestTensor::kBias, RandomCodes(&random_, m_, -3000, 3000),
                     {m_}, BiasScale(), 0);
    }
  }

  // The input's times the filter's, which the host makes of floats too.
  float BiasScale() const {
    if (int8_filter_) return x_scale_ * w_scale_;
    const auto& w = case_.blobs.at("w").floats;
    const auto [min, max] = std::minmax_element(w.begin(), w.end());
    return x_scale_ * (std::max(*max, 0.0f) - std::min(*min, 0.0f)) /
           ((1 << weight_precision_) - 1);
  }

  OpBuilder Begin(caffe2::OperatorDef* definition, const std::string& type,
                  std::vector<std::string> inputs, const char* output) const {
    OpBuilder builder(definition, type, inputs, {output});
    builder.Ints("kernels", kernel_)
        .Ints("strides", strides_)
        .Ints("dilations", dilations_)
        .Ints("pads", pads_)
        .Int("group", groups_)
        .Int("weight_precision", weight_precision_)
        .Int("nbits_in_non_outlier", 0);
    if (groupwise_) builder.Int("quantize_groupwise", 1);
    return builder;
  }

  void Define() {
    std::vector<std::string> weights{"w"};
    if (bias_ != kNone) weights.push_back("b");
    std::vector<std::string> inputs{"x"};
    if (packed_) {
      case_.before.emplace_back();
      Begin(&case_.before.back(), "Int8ConvPackWeight", weights, "packed")
          .Float("in_scale", x_scale_);
      weights = {"packed"};
    }
    inputs.insert(inputs.end(), weights.begin(), weights.end());
    OpBuilder builder = Begin(&case_.definition, case_.kind.type, inputs, "y");
    builder.String("order", channels_first_ ? "NCHW" : "NHWC")
        .Float("Y_scale", y_scale_)
        .Int("Y_zero_point", y_zero_point_);
    if (precision_ != 8) builder.Int("activation_precision", precision_);
  }

  enum Bias { kNone, kFloats, kCodes };

  TestRandom& random_;
  OperatorCase& case_;
  const bool wide_;
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
  OperatorTester("Conv", {"ConvRelu", "Int8ConvRelu"})
      .Cases([](TestRandom* random, OperatorCase* c) {
        RandomConvolution(random, c);
      })
      // The first one in a process of some of FBGEMM's kernels goes wrong.
      .HostRuns(2)
      .InnerShare(1.0 / 3)
      .AgainstDnnlowp(2000);
}

}  // namespace
}  // namespace caffe2_quantization
