// Reads arguments that hold strings, as operators on nets and files take them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_STRING_ARGUMENTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_STRING_ARGUMENTS_H_

#include <string>
#include <vector>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// Returns the strings of `argument`, which may also be a single string. Returns
// none if the operator does not have the argument. Throws the host's enforce
// error if the argument holds no string.
inline std::vector<std::string> StringArguments(const caffe2::OperatorBase& op,
                                                const std::string& argument) {
  if (!op.HasArgument(argument)) return {};
  if (op.HasSingleArgumentOfType<std::string>(argument)) {
    return {op.GetSingleArgument<std::string>(argument, "")};
  }
  auto strings = op.GetRepeatedArgument<std::string>(argument);
  CAFFE_ENFORCE(!strings.empty(), op.type(), ": argument ", argument,
                " holds no string, expected one or several");
  return strings;
}

// The same for an argument that NetDefs may hold under an older name. Python's
// core.CreateOperator has parameters `inputs` and `outputs` of its own, so no
// argument of these names can be passed to it.
inline std::vector<std::string> StringArguments(const caffe2::OperatorBase& op,
                                                const std::string& argument,
                                                const std::string& older) {
  const bool has_older = op.HasArgument(older);
  CAFFE_ENFORCE(!has_older || !op.HasArgument(argument), op.type(),
                ": arguments ", argument, " and ", older,
                " are both given, expected ", argument, " alone");
  return StringArguments(op, has_older ? older : argument);
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_STRING_ARGUMENTS_H_
