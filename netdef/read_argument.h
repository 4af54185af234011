// Reads one argument of an operator. A wrong type is an error here, while the
// host would silently take the default.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_READ_ARGUMENT_H_
#define CAFFE2_QUANTIZATION_NETDEF_READ_ARGUMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "base/status.h"
#include "caffe2/utils/proto_utils.h"

namespace caffe2_quantization {

// Sets *value if the argument is there; else *value is unchanged. `expected`
// says in an error what the argument must be ("an integer").
template <typename T>
Status ReadArgument(const caffe2::ArgumentHelper& arguments,
                    const std::string& name, const char* expected,
                    std::optional<T>* value) {
  if (!arguments.HasArgument(name)) return Status::Ok();
  if (!arguments.HasSingleArgumentOfType<T>(name)) {
    return Status::InvalidArgument("argument " + name + " is not " + expected);
  }
  *value = arguments.GetSingleArgument<T>(name, T());
  return Status::Ok();
}

template <typename T>
Status ReadArgument(const caffe2::ArgumentHelper& arguments,
                    const std::string& name, const char* expected, T* value) {
  std::optional<T> given;
  RETURN_IF_ERROR(ReadArgument(arguments, name, expected, &given));
  if (given.has_value()) *value = *given;
  return Status::Ok();
}

// Reads an argument that is an integer, 0 or 1.
inline Status ReadBoolArgument(const caffe2::ArgumentHelper& arguments,
                               const std::string& name, bool* value) {
  int64_t number = *value ? 1 : 0;
  RETURN_IF_ERROR(ReadArgument(arguments, name, "an integer", &number));
  if (number != 0 && number != 1) {
    return Status::InvalidArgument("argument " + name + " is " +
                                   std::to_string(number) +
                                   ", expected 0 or 1");
  }
  *value = number == 1;
  return Status::Ok();
}

// Sets *values to those of an argument that is a list of integers, if it is
// there; else *values is unchanged.
inline Status ReadIntegers(const caffe2::OperatorDef& definition,
                           const std::string& name,
                           std::vector<int64_t>* values) {
  for (const caffe2::Argument& argument : definition.arg()) {
    if (argument.name() != name) continue;
    if (argument.floats_size() > 0 || argument.strings_size() > 0 ||
        argument.has_i() || argument.has_f() || argument.has_s()) {
      return Status::InvalidArgument("argument " + name +
                                     " is not a list of integers");
    }
    values->assign(argument.ints().begin(), argument.ints().end());
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_READ_ARGUMENT_H_
