// Turns an exception of the host into a Status that keeps the reason alone. The
// host's messages also carry a stack trace, the place in its source and the
// whole definition of the operator.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_HOST_ERROR_H_
#define CAFFE2_QUANTIZATION_NETDEF_HOST_ERROR_H_

#include <exception>
#include <string>
#include <utility>

#include "base/status.h"

namespace caffe2_quantization {

// "[enforce fail at x.cc:1] ok. Too small\nError from operator: \noutput: "y"
// …" becomes "Too small (operator making y)".
std::string ReasonOf(const std::exception& error);

// Runs `call`, which returns a Status. An exception becomes the error
// "<subject>: <reason>".
template <typename Call>
Status CatchHostErrors(const std::string& subject, Call&& call) {
  try {
    return std::forward<Call>(call)();
  } catch (const std::exception& error) {
    return Status::InvalidArgument(subject + ": " + ReasonOf(error));
  }
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_HOST_ERROR_H_
