// Weights that a NetDef carries as codes, against the same weights as floats:
// FC and convolutions give the same codes, over random shapes, orders, groups,
// granularities and forms of the bias.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "netdef/given_weights.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;

int64_t Count(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<int64_t>());
}

// One case: an input of codes, weights and a bias in a workspace, and an
// operator that takes them.
class Case {
 public:
  explicit Case(TestRandom* random) : random_(*random) {}

  void DrawFc() {
    const int64_t k = random_.Integer(1, random_.OneIn(8) ? 700 : 80);
    w_ = {random_.Integer(1, random_.OneIn(4) ? 70 : 9), k};
    if (random_.OneIn(4)) w_ = {w_[0], 2, k, 3};
    x_ = {random_.Integer(1, 5), Count(w_) / w_[0]};
    order_ = "FC";
    const char* const types[] = {"FC", "Int8FC", "Int8FCRelu"};
    OpBuilder(&op_, types[random_.Integer(0, 2)], {"x", "w"}, {"y"});
    Finish();
  }

  void DrawConv() {
    const bool first = random_.OneIn(2);
    const auto dims = static_cast<int>(random_.Integer(1, 3));
    const bool depthwise = random_.OneIn(3);
    groups_ = depthwise          ? random_.Integer(2, 40)
              : random_.OneIn(2) ? 1
                                 : random_.Integer(2, 5);
    const int64_t channels = depthwise ? 1 : random_.Integer(1, 9);
    const int64_t outputs =
        groups_ * random_.Integer(1, depthwise          ? 5
                                     : random_.OneIn(4) ? 40
                                                        : 7);
    Sizes kernel, input;
    for (int dim = 0; dim < dims; ++dim) {
      kernel.push_back(random_.Integer(1, dims == 3 ? 2 : 4));
      input.push_back(random_.Integer(kernel[dim], 7));
    }
    const auto sizes = [&](int64_t n, int64_t c, const Sizes& inner) {
      Sizes all{n};
      if (first) all.push_back(c);
      all.insert(all.end(), inner.begin(), inner.end());
      if (!first) all.push_back(c);
      return all;
    };
    w_ = sizes(outputs, channels, kernel);
    x_ = sizes(random_.Integer(1, 2), channels * groups_, input);
    order_ = first ? "NCHW" : "NHWC";
    const char* const types[] = {"Conv", "ConvRelu", "Int8Conv", "Int8ConvRelu",
                                 "Int8ConvSum"};
    const std::string type = types[random_.Integer(0, 4)];
    has_addend_ = type == "Int8ConvSum";
    OpBuilder(&op_, type, {"x", "w"}, {"y"})
        .Ints("kernels", kernel)
        .Int("group", groups_)
        .String("order", order_);
    if (has_addend_) {
      Sizes output = input;
      for (int dim = 0; dim < dims; ++dim) output[dim] -= kernel[dim] - 1;
      FeedRandomCodes("s", sizes(x_[0], outputs, output), 0.3f, 40);
    }
    Finish();
  }

  // Runs the operator with weights of floats, then with each form of the fill.
  void Compare() {
    const Int8Values expected = Run(op_);
    caffe2::OperatorDef fill = Fill();
    caffe2::OperatorDef packed = op_;
    packed.set_input(1, "packed");
    if (packs_bias_ && order_ != "FC") {
      packed.mutable_input()->DeleteSubrange(2, 1);
    }
    for (const bool is_signed : {true, false}) {
      if (!is_signed) MakeUnsigned(&fill);
      ASSERT_TRUE(workspace_.RunOperatorOnce(fill));
      EXPECT_EQ(Run(packed), expected)
          << op_.ShortDebugString() << "\nw " << c10::str(at::IntArrayRef(w_))
          << ", signed " << is_signed;
    }
  }

 private:
  // Weights, bias, and what they have in common.
  void Finish() {
    FeedRandomCodes("x", x_, std::ldexp(random_.Float(1, 2), -5),
                    static_cast<int32_t>(random_.Integer(0, 255)));
    std::vector<float> w(Count(w_));
    const int64_t outputs = w_[0];
    const auto k = static_cast<int64_t>(w.size()) / outputs;
    for (int64_t i = 0; i < static_cast<int64_t>(w.size()); ++i) {
      // Channels of other ranges; some of one sign, some of zeros.
      const int64_t channel = i / k;
      w[i] = channel % 7 == 3
                 ? 0.0f
                 : random_.Float(channel % 3 == 0 ? 0.0f : -1.0f, 1.0f) *
                       std::ldexp(1.0f, channel % 5 - 4);
    }
    FeedFloats(&workspace_, "w", w, w_);
    std::vector<float> b(outputs);
    for (float& value : b) value = random_.Float(-2, 2);
    FeedFloats(&workspace_, "b", b);

    const bool is_fc = order_ == "FC";
    has_bias_ = is_fc || random_.OneIn(2);
    packs_bias_ = has_bias_ && random_.OneIn(2);
    const char* const granularities[] = {"tensor", "channel", "group"};
    granularity_ = granularities[random_.Integer(0, is_fc ? 1 : 2)];
    if (has_bias_) op_.add_input("b");
    if (has_addend_) op_.add_input("s");
    OpBuilder builder(&op_);
    builder.Float("Y_scale", std::ldexp(random_.Float(1, 2), -3))
        .Int("Y_zero_point", random_.Integer(0, 255));
    if (granularity_ == "channel") builder.Int("quantize_channelwise", 1);
    if (granularity_ == "group") builder.Int("quantize_groupwise", 1);
    preserve_sparsity_ = random_.OneIn(3);
    if (preserve_sparsity_) builder.Int("preserve_weight_sparsity", 1);
    precision_ = random_.OneIn(4) ? random_.Integer(3, 7) : 8;
    if (precision_ < 8) builder.Int("weight_precision", precision_);
    if (random_.OneIn(4)) {
      method_ = "l2_approx";
      // With sparsity it is l2, as under DNNLOWP.
      if (preserve_sparsity_) method_ = "p99";
      builder.String("weight_quantization_kind", method_);
    }
    op_.set_engine(random_.OneIn(4) ? "ONEDNN_ACC16" : "ONEDNN");
  }

  void FeedRandomCodes(const std::string& name, const Sizes& sizes, float scale,
                       int32_t zero_point) {
    std::vector<uint8_t> codes(Count(sizes));
    for (uint8_t& code : codes) code = random_.Byte();
    FeedCodes(&workspace_, name, codes, sizes, scale, zero_point);
    if (name == "x") x_scale_ = scale;
  }

  caffe2::OperatorDef Fill() {
    caffe2::OperatorDef make;
    OpBuilder builder(&make, "MakeInt8GivenPackedWeightFill", {"w"},
                      {"fill", "scales", "zero_points"});
    builder.String("blob", "packed")
        .String("order", order_)
        .String("granularity", granularity_)
        .Int("group", groups_)
        .String("method", method_)
        .Int("preserve_sparsity", preserve_sparsity_)
        .Int("precision", precision_);
    if (packs_bias_) {
      make.add_input("b");
      builder.Float("in_scale", x_scale_);
    }
    CAFFE_ENFORCE(workspace_.RunOperatorOnce(make));
    caffe2::OperatorDef fill;
    CAFFE_ENFORCE(
        fill.ParseFromString(Fetch<std::string>(workspace_, "fill")[0]));
    EXPECT_EQ(fill.type(), kGivenWeightsType);
    EXPECT_EQ(fill.output(0), "packed");
    return fill;
  }

  static void MakeUnsigned(caffe2::OperatorDef* fill) {
    for (caffe2::Argument& argument : *fill->mutable_arg()) {
      if (argument.name() == "is_signed") argument.set_i(0);
      if (argument.name() == "values") {
        for (char& code : *argument.mutable_s()) {
          code = static_cast<char>(code ^ 0x80);
        }
      }
      if (argument.name() == "zero_points") {
        for (int i = 0; i < argument.ints_size(); ++i) {
          argument.set_ints(i, argument.ints(i) + 128);
        }
      }
    }
  }

  Int8Values Run(const caffe2::OperatorDef& op) {
    CAFFE_ENFORCE(workspace_.RunOperatorOnce(op));
    return FetchCodes(workspace_, "y");
  }

  TestRandom& random_;
  caffe2::Workspace workspace_;
  caffe2::OperatorDef op_;
  Sizes x_, w_;
  std::string order_, granularity_, method_ = "MIN_MAX";
  int64_t groups_ = 1, precision_ = 8;
  float x_scale_ = 1;
  bool has_bias_ = false, packs_bias_ = false, has_addend_ = false;
  bool preserve_sparsity_ = false;
};

TEST(PackedWeightFill, FcGivesTheCodesOfFloatWeights) {
  TestRandom random;
  const int64_t cases = CaseCount(1000, 2000);
  for (int64_t i = 0; i < cases && !testing::Test::HasFailure(); ++i) {
    Case c(&random);
    c.DrawFc();
    c.Compare();
  }
}

TEST(PackedWeightFill, ConvGivesTheCodesOfFloatWeights) {
  TestRandom random;
  const int64_t cases = CaseCount(1000, 2000);
  for (int64_t i = 0; i < cases && !testing::Test::HasFailure(); ++i) {
    Case c(&random);
    c.DrawConv();
    c.Compare();
  }
}

}  // namespace
}  // namespace caffe2_quantization
