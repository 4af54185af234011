#include "netdef/dnnlowp_settings.h"

#include <gtest/gtest.h>

#include "c10/util/Flags.h"
#include "tests/support/net_builder.h"

C10_DECLARE_int32(caffe2_dnnlowp_activation_quantization_precision);
C10_DECLARE_int32(caffe2_dnnlowp_weight_quantization_precision);
C10_DECLARE_bool(caffe2_dnnlowp_preserve_activation_sparsity);
C10_DECLARE_bool(caffe2_dnnlowp_preserve_weight_sparsity);
C10_DECLARE_bool(caffe2_dnnlowp_force_scale_power_of_two);
C10_DECLARE_string(caffe2_dnnlowp_activation_quantization_kind);
C10_DECLARE_string(caffe2_dnnlowp_weight_quantization_kind);
C10_DECLARE_double(caffe2_dnnlowp_activation_p99_threshold);
C10_DECLARE_double(caffe2_dnnlowp_weight_p99_threshold);

namespace caffe2_quantization {
namespace {

// Sets a flag until the end of the test.
template <typename T>
class FlagGuard {
 public:
  FlagGuard(T* flag, T value) : flag_(flag), before_(*flag) {
    *flag = std::move(value);
  }
  ~FlagGuard() { *flag_ = before_; }

 private:
  T* flag_;
  T before_;
};

TEST(DnnlowpSettings, KindsByEitherName) {
  for (const auto& [name, expected] :
       {std::pair("min_max", ChooseMethod::kMinMax),
        std::pair("Min_Max", ChooseMethod::kMinMax),
        std::pair("MIN_MAX_QUANTIZATION", ChooseMethod::kMinMax),
        std::pair("l1", ChooseMethod::kL1),
        std::pair("L1_MIN_QUANTIZATION", ChooseMethod::kL1),
        std::pair("L2", ChooseMethod::kL2),
        std::pair("L2_MIN_QUANTIZATION", ChooseMethod::kL2),
        std::pair("l2_approx", ChooseMethod::kL2Approx),
        std::pair("L2_MIN_QUANTIZATION_APPROX", ChooseMethod::kL2Approx),
        std::pair("kl", ChooseMethod::kKl),
        std::pair("KL_MIN_QUANTIZATION", ChooseMethod::kKl),
        std::pair("p99", ChooseMethod::kPercentile),
        std::pair("P99_QUANTIZATION", ChooseMethod::kPercentile)}) {
    const FlagGuard kind(&FLAGS_caffe2_dnnlowp_activation_quantization_kind,
                         std::string(name));
    ChooseOptions options;
    ASSERT_TRUE(DnnlowpOptions(false, &options).ok()) << name;
    EXPECT_EQ(options.method, expected) << name;
    EXPECT_TRUE(HostKnowsKind(name)) << name;
  }
}

TEST(DnnlowpSettings, KindsBeyondTheHosts) {
  const FlagGuard threshold(&FLAGS_caffe2_dnnlowp_activation_p99_threshold,
                            0.5);
  for (const auto& [name, method, percentile] :
       {std::tuple("p99.99", ChooseMethod::kPercentile, 0.9999),
        std::tuple("P99.9", ChooseMethod::kPercentile, 0.999),
        std::tuple("p99.99_dnnlowp", ChooseMethod::kPercentileInBins, 0.9999),
        std::tuple("p99_dnnlowp", ChooseMethod::kPercentileInBins, 0.5),
        std::tuple("p99", ChooseMethod::kPercentile, 0.5),
        std::tuple("l2_min_quantization", ChooseMethod::kL2, 0.5),
        std::tuple("mse", ChooseMethod::kMse, 0.5)}) {
    caffe2::OperatorDef op;
    OpBuilder(&op, "FC", {}, {}).String("activation_quantization_kind", name);
    ChooseOptions options;
    ASSERT_TRUE(DnnlowpOptions(op, false, &options).ok()) << name;
    EXPECT_EQ(options.method, method) << name;
    EXPECT_DOUBLE_EQ(options.percentile, percentile) << name;
    EXPECT_EQ(HostKnowsKind(name), std::string(name) == "p99") << name;
  }
}

TEST(DnnlowpSettings, UnknownKindsAreErrors) {
  for (const char* name : {"", "p", "p0", "p101", "l2 ", "p99_"}) {
    caffe2::OperatorDef op;
    OpBuilder(&op, "FC", {}, {}).String("activation_quantization_kind", name);
    ChooseOptions options;
    const Status status = DnnlowpOptions(op, false, &options);
    EXPECT_FALSE(status.ok()) << name;
    EXPECT_NE(status.message().find("quantization method '" +
                                    std::string(name) + "' is unknown"),
              std::string::npos)
        << status.message();
    EXPECT_FALSE(HostKnowsKind(name));
  }
}

TEST(DnnlowpSettings, TheHostsDefaults) {
  for (const bool is_weight : {false, true}) {
    ChooseOptions options;
    ASSERT_TRUE(DnnlowpOptions(is_weight, &options).ok());
    EXPECT_EQ(options.method, ChooseMethod::kMinMax);
    EXPECT_EQ(options.type, QuantizedType::UInt8());
    EXPECT_FALSE(options.preserve_sparsity);
    EXPECT_FALSE(options.force_scale_power_of_two);
    EXPECT_DOUBLE_EQ(options.percentile, 0.99);
  }
}

TEST(DnnlowpSettings, FlagsOfActivationsAndOfWeights) {
  const FlagGuard precision(
      &FLAGS_caffe2_dnnlowp_activation_quantization_precision, 7);
  const FlagGuard weight_precision(
      &FLAGS_caffe2_dnnlowp_weight_quantization_precision, 6);
  const FlagGuard sparsity(&FLAGS_caffe2_dnnlowp_preserve_weight_sparsity,
                           true);
  const FlagGuard kind(&FLAGS_caffe2_dnnlowp_activation_quantization_kind,
                       std::string("p99"));
  const FlagGuard weight_kind(&FLAGS_caffe2_dnnlowp_weight_quantization_kind,
                              std::string("KL"));
  const FlagGuard threshold(&FLAGS_caffe2_dnnlowp_activation_p99_threshold,
                            0.5);
  const FlagGuard weight_threshold(&FLAGS_caffe2_dnnlowp_weight_p99_threshold,
                                   0.25);
  const FlagGuard power(&FLAGS_caffe2_dnnlowp_force_scale_power_of_two, true);
  ChooseOptions options;
  ASSERT_TRUE(DnnlowpOptions(false, &options).ok());
  EXPECT_EQ(options.type, (QuantizedType{7, false}));
  EXPECT_FALSE(options.preserve_sparsity);
  EXPECT_TRUE(options.force_scale_power_of_two);
  EXPECT_EQ(options.method, ChooseMethod::kPercentile);
  EXPECT_EQ(options.percentile, 0.5);
  ASSERT_TRUE(DnnlowpOptions(true, &options).ok());
  EXPECT_EQ(options.type, (QuantizedType{6, false}));
  EXPECT_TRUE(options.preserve_sparsity);
  EXPECT_EQ(options.method, ChooseMethod::kKl);
  EXPECT_EQ(options.percentile, 0.25);
}

TEST(DnnlowpSettings, ArgumentsComeBeforeFlags) {
  const FlagGuard precision(
      &FLAGS_caffe2_dnnlowp_activation_quantization_precision, 7);
  const FlagGuard kind(&FLAGS_caffe2_dnnlowp_activation_quantization_kind,
                       std::string("p99"));
  caffe2::OperatorDef op;
  OpBuilder(&op, "FC", {}, {})
      .Int("activation_precision", 5)
      .Int("weight_precision", 4)
      .Int("preserve_activation_sparsity", 1)
      .Int("preserve_weight_sparsity", 0)
      .Int("force_scale_power_of_two", 1)
      .String("activation_quantization_kind", "l1")
      .String("weight_quantization_kind", "L2_MIN_QUANTIZATION");
  ChooseOptions options;
  ASSERT_TRUE(DnnlowpOptions(op, false, &options).ok());
  EXPECT_EQ(options.type.precision, 5);
  EXPECT_TRUE(options.preserve_sparsity);
  EXPECT_TRUE(options.force_scale_power_of_two);
  EXPECT_EQ(options.method, ChooseMethod::kL1);
  ASSERT_TRUE(DnnlowpOptions(op, true, &options).ok());
  EXPECT_EQ(options.type.precision, 4);
  EXPECT_FALSE(options.preserve_sparsity);
  EXPECT_EQ(options.method, ChooseMethod::kL2);
}

TEST(DnnlowpSettings, TheLeastSquaredErrorIsAKindOfArgumentsAndFlags) {
  const FlagGuard kind(&FLAGS_caffe2_dnnlowp_activation_quantization_kind,
                       std::string("MSE"));
  ChooseOptions options;
  ASSERT_TRUE(DnnlowpOptions(false, &options).ok());
  EXPECT_EQ(options.method, ChooseMethod::kMse);
  caffe2::OperatorDef op;
  OpBuilder(&op, "FC", {}, {}).String("weight_quantization_kind", "mse");
  ASSERT_TRUE(DnnlowpOptions(op, true, &options).ok());
  EXPECT_EQ(options.method, ChooseMethod::kMse);
}

TEST(DnnlowpSettings, L2ApproxIsL2WhileAFlagAsksForSparsity) {
  const FlagGuard kind(&FLAGS_caffe2_dnnlowp_activation_quantization_kind,
                       std::string("l2_approx"));
  ChooseOptions options;
  ASSERT_TRUE(DnnlowpOptions(false, &options).ok());
  EXPECT_EQ(options.method, ChooseMethod::kL2Approx);
  const FlagGuard sparsity(&FLAGS_caffe2_dnnlowp_preserve_weight_sparsity,
                           true);
  ASSERT_TRUE(DnnlowpOptions(false, &options).ok());
  EXPECT_EQ(options.method, ChooseMethod::kL2);
}

std::string ErrorOfArgument(const std::function<void(OpBuilder&)>& set) {
  caffe2::OperatorDef op;
  OpBuilder builder(&op, "FC", {}, {});
  set(builder);
  ChooseOptions options;
  options.percentile = 0.125;
  const Status status = DnnlowpOptions(op, false, &options);
  EXPECT_EQ(options.percentile, 0.125) << "left alone";
  return status.message();
}

TEST(DnnlowpSettings, WrongArgumentsAreNamed) {
  EXPECT_EQ(ErrorOfArgument(
                [](OpBuilder& b) { b.String("activation_precision", "8"); }),
            "argument activation_precision is not an integer");
  EXPECT_NE(ErrorOfArgument([](OpBuilder& b) {
              b.Int("activation_precision", 17);
            }).find("precision is 17, expected 1 to 16 bits"),
            std::string::npos);
  EXPECT_EQ(ErrorOfArgument(
                [](OpBuilder& b) { b.Int("preserve_activation_sparsity", 2); }),
            "argument preserve_activation_sparsity is 2, expected 0 or 1");
  EXPECT_NE(ErrorOfArgument([](OpBuilder& b) {
              b.String("activation_quantization_kind", "best");
            }).find("quantization method 'best' is unknown"),
            std::string::npos);
}

TEST(DnnlowpSettings, EnginesOfInt8Operators) {
  for (const char* engine : {"DNNLOWP", "DNNLOWP_16", "DNNLOWP_ROWWISE",
                             "ONEDNN", "ONEDNN_ACC16", "EIGEN,DNNLOWP"}) {
    EXPECT_TRUE(IsInt8Engine(engine)) << engine;
  }
  for (const char* engine : {"", "EIGEN", "dnnlowp", "NODNNLOWP", ",", "DNN"}) {
    EXPECT_FALSE(IsInt8Engine(engine)) << engine;
  }
}

TEST(DnnlowpSettings, StaticParametersTakeThePlaceOfThoseThatAreThere) {
  caffe2::OperatorDef op;
  OpBuilder(&op, "FC", {}, {})
      .Float("Y_scale", 7)
      .Int("axis", 1)
      .Int("Y_zero_point", 7)
      .Float("Y_scale", 7);
  SetStaticParameters(0, 0.5f, 3, &op);
  SetStaticParameters(0, 0.25f, 4, &op);
  SetStaticParameters(1, 0.125f, -5, &op);
  ASSERT_EQ(op.arg_size(), 5);
  EXPECT_EQ(op.arg(0).name(), "axis");
  const caffe2::ArgumentHelper arguments(op);
  EXPECT_EQ(arguments.GetSingleArgument<float>("Y_scale", 0), 0.25f);
  EXPECT_EQ(arguments.GetSingleArgument<int>("Y_zero_point", 0), 4);
  EXPECT_EQ(arguments.GetSingleArgument<float>("Y2_scale", 0), 0.125f);
  EXPECT_EQ(arguments.GetSingleArgument<int>("Y2_zero_point", 0), -5);
}

}  // namespace
}  // namespace caffe2_quantization
