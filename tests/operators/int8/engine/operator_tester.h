// OperatorTester: an operator of the engine ONEDNN over random cases, against a
// reference and against DNNLOWP's in the same process. A test says only what
// is particular to its operator:
//
//   TEST(AddOp, Codes) {
//     OperatorTester("Add").Inputs(2).TakesFloats().Broadcast().InPlace(0)
//         .AgainstReference(300).AgainstDnnlowp(300);
//   }
//
// The tester draws shapes, codes, floats and parameters, over every suffix that
// the operator and its Int8 form are registered with. A failure prints the
// seed, the definition and the inputs, and ends the test.
#ifndef CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OPERATOR_TESTER_H_
#define CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OPERATOR_TESTER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/operators/int8/engine/operator_case.h"

namespace caffe2_quantization {

class OperatorTester {
 public:
  using CaseFunction = std::function<void(TestRandom*, OperatorCase*)>;
  using ShapeFunction = std::function<std::vector<int64_t>(TestRandom*)>;
  using ReferenceFunction =
      std::function<std::vector<Expected>(const OperatorCase&)>;
  // Of a case, our output and the host's.
  using OutputPredicate = std::function<bool(
      const OperatorCase&, const TestTensor&, const TestTensor&)>;

  // Tests `type` and "Int8" + type, where they are registered, and
  // more_types.
  explicit OperatorTester(const std::string& type,
                          const std::vector<std::string>& more_types = {});

  // --- Inputs. By default one, of codes, of rank 0 to 4.
  OperatorTester& Inputs(int count) { return Inputs(count, count); }
  OperatorTester& Inputs(int low, int high) {
    return Set(&low_inputs_, low).Set(&high_inputs_, high);
  }
  OperatorTester& Outputs(int count) { return Set(&num_outputs_, count); }
  OperatorTester& Rank(int low, int high) {
    return Set(&low_rank_, low).Set(&high_rank_, high);
  }
  // Draws the shape of input 0, and of those that Vary does not replace.
  OperatorTester& Shapes(ShapeFunction shapes) { return Set(&shapes_, shapes); }
  OperatorTester& TakesFloats() { return Set(&takes_floats_, true); }
  // Floats with NaN or infinities are taken; else they are refused.
  OperatorTester& TakesNonFinite() { return Set(&takes_non_finite_, true); }
  // The second input is also a part of the first one's shape, with the
  // arguments broadcast and axis.
  OperatorTester& Broadcast() { return Set(&broadcasts_, true); }
  // Changes a case after its inputs were drawn, before its reference and its
  // output's parameters: arguments, other inputs, what is said of DNNLOWP.
  OperatorTester& Vary(CaseFunction vary) { return Set(&vary_, vary); }
  // Draws whole cases, in place of all of the above. The kind is given.
  OperatorTester& Cases(CaseFunction make) { return Set(&make_, make); }

  // --- Outputs. By default Y_scale and Y_zero_point give the parameters, or
  // the range of the result does.
  // Input 0's; of floats, those of their range.
  OperatorTester& KeepsParameters() { return Set(&rule_, Rule::kKept); }
  // Those that are given; else, of codes, input 0's.
  OperatorTester& KeepsUnlessGiven() { return Set(&rule_, Rule::kGivenOrKept); }
  OperatorTester& FixedParameters(float scale, int32_t zero_point) {
    return Set(&rule_, Rule::kFixed)
        .Set(&fixed_scale_, scale)
        .Set(&fixed_zero_point_, zero_point);
  }
  // Those that are given, else fixed ones.
  OperatorTester& FixedUnlessGiven(float scale, int32_t zero_point) {
    return FixedParameters(scale, zero_point).Set(&rule_, Rule::kGivenOrFixed);
  }
  // What they are is not looked at.
  OperatorTester& AnyParameters() { return Set(&rule_, Rule::kAny); }
  OperatorTester& TakesDequantizeOutput() { return Set(&dequantizes_, true); }
  // The argument followed_by is not drawn: it is refused.
  OperatorTester& NotFollowed() { return Set(&is_followed_, false); }
  // Output 0 may be this input, unless the host's schema refuses it of a type
  // that is tested. In place of others it is refused, or right.
  OperatorTester& InPlace(int input) {
    in_place_.push_back(input);
    return *this;
  }

  // --- The reference: the host's float operator on the dequantized inputs,
  // unless another is given.
  OperatorTester& Reference(ReferenceFunction reference) {
    return Set(&reference_, reference);
  }
  // How far a code may be beyond the half that rounding takes, in codes. It is
  // 0 by default: codes are rounded rightly, and what only moves them is exact.
  OperatorTester& WithinCodes(double codes) { return Set(&within_, codes); }
  // Without inputs of floats, a code is nearbyint(value / scale) + zero point,
  // saturated, of the values of Reference, which has them in double: ties too.
  OperatorTester& ExactCodes() { return Set(&exact_codes_, true); }

  // --- DNNLOWP.
  // Outputs that cannot be compared, which are held to the reference; at least
  // `low` and at most `high` of them are expected.
  OperatorTester& Incomparable(int low, int high, OutputPredicate predicate) {
    return Set(&low_incomparable_, low)
        .Set(&high_incomparable_, high)
        .Set(&incomparable_, predicate);
  }
  // The largest share of one kind's codes and floats that differ, and how many
  // of either may beyond it. 0.001, 0.01 and 0 by default.
  OperatorTester& InexactShare(double codes, double floats, int more = 0) {
    return Set(&codes_share_, codes)
        .Set(&floats_share_, floats)
        .Set(&more_, more);
  }
  // The least share of codes that are not saturated.
  OperatorTester& InnerShare(double share) { return Set(&inner_share_, share); }
  // Each case runs that often in the host; the last run counts.
  OperatorTester& HostRuns(int count) { return Set(&host_runs_, count); }
  // DNNLOWP leaves parameters of an output without values unset.
  OperatorTester& HostLeavesEmptyParameters() {
    return Set(&host_leaves_empty_parameters_, true);
  }

  // --- Tests.
  // `count` cases against the reference; each also in place, with one blob for
  // two inputs, in a second run of the same operator, and with
  // measure_quantization_error. Then what the operator refuses: inputs of a
  // wrong type or with wrong parameters, floats that are not finite.
  OperatorTester& AgainstReference(int count);
  // `count` cases against the host's operator under DNNLOWP. An output whose
  // chosen scale is smaller than DNNLOWP's smallest is left out.
  OperatorTester& AgainstDnnlowp(int count);

 private:
  enum class Rule {
    kGivenOrChosen,
    kGivenOrKept,
    kGivenOrFixed,
    kKept,
    kFixed,
    kAny
  };
  using TensorList = std::vector<TestTensor>;

  template <typename T, typename Value>
  OperatorTester& Set(T* member, Value&& value) {
    *member = std::forward<Value>(value);
    return *this;
  }

  std::vector<OperatorKind> Kinds(const std::string& engine) const;
  OperatorCase MakeCase(TestRandom* random, const OperatorKind& kind) const;
  void DrawInputs(TestRandom* random, OperatorCase* c) const;
  void DrawParameters(TestRandom* random, OperatorCase* c) const;
  std::vector<Expected> ExpectedOf(const OperatorCase& c) const;

  void ExpectReference(const OperatorCase& c, const TensorList& ours) const;
  void ExpectOutput(const OperatorCase& c, int output, const Expected& expected,
                    const TestTensor& ours) const;
  void ExpectParameters(const OperatorCase& c, int output,
                        const Expected& expected, const TestTensor& ours) const;
  void ExpectInPlace(const OperatorCase& c, const TensorList& ours) const;
  void ExpectAliases(const OperatorCase& c) const;
  void ExpectLaterRuns(const OperatorCase& c) const;
  void ExpectMeasured(const OperatorCase& c, const TensorList& ours) const;
  void ExpectRefusals(TestRandom* random, const OperatorKind& kind) const;
  void ExpectRefusal(const OperatorCase& c, int input, const TestTensor& wrong,
                     const std::string& what) const;

  const std::string type_;
  std::vector<std::string> types_;
  int low_inputs_ = 1, high_inputs_ = 1, num_outputs_ = 1;
  int low_rank_ = 0, high_rank_ = 4;
  bool takes_floats_ = false, takes_non_finite_ = false, broadcasts_ = false;
  bool dequantizes_ = false, is_followed_ = true;
  ShapeFunction shapes_;
  CaseFunction vary_, make_;
  Rule rule_ = Rule::kGivenOrChosen;
  float fixed_scale_ = 0;
  int32_t fixed_zero_point_ = 0;
  std::vector<int> in_place_;
  ReferenceFunction reference_;
  double within_ = 0;
  bool exact_codes_ = false;
  int low_incomparable_ = 0, high_incomparable_ = 0;
  OutputPredicate incomparable_;
  double codes_share_ = 0.001, floats_share_ = 0.01, inner_share_ = 0;
  int more_ = 0, host_runs_ = 1;
  bool host_leaves_empty_parameters_ = false;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OPERATOR_TESTER_H_
