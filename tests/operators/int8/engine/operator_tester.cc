#include "tests/operators/int8/engine/operator_tester.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <sstream>

#include "operators/int8/engine/refused_keys.h"
#include "quantization/choose.h"

namespace caffe2_quantization {
namespace {

struct Range {
  double min = 0, max = 0;  // with 0 between them
};

Range RangeOf(const std::vector<double>& values) {
  Range range;
  for (const double value : values) {
    range.min = std::min(range.min, value);
    range.max = std::max(range.max, value);
  }
  return range;
}

// "Y_" of output 0, "Y2_" of output 1.
std::string ParameterPrefix(int output) {
  return output == 0 ? "Y_" : "Y" + std::to_string(output + 1) + "_";
}

// The scale and zero point of a range, by the plain equations; its ends may be
// off by slack.
void ExpectChosen(const OperatorCase& c, Range range, const TestTensor& ours,
                  double slack = 0) {
  const auto largest = static_cast<double>(c.largest_code);
  const double middle = (largest + 1) / 2;
  const bool is_symmetric = c.Argument("preserve_activation_sparsity", 0) &&
                            range.min < 0 && range.max > 0;
  const bool power_of_two = c.Argument("force_scale_power_of_two", 0);
  double scale = is_symmetric ? std::max(-range.min / middle,
                                         range.max / (largest - middle))
                              : (range.max - range.min) / largest;
  ASSERT_GT(ours.scale, 0);
  if (scale < kSmallestChosenScale) return;
  if (power_of_two) scale = std::exp2(std::ceil(std::log2(scale)));
  ASSERT_NEAR(ours.scale / scale, 1, 1e-6 + 2.1 * slack / (largest * scale))
      << ours;
  ASSERT_LE(std::fabs(is_symmetric ? ours.zero_point - middle
                                   : ours.zero_point + range.min / scale),
            // Quotients of codes of 16 bits are floats, too.
            0.501 + largest * 0x1p-22 + 2.1 * slack / scale +
                (power_of_two ? largest : 0))
      << ours;
}

// Another tensor of the same form and shape.
TestTensor Reversed(TestTensor x) {
  std::reverse(x.codes.begin(), x.codes.end());
  std::reverse(x.floats.begin(), x.floats.end());
  return x;
}

// Overwrites what a blob holds with something else of the same size.
void Spoil(caffe2::Workspace* workspace, const std::string& name) {
  TestTensor x = FetchTensor(*workspace, name);
  for (int& code : x.codes) code = code == 0 ? 1 : code - 1;
  for (float& value : x.floats) value = -1 - 2 * value;
  FeedTensor(workspace, name, x);
}

bool IsRefusedBySchema(const OperatorCase& c) {
  const auto* const schema =
      caffe2::OpSchemaRegistry::Schema(c.definition.type());
  return schema != nullptr && !schema->Verify(c.definition);
}

// Ours are exact unless they are asked for DNNLOWP's bins by name.
void TakePercentilesOfBins(OperatorCase* c) {
  const auto take = [](caffe2::OperatorDef* definition) {
    for (caffe2::Argument& argument : *definition->mutable_arg()) {
      if (argument.s() == "p99") argument.set_s("p99_dnnlowp");
    }
  };
  take(&c->definition);
  for (caffe2::OperatorDef& definition : c->before) take(&definition);
}

}  // namespace

OperatorTester::OperatorTester(const std::string& type,
                               const std::vector<std::string>& more_types)
    : type_(type), types_{type, "Int8" + type} {
  types_.insert(types_.end(), more_types.begin(), more_types.end());
}

std::vector<OperatorKind> OperatorTester::Kinds(
    const std::string& engine) const {
  std::vector<OperatorKind> kinds;
  for (const std::string& key : caffe2::CPUOperatorRegistry()->Keys()) {
    for (const std::string& type : types_) {
      const std::string start = type + "_ENGINE_" + engine;
      if (key.compare(0, start.size(), start) != 0) continue;
      if (RefusedKeys().count(key) > 0) continue;
      kinds.push_back({type, key.substr(start.size())});
    }
  }
  std::sort(kinds.begin(), kinds.end(),
            [](const OperatorKind& a, const OperatorKind& b) {
              return a.type + a.suffix < b.type + b.suffix;
            });
  return kinds;
}

OperatorCase OperatorTester::MakeCase(TestRandom* random,
                                      const OperatorKind& kind) const {
  OperatorCase c;
  c.kind = kind;
  c.host_suffix = kind.suffix;
  c.takes_floats = takes_floats_;
  if (make_) {
    make_(random, &c);
    return c;
  }
  DrawInputs(random, &c);
  if (vary_) vary_(random, &c);
  DrawParameters(random, &c);
  return c;
}

void OperatorTester::DrawInputs(TestRandom* random, OperatorCase* c) const {
  c->definition.set_type(c->kind.type);
  for (int i = 0; i < num_outputs_; ++i) {
    c->definition.add_output("y" + std::to_string(i));
  }
  if (c->kind.is_wide()) {
    int precision = 16;
    if (rule_ == Rule::kGivenOrChosen) {
      precision = random->OneIn(2) ? 8 : random->Integer(9, 16);
      if (precision != 8) {
        c->Arguments().Int("activation_precision", precision);
      }
    }
    c->largest_code = (1 << precision) - 1;
  }
  if (dequantizes_ && random->OneIn(6)) {
    c->Arguments().Int("dequantize_output", 1);
  }
  const auto shape =
      shapes_ ? shapes_(random) : RandomShape(random, low_rank_, high_rank_);
  const auto count =
      static_cast<int>(random->Integer(low_inputs_, high_inputs_));
  c->activations = count;
  for (int i = 0; i < count; ++i) {
    std::vector<int64_t> this_shape = shape;
    const auto rank = static_cast<int64_t>(shape.size());
    if (i == 1 && broadcasts_ && random->OneIn(2)) {
      c->Arguments().Int("broadcast", 1);
      // A suffix, a part in the middle by its axis, or one value.
      int64_t begin = random->Integer(0, rank), end = rank;
      if (begin < rank && random->OneIn(2)) {
        c->Arguments().Int("axis", begin);
        end = random->Integer(begin + 1, rank);
      }
      this_shape.assign(shape.begin() + begin, shape.begin() + end);
      if (begin == end) this_shape = {1};
    }
    c->AddInput("x" + std::to_string(i), c->RandomInput(random, this_shape));
  }
}

void OperatorTester::DrawParameters(TestRandom* random, OperatorCase* c) const {
  const auto give = [&](int output, Range range) {
    const auto largest = static_cast<double>(c->largest_code);
    double scale = (range.max - range.min) / largest * random->Float(0.5f, 2);
    if (scale < kSmallestChosenScale) scale = random->Float(0.1f, 2);
    const double zero_point = std::clamp<double>(
        std::round(-range.min / scale) + random->Integer(-20, 20), 0, largest);
    const std::string prefix = ParameterPrefix(output);
    c->Arguments().Float(prefix + "scale", static_cast<float>(scale));
    if (zero_point != 0 || random->OneIn(2)) {
      c->Arguments().Int(prefix + "zero_point",
                         static_cast<int64_t>(zero_point));
    }
  };
  if (rule_ != Rule::kGivenOrChosen && rule_ != Rule::kGivenOrKept &&
      rule_ != Rule::kGivenOrFixed) {
    // Without effect.
    if (rule_ != Rule::kAny && random->OneIn(4)) give(0, {-1, 1});
    return;
  }
  if (is_followed_ && random->OneIn(6)) {
    c->Arguments().String("followed_by", "Relu");
  }
  if (random->OneIn(6)) c->Arguments().Int("preserve_activation_sparsity", 1);
  if (!c->Argument("dequantize_output", 0) && !HasGivenParameters(*c) &&
      random->OneIn(2)) {
    const auto expected = ExpectedOf(*c);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (expected[i].integers.empty()) {
        give(static_cast<int>(i), RangeOf(expected[i].values));
      }
    }
  }
}

std::vector<Expected> OperatorTester::ExpectedOf(const OperatorCase& c) const {
  if (reference_) return reference_(c);
  std::vector<Expected> expected = RunFloatOperator(c);
  const bool keeps = rule_ == Rule::kKept || rule_ == Rule::kFixed;
  if (IsFusedWithRelu(c.kind) || (IsFollowedByRelu(c) && !keeps)) {
    for (Expected& output : expected) {
      for (double& value : output.values) value = std::max(value, 0.0);
    }
  }
  return expected;
}

void OperatorTester::ExpectReference(const OperatorCase& c,
                                     const TensorList& ours) const {
  const std::vector<Expected> expected = ExpectedOf(c);
  ASSERT_EQ(ours.size(), expected.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    SCOPED_TRACE("output " + c.definition.output(i) + " and the reference");
    ExpectOutput(c, static_cast<int>(i), expected[i], ours[i]);
    if (testing::Test::HasFatalFailure()) return;
  }
}

void OperatorTester::ExpectOutput(const OperatorCase& c, int output,
                                  const Expected& expected,
                                  const TestTensor& ours) const {
  ASSERT_EQ(ours.shape, expected.shape) << ours;
  if (!ours.is_float() && !ours.is_codes()) {
    ASSERT_EQ(ours.codes, expected.integers) << ours;
    return;
  }
  ASSERT_EQ(static_cast<int64_t>(expected.values.size()), ours.count());
  if (ours.is_float()) {
    // Codes times a step that the floats do not say: of a range that may be
    // symmetric, and have a power of two as its scale.
    double step = 0;
    const bool is_chosen =
        rule_ == Rule::kGivenOrChosen ||
        (rule_ == Rule::kGivenOrKept && c.Input(0).is_float());
    if (is_chosen && dequantizes_ && c.Argument("dequantize_output", 0)) {
      const Range range = RangeOf(expected.values);
      step = (range.max - range.min) / c.largest_code;
      if (c.Argument("preserve_activation_sparsity", 0)) step *= 2.02;
      if (c.Argument("force_scale_power_of_two", 0)) step *= 2;
    }
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      const double slack = expected.slack.empty()
                               ? 1e-6 * std::fabs(expected.values[i])
                               : expected.slack[i];
      ASSERT_NEAR(ours.floats[i], expected.values[i],
                  slack + (0.501 + within_) * step)
          << "value " << i << " of " << ours;
    }
    return;
  }
  ASSERT_EQ(ours.form,
            c.kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8);
  ExpectParameters(c, output, expected, ours);
  if (testing::Test::HasFatalFailure()) return;
  bool exact = exact_codes_;
  for (int i = 0; i < c.activations; ++i) {
    exact = exact && !c.Input(i).is_float();
  }
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    if (exact) {
      const double code =
          std::nearbyint(expected.values[i] / double{ours.scale}) +
          ours.zero_point;
      ASSERT_EQ(ours.codes[i], std::clamp<double>(code, 0, c.largest_code))
          << "code " << i << " of " << ours << " for " << expected.values[i];
      continue;
    }
    const double in_codes = std::clamp<double>(
        expected.values[i] / ours.scale + ours.zero_point, 0, c.largest_code);
    double allowed = 0.5 + within_;
    if (expected.slack.empty()) {
      allowed += 1e-3 + 1e-6 * std::fabs(in_codes - ours.zero_point);
    } else {
      allowed += expected.slack[i] / ours.scale;
    }
    ASSERT_NEAR(ours.codes[i], in_codes, allowed)
        << "code " << i << " of " << ours;
  }
}

void OperatorTester::ExpectParameters(const OperatorCase& c, int output,
                                      const Expected& expected,
                                      const TestTensor& ours) const {
  const auto expect = [&](float scale, int32_t zero_point) {
    ASSERT_EQ(ours.scale, scale) << ours;
    ASSERT_EQ(ours.zero_point, zero_point) << ours;
  };
  if (rule_ == Rule::kAny) return;
  if (rule_ == Rule::kKept) {
    const TestTensor& x = c.Input(0);
    if (!x.is_float()) return expect(x.scale, x.zero_point);
    return ExpectChosen(c, RangeOf({x.floats.begin(), x.floats.end()}), ours);
  }
  if (rule_ == Rule::kFixed) return expect(fixed_scale_, fixed_zero_point_);
  for (const auto& [name, x] : c.blobs) {
    if (x.form == TestTensor::kParams) return expect(x.scale, x.zero_point);
  }
  const auto next = c.Argument<std::string>("followed_by", "");
  if (next == "Sigmoid") return expect(6.0f / 127, 128);
  if (next == "Tanh") return expect(3.0f / 127, 128);
  const std::string prefix = ParameterPrefix(output);
  const auto scale = c.Argument(prefix + "scale", 0.0f);
  const auto zero_point = c.Argument(prefix + "zero_point", 0);
  if (scale == 0) {
    if (rule_ == Rule::kGivenOrFixed) {
      return expect(fixed_scale_, fixed_zero_point_);
    }
    const TestTensor& x = c.Input(0);
    if (rule_ == Rule::kGivenOrKept && !x.is_float()) {
      return expect(x.scale, x.zero_point);
    }
    return ExpectChosen(c, RangeOf(expected.values), ours,
                        expected.float_slack);
  }
  if (!IsFusedWithRelu(c.kind) && !IsFollowedByRelu(c)) {
    return expect(scale, zero_point);
  }
  ExpectChosen(c, {0, double{scale} * (c.largest_code - zero_point)}, ours);
}

void OperatorTester::ExpectInPlace(const OperatorCase& c,
                                   const TensorList& ours) const {
  for (const int i : in_place_) {
    if (i >= c.activations || c.Input(i).shape != ours[0].shape ||
        c.Input(i).form != ours[0].form) {
      continue;
    }
    OperatorCase in_place = c;
    in_place.definition.set_output(0, c.definition.input(i));
    if (IsRefusedBySchema(in_place)) continue;
    ASSERT_EQ(RunOurs(in_place)[0], ours[0]) << "in place of input " << i;
  }
}

void OperatorTester::ExpectAliases(const OperatorCase& c) const {
  for (int j = 1; j < c.activations; ++j) {
    for (int i = 0; i < j; ++i) {
      if (c.Input(i).shape != c.Input(j).shape) continue;
      OperatorCase twice = c;
      twice.Input(j) = c.Input(i);
      const TensorList expected = RunOurs(twice);
      twice.definition.set_input(j, c.definition.input(i));
      SCOPED_TRACE("one blob for inputs " + std::to_string(i) + " and " +
                   std::to_string(j));
      ASSERT_EQ(RunOurs(twice), expected);
      if (std::count(in_place_.begin(), in_place_.end(), i) == 0) continue;
      // In place of it too: refused, as by a schema that names one input, or
      // right.
      twice.definition.set_output(0, c.definition.input(i));
      TensorList outputs;
      const std::string error = ErrorOf([&] { outputs = RunOurs(twice); });
      if (error.empty()) {
        ASSERT_EQ(outputs[0], expected[0]) << "in place";
      }
    }
  }
}

// Other values in the same operator, whose outputs hold something already.
void OperatorTester::ExpectLaterRuns(const OperatorCase& c) const {
  caffe2::Workspace workspace;
  for (const auto& [name, tensor] : c.blobs) {
    FeedTensor(&workspace, name, tensor);
  }
  const auto with_engine = [&](caffe2::OperatorDef definition) {
    definition.set_engine("ONEDNN" + c.kind.suffix);
    return definition;
  };
  for (const auto& definition : c.before) {
    ASSERT_TRUE(workspace.RunOperatorOnce(with_engine(definition)));
  }
  const auto op = caffe2::CreateOperator(with_engine(c.definition), &workspace);
  ASSERT_TRUE(op->Run());
  OperatorCase later = c;
  for (int i = 0; i < c.activations; ++i) {
    TestTensor& x = later.Input(i);
    x = Reversed(x);
    // A whole case's other inputs may depend on the parameters of this one.
    if (!make_ && x.is_codes()) {
      x.scale *= 0.75f;
      x.zero_point = static_cast<int32_t>(c.largest_code - x.zero_point);
    }
    FeedTensor(&workspace, c.definition.input(i), x);
  }
  for (const std::string& name : c.definition.output()) {
    Spoil(&workspace, name);
  }
  ASSERT_TRUE(op->Run());
  const TensorList expected = RunOurs(later);
  for (int i = 0; i < c.definition.output_size(); ++i) {
    ASSERT_EQ(FetchTensor(workspace, c.definition.output(i)), expected[i])
        << "output " << i << " of a second run";
  }
}

// Measuring changes no output, and tells the same of an operator in place.
void OperatorTester::ExpectMeasured(const OperatorCase& c,
                                    const TensorList& ours) const {
  // The float operator cannot be run on packed weights: measuring is refused.
  if (!c.before.empty()) return;
  OperatorCase measured = c;
  measured.Arguments().Int("measure_quantization_error", 1);
  const auto report = [&] {
    testing::internal::CaptureStderr();
    const TensorList outputs = RunOurs(measured);
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(outputs[0], ours[0]) << "measured";
    return text;
  };
  const std::string expected = report();
  for (const int i : in_place_) {
    if (i >= c.activations || c.Input(i).shape != ours[0].shape ||
        c.Input(i).form != ours[0].form) {
      continue;
    }
    measured.definition.set_output(0, c.definition.input(i));
    if (IsRefusedBySchema(measured)) continue;
    std::string text = report();
    const std::string name = "'" + c.definition.input(i) + "'";
    for (auto at = text.find(name); at != std::string::npos;
         at = text.find(name)) {
      text.replace(at, name.size(), "'" + c.definition.output(0) + "'");
    }
    ASSERT_EQ(text, expected) << "in place of input " << i;
  }
}

void OperatorTester::ExpectRefusal(const OperatorCase& c, int input,
                                   const TestTensor& wrong,
                                   const std::string& what) const {
  SCOPED_TRACE(what + " as input " + std::to_string(input));
  caffe2::Workspace workspace;
  OperatorCase refused = c;
  refused.Input(input) = wrong;
  for (const auto& [name, tensor] : refused.blobs) {
    FeedTensor(&workspace, name, tensor);
  }
  const TestTensor before =
      CodeTensor(TestTensor::kUint8, {5, 6}, {2}, 0.5f, 1);
  const std::string& y = c.definition.output(0);
  FeedTensor(&workspace, y, before);
  refused.definition.set_engine("ONEDNN" + c.kind.suffix);
  const std::string error =
      ErrorOf([&] { workspace.RunOperatorOnce(refused.definition); });
  EXPECT_NE(error.find(c.kind.type + ": "), std::string::npos) << error;
  EXPECT_NE(error.find("'" + c.definition.input(input) + "'"),
            std::string::npos)
      << error;
  EXPECT_EQ(FetchTensor(workspace, y), before) << "an output that was there";
}

void OperatorTester::ExpectRefusals(TestRandom* random,
                                    const OperatorKind& kind) const {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (int i = 0; i < low_inputs_; ++i) {
    // One case with codes and one with floats, where the operator takes them.
    bool had_codes = false, had_floats = false;
    for (int tries = 0; tries < 100; ++tries) {
      const OperatorCase c = MakeCase(random, kind);
      const TestTensor x = c.Input(i);
      bool& had = x.is_float() ? had_floats : had_codes;
      if (had || x.count() == 0 || !c.before.empty()) continue;
      // Floats that are not finite have codes by given parameters.
      if (x.is_float() && HasGivenParameters(c)) continue;
      had = true;
      SCOPED_TRACE(c.Text());
      const auto expect = [&](const std::string& what, const auto& spoil) {
        TestTensor wrong = x;
        spoil(&wrong);
        ExpectRefusal(c, i, wrong, what);
      };
      const auto of_form = [&](TestTensor::Form form) {
        return CodeTensor(form, std::vector<int>(x.count()), x.shape, 1, 0);
      };
      for (const auto form : {TestTensor::kInt32, TestTensor::kBias,
                              TestTensor::kNothing, TestTensor::kText}) {
        expect("a wrong type", [&](TestTensor* w) { *w = of_form(form); });
      }
      expect("codes of the other width", [&](TestTensor* w) {
        *w = of_form(kind.is_wide() ? TestTensor::kUint8 : TestTensor::kUint16);
      });
      if (!takes_floats_ && !make_) {
        expect("floats", [&](TestTensor* w) {
          *w = FloatTensor(std::vector<float>(x.count()), x.shape);
        });
      }
      if (x.is_float()) {
        for (const float value : {kNan, kInfinity, -kInfinity}) {
          if (takes_non_finite_) break;
          expect(std::to_string(value),
                 [&](TestTensor* w) { w->floats.back() = value; });
        }
      } else {
        for (const float scale : {0.0f, -1.0f, kNan, kInfinity}) {
          expect("the scale " + std::to_string(scale),
                 [&](TestTensor* w) { w->scale = scale; });
        }
        for (const int zero_point : {-1, kind.is_wide() ? 65536 : 256}) {
          expect("the zero point " + std::to_string(zero_point),
                 [&](TestTensor* w) { w->zero_point = zero_point; });
        }
      }
      // In place of an input where that is not promised: refused, or right.
      const TensorList ours = RunOurs(c);
      OperatorCase in_place = c;
      in_place.definition.set_output(0, c.definition.input(i));
      TensorList outputs;
      const std::string error = ErrorOf([&] { outputs = RunOurs(in_place); });
      if (error.empty()) {
        EXPECT_EQ(outputs[0], ours[0]) << "in place of input " << i;
      }
    }
    EXPECT_TRUE(had_codes || had_floats) << "no case with values";
  }
}

OperatorTester& OperatorTester::AgainstReference(int count) {
  TestRandom random;
  const auto kinds = Kinds("ONEDNN");
  EXPECT_FALSE(kinds.empty()) << type_ << " has no engine ONEDNN";
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    const OperatorCase c = MakeCase(&random, kinds[i % kinds.size()]);
    SCOPED_TRACE(c.Text());
    const TensorList ours = RunOurs(c);
    ExpectReference(c, ours);
    if (!testing::Test::HasFailure()) ExpectInPlace(c, ours);
    if (!testing::Test::HasFailure()) ExpectAliases(c);
    if (!testing::Test::HasFailure()) ExpectLaterRuns(c);
    if (!testing::Test::HasFailure()) ExpectMeasured(c, ours);
  }
  for (const OperatorKind& kind : kinds) {
    if (!testing::Test::HasFailure()) ExpectRefusals(&random, kind);
  }
  return *this;
}

OperatorTester& OperatorTester::AgainstDnnlowp(int count) {
  TestRandom random;
  std::vector<OperatorKind> kinds;
  for (const OperatorKind& kind : Kinds("ONEDNN")) {
    if (caffe2::CPUOperatorRegistry()->Has(kind.type + "_ENGINE_DNNLOWP" +
                                           kind.suffix)) {
      kinds.push_back(kind);
    }
  }
  EXPECT_FALSE(kinds.empty()) << type_ << " is not in both engines";
  int incomparable = 0;
  int below_hosts_scales = 0;
  std::map<std::string, OutputTally> tallies;
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    OperatorCase c = MakeCase(&random, kinds[i % kinds.size()]);
    SCOPED_TRACE(c.Text());
    bool is_compared = !c.host_is_wrong;
    TensorList host;
    if (is_compared) host = RunCase(c, "DNNLOWP" + c.host_suffix, host_runs_);
    TakePercentilesOfBins(&c);
    const TensorList ours = RunOurs(c);
    bool is_below_hosts_scales = false;
    for (std::size_t k = 0; k < host.size(); ++k) {
      if (incomparable_ && incomparable_(c, ours[k], host[k])) {
        is_compared = false;
      }
      is_below_hosts_scales =
          is_below_hosts_scales || (host[k].scale == kDnnlowpSmallestScale &&
                                    ours[k].scale < host[k].scale);
    }
    if (is_compared && is_below_hosts_scales) {
      ++below_hosts_scales;
      continue;
    }
    if (!is_compared) {
      ++incomparable;
      ExpectReference(c, ours);
    }
    for (std::size_t k = 0; k < ours.size() && is_compared; ++k) {
      if (host_leaves_empty_parameters_ && host[k].count() == 0) {
        host[k].scale = ours[k].scale;
        host[k].zero_point = ours[k].zero_point;
      }
      OutputTally of_this;
      of_this.Add(ours[k], host[k], c.host_limit);
      const auto text = [&] {
        std::ostringstream stream;
        stream << of_this.Text() << "\nours: " << ours[k]
               << "\nhost: " << host[k];
        return stream.str();
      };
      EXPECT_EQ(of_this.differ, 0) << text();
      EXPECT_LE(of_this.farthest, c.host_within) << text();
      if (c.host_within == 0) {
        EXPECT_EQ(of_this.floats_differ, 0) << text();
      }
      tallies[c.kind.type + c.kind.suffix].Add(ours[k], host[k], c.host_limit);
    }
    if (testing::Test::HasFailure()) return *this;
  }
  EXPECT_LE(below_hosts_scales, count / 50);
  EXPECT_GE(incomparable, low_incomparable_);
  // Without a bound of the test, a quarter at least is compared.
  EXPECT_LE(incomparable, incomparable_ ? high_incomparable_ : count * 3 / 4);
  std::printf("%d operators not compared with DNNLOWP's\n", incomparable);
  int64_t codes = 0, inner_codes = 0;
  for (const auto& [name, tally] : tallies) {
    std::printf("%-18s %s\n", name.c_str(), tally.Text().c_str());
    EXPECT_LE(tally.codes_differ, codes_share_ * tally.codes + more_) << name;
    EXPECT_LE(tally.floats_differ, floats_share_ * tally.floats + more_)
        << name;
    codes += tally.codes;
    inner_codes += tally.inner_codes;
  }
  EXPECT_GE(inner_codes, inner_share_ * codes) << "of " << codes;
  return *this;
}

}  // namespace caffe2_quantization
