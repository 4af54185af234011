#include "tests/operators/int8/engine/operator_case.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <sstream>

namespace caffe2_quantization {
namespace {

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() > end.size() &&
         text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The host's float operator of an int8 one, and whether a Relu is fused after
// it: Sum and true of Int8SumRelu.
std::pair<std::string, bool> FloatType(std::string type) {
  auto* const registry = caffe2::CPUOperatorRegistry();
  if (type.rfind("Int8", 0) == 0) type = type.substr(4);
  if (EndsWith(type, "Relu")) {
    const std::string base = type.substr(0, type.size() - 4);
    if (registry->Has(base)) return {base, true};
  }
  return {type, false};
}

}  // namespace

bool OperatorCase::HasFloats() const {
  return std::any_of(blobs.begin(), blobs.end(),
                     [](const auto& blob) { return blob.second.is_float(); });
}

TestTensor OperatorCase::RandomInput(TestRandom* random,
                                     std::vector<int64_t> shape) const {
  const int64_t count = NumValues(shape);
  if (takes_floats && random->OneIn(2)) {
    const float magnitude = std::ldexp(1.0f, random->Integer(-8, 8));
    const float low = random->OneIn(4) ? 0.5f : random->Float(-3, 0);
    const float high = random->OneIn(8) ? low : random->Float(0.75f, 4);
    auto values =
        RandomFloats(random, count, magnitude * low, magnitude * high);
    return FloatTensor(std::move(values), std::move(shape));
  }
  const bool is_constant = random->OneIn(10);
  const int64_t low = is_constant ? random->Integer(0, largest_code) : 0;
  const int64_t zero_point = random->OneIn(4) ? 0
                             : random->OneIn(8)
                                 ? largest_code
                                 : random->Integer(0, largest_code);
  const float scale = std::ldexp(random->Float(1, 2), random->Integer(-9, 3));
  auto codes =
      RandomCodes(random, count, low, is_constant ? low : largest_code);
  return CodeTensor(kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8,
                    std::move(codes), std::move(shape), scale,
                    static_cast<int32_t>(zero_point));
}

std::string OperatorCase::Text() const {
  std::ostringstream text;
  text << kind.type << " ONEDNN" << kind.suffix << ": ";
  for (const auto& definition : before) {
    text << definition.ShortDebugString() << "; ";
  }
  text << definition.ShortDebugString();
  for (const auto& [name, tensor] : blobs) {
    text << "\n" << name << ": " << tensor;
  }
  return text.str();
}

void OutputTally::Add(const TestTensor& ours, const TestTensor& host,
                      int64_t host_limit) {
  ++outputs;
  if (ours.form != host.form || ours.shape != host.shape ||
      ours.scale != host.scale || ours.zero_point != host.zero_point) {
    ++differ;
    return;
  }
  // One code again and again says as much as one.
  const auto are_equal = [](const std::vector<int>& all) {
    return std::adjacent_find(all.begin(), all.end(), std::not_equal_to<>()) ==
           all.end();
  };
  const std::size_t count = are_equal(ours.codes) && are_equal(host.codes)
                                ? std::min<std::size_t>(ours.codes.size(), 1)
                                : ours.codes.size();
  codes += count;
  for (std::size_t i = 0; i < count; ++i) {
    const int64_t code = std::min<int64_t>(host.codes[i], host_limit);
    const int64_t apart = std::abs(ours.codes[i] - code);
    codes_differ += apart > 0;
    codes_beyond_one += apart > 1;
    farthest = std::max(farthest, apart);
    inner_codes += host.codes[i] > 0 && host.codes[i] < 255;
  }
  floats += ours.floats.size();
  for (std::size_t i = 0; i < ours.floats.size(); ++i) {
    const int64_t apart = UlpsApart(ours.floats[i], host.floats[i]);
    floats_differ += apart > 0;
    most_ulps = std::max(most_ulps, apart);
  }
}

std::string OutputTally::Text() const {
  return std::to_string(outputs) + " outputs; " + std::to_string(codes_differ) +
         " of " + std::to_string(codes) + " codes differ, " +
         std::to_string(codes_beyond_one) + " by more than 1; " +
         std::to_string(floats_differ) + " of " + std::to_string(floats) +
         " floats differ, by " + std::to_string(most_ulps) + " ulp at most";
}

std::vector<TestTensor> RunCase(const OperatorCase& c,
                                const std::string& engine, int runs) {
  caffe2::Workspace workspace;
  for (const auto& [name, tensor] : c.blobs) {
    FeedTensor(&workspace, name, tensor);
  }
  const auto run = [&](caffe2::OperatorDef definition) {
    definition.set_engine(engine);
    CAFFE_ENFORCE(workspace.RunOperatorOnce(definition), definition.type(),
                  " under ", engine, " failed");
  };
  for (const auto& definition : c.before) run(definition);
  for (int i = 0; i < runs; ++i) run(c.definition);
  std::vector<TestTensor> outputs;
  for (const std::string& name : c.definition.output()) {
    outputs.push_back(FetchTensor(workspace, name));
  }
  return outputs;
}

std::vector<Expected> RunFloatOperator(const OperatorCase& c) {
  OperatorCase floats = c;
  floats.definition.set_type(FloatType(c.kind.type).first);
  floats.before.clear();
  for (auto& [name, x] : floats.blobs) {
    if (!x.is_codes() && x.form != TestTensor::kBias) continue;
    std::vector<float> values(x.count());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(x.Real(i));
    }
    x = FloatTensor(std::move(values), x.shape);
  }
  std::vector<Expected> expected;
  for (TestTensor& y : RunCase(floats, "")) {
    Expected output;
    output.shape = y.shape;
    output.values.assign(y.floats.begin(), y.floats.end());
    output.integers = std::move(y.codes);
    expected.push_back(std::move(output));
  }
  return expected;
}

bool IsFusedWithRelu(const OperatorKind& kind) {
  return FloatType(kind.type).second;
}

bool IsFollowedByRelu(const OperatorCase& c) {
  return c.Argument<std::string>("followed_by", "") == "Relu";
}

bool HasGivenParameters(const OperatorCase& c) {
  const auto next = c.Argument<std::string>("followed_by", "");
  return next == "Sigmoid" || next == "Tanh" ||
         caffe2::ArgumentHelper::HasArgument(c.definition, "Y_scale") ||
         std::any_of(c.blobs.begin(), c.blobs.end(), [](const auto& blob) {
           return blob.second.form == TestTensor::kParams;
         });
}

}  // namespace caffe2_quantization
