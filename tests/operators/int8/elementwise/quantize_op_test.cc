// Quantize and Dequantize under the engine ONEDNN, against the host's under
// DNNLOWP in the same process, and what they refuse.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>

#include "netdef/dnnlowp_settings.h"
#include "operators/int8_quant_blobs.h"
#include "quantization/choose.h"
#include "quantization/quantize.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

struct Int8Values {
  std::vector<int64_t> shape;
  std::vector<int> codes;
  float scale;
  int32_t zero_point;

  friend bool operator==(const Int8Values& a, const Int8Values& b) {
    return a.shape == b.shape && a.codes == b.codes && a.scale == b.scale &&
           a.zero_point == b.zero_point;
  }
  friend std::ostream& operator<<(std::ostream& stream, const Int8Values& v) {
    return stream << v.codes.size() << " codes, scale " << v.scale
                  << ", zero point " << v.zero_point;
  }
};

class QuantizeOpTest : public testing::Test {
 protected:
  void Run(const caffe2::OperatorDef& definition) {
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  std::string RunError(const caffe2::OperatorDef& definition) {
    return ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
  }

  Int8Values FetchInt8(const std::string& name) const {
    const auto& tensor = workspace_.GetBlob(name)->Get<Int8TensorCPU>();
    Int8Values values{
        tensor.t.sizes().vec(), {}, tensor.scale, tensor.zero_point};
    const auto copy = [&](const auto* data) {
      values.codes.assign(data, data + tensor.t.numel());
    };
    if (tensor.t.IsType<uint8_t>()) {
      copy(tensor.t.data<uint8_t>());
    } else {
      copy(tensor.t.data<uint16_t>());
    }
    return values;
  }

  template <typename T>
  void FeedInt8(const std::string& name, const std::vector<T>& codes,
                std::vector<int64_t> shape, float scale, int32_t zero_point) {
    auto* tensor = workspace_.CreateBlob(name)->GetMutable<Int8TensorCPU>();
    tensor->scale = scale;
    tensor->zero_point = zero_point;
    tensor->t.Resize(shape);
    std::copy(codes.begin(), codes.end(), tensor->t.mutable_data<T>());
  }

  void FeedParams(const std::string& name, float scale, int32_t zero_point) {
    auto params = std::make_unique<caffe2::Int8QuantParamsBlob>();
    params->qparam.scale = scale;
    params->qparam.zero_point = zero_point;
    *workspace_.CreateBlob(name)
         ->GetMutable<std::unique_ptr<caffe2::Int8QuantParamsBlob>>() =
        std::move(params);
  }

  caffe2::Workspace workspace_;
};

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& engine,
                               const std::vector<std::string>& inputs = {"x"}) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, inputs, {"y"});
  definition.set_engine(engine);
  return definition;
}

std::vector<float> RandomValues(TestRandom* random, std::size_t count) {
  std::normal_distribution<float> normal;
  const auto magnitude = std::ldexp(1.0f, random->Integer(-12, 20));
  const float middle = random->OneIn(3) ? random->Float(-4, 4) : 0;
  const bool one_sided = random->OneIn(4);
  const bool constant = random->OneIn(10);
  std::vector<float> values(count);
  for (float& x : values) {
    x = magnitude * (normal(random->generator()) + middle);
    if (one_sided) x = std::fabs(x);
    if (constant) x = values[0];
  }
  return values;
}

void DrawQuantize(TestRandom* random, OperatorCase* c) {
  const auto shape = RandomShape(random);
  c->blobs["x"] = FloatTensor(RandomValues(random, NumValues(shape)), shape);
  const bool wide = c->kind.is_wide();
  const bool given = random->OneIn(4);
  OpBuilder builder(&c->definition, c->kind.type, {"x"}, {"y"});
  int precision = 8;
  if (random->OneIn(3)) {
    precision = random->Integer(2, wide ? 16 : 8);
    builder.Int("activation_precision", precision);
  }
  c->largest_code = (1 << precision) - 1;
  const float scale = std::ldexp(random->Float(1, 2), random->Integer(-16, 16));
  const int zero_point = random->Integer(0, c->largest_code);
  if (given) c->AddInput("params", ParamsBlob(scale, zero_point));
  if (random->OneIn(3)) builder.Int("preserve_activation_sparsity", 1);
  if (random->OneIn(4)) builder.Int("force_scale_power_of_two", 1);
  if (random->OneIn(4)) builder.String("activation_quantization_kind", "l2");
  if (random->OneIn(3)) {
    builder.Float("Y_scale", scale);
    if (!random->OneIn(5)) builder.Int("Y_zero_point", zero_point);
  }
  if (random->OneIn(4)) {
    const char* const next[] = {"Relu", "Sigmoid", "Tanh"};
    // The host takes the zero point 128 of 8-bit codes for fewer bits.
    builder.String("followed_by",
                   next[precision < 8 ? 0 : random->Integer(0, 2)]);
  }
  // The host multiplies and adds there with two roundings.
  if (wide) c->host_within = 1;
}

bool HasParamsInput(const OperatorCase& c) {
  return c.definition.input_size() == 2;
}

// Whether the host floored a scale that ours did not: of the values, or of what
// is left of given parameters by the Relu.
bool IsBelowTheHostsScales(const OperatorCase& c, const TestTensor& ours,
                           const TestTensor& host) {
  const bool is_chosen =
      !HasParamsInput(c) &&
      (!caffe2::ArgumentHelper::HasArgument(c.definition, "Y_scale") ||
       IsFollowedByRelu(c));
  return is_chosen && (host.scale == kDnnlowpSmallestScale ||
                       (c.Argument("force_scale_power_of_two", 0) &&
                        ours.scale <= 0x1p-14f));
}

// Each value itself.
std::vector<Expected> Values(const OperatorCase& c) {
  const TestTensor& x = c.blobs.at(c.definition.input(0));
  Expected y;
  y.shape = x.shape;
  for (int64_t i = 0; i < x.count(); ++i) y.values.push_back(x.Real(i));
  return {y};
}

TEST(QuantizeOpOracle, LikeTheHostOver2000RandomTensors) {
  OperatorTester("Quantize")
      .Cases(DrawQuantize)
      .Reference(Values)
      .Incomparable(51, 2000, IsBelowTheHostsScales)
      .InexactShare(0.0001, 0, /*more_codes=*/2)
      .AgainstDnnlowp(2000)
      .AgainstReference(300);
}

TEST(DequantizeOpOracle, LikeTheHostOver2000RandomTensors) {
  OperatorTester("Dequantize", {"Int8DequantizeRowWise"})
      .Vary([](TestRandom* random, OperatorCase* c) {
        c->Input(0).scale =
            std::ldexp(random->Float(1, 2), random->Integer(-40, 16));
      })
      .AnyParameters()
      .Reference(Values)
      .AgainstDnnlowp(2000)
      .AgainstReference(300);
}

TEST_F(QuantizeOpTest, DequantizeRowWiseIsLikeTheHosts) {
  std::vector<uint8_t> codes(256);
  std::iota(codes.begin(), codes.end(), uint8_t{0});
  FeedInt8("x", codes, {16, 16}, 0.1f, 77);
  Run(Definition("Int8DequantizeRowWise", "DNNLOWP"));
  const auto expected = Fetch<float>(workspace_, "y");
  Run(Definition("Int8DequantizeRowWise", "ONEDNN"));
  EXPECT_EQ(Fetch<float>(workspace_, "y"), expected);
  EXPECT_FLOAT_EQ(expected[78], 0.1f);
}

// Larger than the last cache level: results are streamed.
TEST_F(QuantizeOpTest, LargeTensors) {
  TestRandom random;
  constexpr int64_t kCount = 3 * 1000 * 1001;
  std::vector<float> values(kCount);
  for (float& x : values) x = random.Float(-3, 5);
  FeedFloats(&workspace_, "x", values, {3, 1000, 1001});
  Run(Definition("Quantize", "DNNLOWP"));
  const Int8Values expected = FetchInt8("y");
  Run(Definition("Quantize", "ONEDNN"));
  EXPECT_TRUE(FetchInt8("y") == expected);
}

// An output blob that held something else, or another shape, is made anew.
TEST_F(QuantizeOpTest, ReusesAndReplacesItsOutput) {
  FeedFloats(&workspace_, "y", {1, 2, 3});
  const auto definition = Definition("Quantize", "ONEDNN");
  const auto op = caffe2::CreateOperator(
      [&] {
        FeedFloats(&workspace_, "x", {0, 1, 2, 255});
        return definition;
      }(),
      &workspace_);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchInt8("y").codes, (std::vector<int>{0, 1, 2, 255}));
  FeedFloats(&workspace_, "x", {0, 510}, {2, 1});
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchInt8("y").codes, (std::vector<int>{0, 255}));
  EXPECT_EQ(FetchInt8("y").shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(FetchInt8("y").scale, 2);
}

// Arguments are read in the first run: what a net's observer sets after the
// operator was made still holds.
TEST_F(QuantizeOpTest, ReadsArgumentsInTheFirstRun) {
  FeedFloats(&workspace_, "x", {0, 1});
  const auto definition = Definition("Quantize", "ONEDNN");
  const auto op = caffe2::CreateOperator(definition, &workspace_);
  auto with_parameters = std::make_shared<caffe2::OperatorDef>(definition);
  SetStaticParameters(0, 0.25f, 9, with_parameters.get());
  op->set_debug_def(with_parameters);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchInt8("y").codes, (std::vector<int>{9, 13}));
}

TEST_F(QuantizeOpTest, StaticParametersTakeNanAndInfinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  FeedFloats(&workspace_, "x",
             {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity});
  auto definition = Definition("Int8Quantize", "ONEDNN");
  OpBuilder(&definition).Float("Y_scale", 1).Int("Y_zero_point", 3);
  Run(definition);
  EXPECT_EQ(FetchInt8("y").codes, (std::vector<int>{3, 255, 0}));
}

TEST_F(QuantizeOpTest, RefusesAndLeavesTheOutput) {
  const auto expect_error = [&](const caffe2::OperatorDef& definition,
                                const std::string& expected) {
    FeedInt8<uint8_t>("y", {5, 6}, {2}, 0.5f, 1);
    const std::string error = RunError(definition);
    EXPECT_NE(error.find(definition.type() + ": " + expected),
              std::string::npos)
        << error;
    EXPECT_EQ(FetchInt8("y").codes, (std::vector<int>{5, 6})) << expected;
    EXPECT_EQ(FetchInt8("y").scale, 0.5f);
  };
  const auto quantize = Definition("Quantize", "ONEDNN");
  const auto with_params = Definition("Int8Quantize", "ONEDNN", {"x", "p"});

  Feed<int>(&workspace_, "x", {1, 2});
  expect_error(quantize, "tensor 'x' is of type int, expected float");
  FeedInt8<uint8_t>("x", {1}, {1}, 1, 0);
  expect_error(quantize,
               "blob 'x' holds a caffe2::int8::Int8TensorCPU, expected a float "
               "tensor of the CPU");
  workspace_.RemoveBlob("x");
  FeedFloats(&workspace_, "x", {1, std::numeric_limits<float>::quiet_NaN()});
  expect_error(quantize,
               "tensor 'x' has 1 of 2 values that are NaN or infinite");

  FeedFloats(&workspace_, "x", {1, 2});
  FeedFloats(&workspace_, "p", {1});
  expect_error(with_params, "blob 'p' holds a ");
  workspace_.RemoveBlob("p");
  workspace_.CreateBlob("p")
      ->GetMutable<std::unique_ptr<caffe2::Int8QuantParamsBlob>>();
  expect_error(with_params, "blob 'p' holds an empty Int8QuantParamsBlob");
  FeedParams("p", 0, 0);
  expect_error(with_params, "blob 'p': ");
  FeedParams("p", 1, 256);
  expect_error(with_params, "blob 'p': ");

  auto wrong = quantize;
  OpBuilder(&wrong).Int("Y_scale", 1);
  expect_error(wrong, "argument Y_scale is not a float");
  wrong = quantize;
  OpBuilder(&wrong).String("activation_quantization_kind", "best");
  expect_error(wrong, "arguments and flags caffe2_dnnlowp_*: ");
  wrong = quantize;
  OpBuilder(&wrong).Int("activation_precision", 9);
  expect_error(wrong, "activation_precision is 9, expected 1 to 8 bits");
}

TEST_F(QuantizeOpTest, DequantizeRefusesAndLeavesTheOutput) {
  const auto expect_error = [&](const caffe2::OperatorDef& definition,
                                const std::string& expected) {
    FeedFloats(&workspace_, "y", {5, 6});
    const std::string error = RunError(definition);
    EXPECT_NE(error.find(definition.type() + ": " + expected),
              std::string::npos)
        << error;
    EXPECT_EQ(Fetch<float>(workspace_, "y"), (std::vector<float>{5, 6}));
  };
  FeedFloats(&workspace_, "x", {1});
  expect_error(Definition("Dequantize", "ONEDNN"),
               "blob 'x' holds a caffe2::Tensor, expected an Int8TensorCPU");
  workspace_.RemoveBlob("x");
  FeedInt8<uint8_t>("x", {1}, {1}, 1, 0);
  expect_error(Definition("Dequantize", "ONEDNN_16"),
               "tensor 'x' is of type unsigned char, expected uint16");
  FeedInt8<uint16_t>("x", {1}, {1}, 1, 0);
  expect_error(Definition("Int8Dequantize", "ONEDNN"),
               "tensor 'x' is of type ");
  FeedInt8<uint8_t>("x", {1}, {1}, -1, 0);
  expect_error(Definition("Int8Dequantize", "ONEDNN"), "tensor 'x': ");
  FeedInt8<uint8_t>("x", {1}, {1}, 1, -1);
  expect_error(Definition("Int8DequantizeRowWise", "ONEDNN"), "tensor 'x': ");
}

// Output and input are different blobs: the host checks it by the schema.
TEST_F(QuantizeOpTest, IsNotInPlace) {
  FeedFloats(&workspace_, "x", {1, 2});
  for (const char* type : {"Quantize", "Int8Quantize"}) {
    auto definition = Definition(type, "ONEDNN");
    definition.set_output(0, "x");
    EXPECT_NE(RunError(definition), "") << type;
    EXPECT_EQ(Fetch<float>(workspace_, "x"), (std::vector<float>{1, 2}));
  }
  FeedInt8<uint8_t>("q", {3, 4}, {2}, 1, 0);
  for (const char* type :
       {"Dequantize", "Int8Dequantize", "Int8DequantizeRowWise"}) {
    auto definition = Definition(type, "ONEDNN", {"q"});
    definition.set_output(0, "q");
    EXPECT_NE(RunError(definition), "") << type;
    EXPECT_EQ(FetchInt8("q").codes, (std::vector<int>{3, 4}));
  }
}

}  // namespace
}  // namespace caffe2_quantization
