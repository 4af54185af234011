// Errors of operators: makes a Status from the parts of a message, and throws
// one as the host's enforce error.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_ENFORCE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_ENFORCE_H_

#include <initializer_list>

#include "base/status.h"
#include "c10/util/StringUtil.h"
#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// Returns InvalidArgument, whose message is the parts joined.
template <typename... Parts>
Status Refuse(const Parts&... parts) {
  return Status::InvalidArgument(c10::str(parts...));
}

// Returns the first of them that is not OK; else OK.
inline Status FirstError(std::initializer_list<Status> statuses) {
  for (const Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

// Throws the host's enforce error unless status is OK. Its text is the
// operator's type, the parts of `context` and the status's message.
template <typename... Context>
void EnforceOk(const caffe2::OperatorBase& op, const Status& status,
               const Context&... context) {
  CAFFE_ENFORCE(status.ok(), op.type(), ": ", context..., status.message());
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_ENFORCE_H_
