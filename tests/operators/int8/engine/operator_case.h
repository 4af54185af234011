// One case of an int8 operator's test: a definition with its inputs, how it is
// run by either engine and by the host's float operator, and how outputs
// compare.
#ifndef CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OPERATOR_CASE_H_
#define CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OPERATOR_CASE_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "caffe2/core/operator.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {

// A name and a suffix of the engine: Int8Add and "_16".
struct OperatorKind {
  std::string type, suffix;
  bool is_wide() const { return suffix.find("_16") != std::string::npos; }
  bool has(const std::string& part) const {
    return (type + suffix).find(part) != std::string::npos;
  }
};

constexpr int64_t kAnyDistance = int64_t{1} << 40;

// One operator with its inputs.
struct OperatorCase {
  OperatorKind kind;
  // Names inputs and outputs; the tester sets the engine.
  caffe2::OperatorDef definition;
  // Operators that run first, with the same engine: packing of weights.
  std::vector<caffe2::OperatorDef> before;
  std::map<std::string, TestTensor> blobs;

  // The first inputs, which hostile cases, aliases and later runs change.
  int activations = 1;
  // Outputs have the codes 0 to largest_code.
  int64_t largest_code = 255;
  // Inputs of the default generator may be floats.
  bool takes_floats = false;

  // DNNLOWP's suffix, if it is not ours.
  std::string host_suffix;
  // DNNLOWP's codes beyond it count as it.
  int64_t host_limit = kAnyDistance;
  // DNNLOWP's result is known to be wrong: it is not run, and ours is held to
  // the reference.
  bool host_is_wrong = false;
  // How far a code may be from DNNLOWP's. Above 0 the tester counts those that
  // differ, floats too, and bounds their share.
  int64_t host_within = 0;

  const TestTensor& Input(int i) const { return blobs.at(definition.input(i)); }
  TestTensor& Input(int i) { return blobs.at(definition.input(i)); }
  OpBuilder Arguments() { return OpBuilder(&definition); }
  template <typename T>
  T Argument(const std::string& name, const T& otherwise) const {
    return caffe2::ArgumentHelper(definition)
        .GetSingleArgument<T>(name, otherwise);
  }
  void AddInput(const std::string& name, TestTensor tensor) {
    definition.add_input(name);
    blobs[name] = std::move(tensor);
  }
  bool HasFloats() const;
  // Codes that the operator's suffix stores, or floats if it takes them.
  TestTensor RandomInput(TestRandom* random, std::vector<int64_t> shape) const;
  std::string Text() const;
};

// What a reference says that an output is: values that the tester quantizes by
// the output's parameters, or integers.
struct Expected {
  std::vector<int64_t> shape;
  std::vector<double> values;
  // How far each value may be off before it is rounded; empty for not at all.
  std::vector<double> slack;
  std::vector<int> integers;
  // How far off the values are of which the host's float operator chooses
  // parameters.
  double float_slack = 0;
};

// How outputs of ours compare with the host's, over many of them.
struct OutputTally {
  int outputs = 0;
  int64_t codes = 0, codes_differ = 0, codes_beyond_one = 0;
  int64_t inner_codes = 0;  // the host's that are not saturated at 0 or 255
  int64_t floats = 0, floats_differ = 0, most_ulps = 0;
  int64_t farthest = 0;  // the largest distance of two codes
  int differ = 0;        // outputs of another form, shape or parameters

  void Add(const TestTensor& ours, const TestTensor& host, int64_t host_limit);
  std::string Text() const;
};

// Feeds the case's blobs into a workspace of their own, runs what comes before
// and then the operator, `runs` times, and returns its outputs.
std::vector<TestTensor> RunCase(const OperatorCase& c,
                                const std::string& engine, int runs = 1);
inline std::vector<TestTensor> RunOurs(const OperatorCase& c) {
  return RunCase(c, "ONEDNN" + c.kind.suffix);
}
// Returns what the host's float operator makes of the inputs' values. A Relu
// that is fused into the operator, or follows it, is not in them.
std::vector<Expected> RunFloatOperator(const OperatorCase& c);

// Whether a Relu is fused into the operator (SumRelu; not Relu itself).
bool IsFusedWithRelu(const OperatorKind& kind);
// Whether the argument followed_by names a Relu.
bool IsFollowedByRelu(const OperatorCase& c);
// Whether arguments or a blob give the output's parameters.
bool HasGivenParameters(const OperatorCase& c);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OPERATOR_CASE_H_
