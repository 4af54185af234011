// Errors of operators: how a Status is worded, and how an operator throws one.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_ENFORCE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_ENFORCE_H_

#include <initializer_list>

#include "base/status.h"
#include "c10/util/StringUtil.h"
#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// An invalid argument, whose message is the parts in a row.
template <typename... Parts>
Status Refuse(const Parts&... parts) {
  return Status::InvalidArgument(c10::str(parts...));
}

// The first of them that is not Ok, if there is one.
inline Status FirstError(std::initializer_list<Status> statuses) {
  for (const Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

// Throws the host's enforce error unless status is Ok: the operator's type, the
// parts of `context` in a row, the message.
template <typename... Context>
void EnforceOk(const caffe2::OperatorBase& op, const Status& status,
               const Context&... context) {
  CAFFE_ENFORCE(status.ok(), op.type(), ": ", context..., status.message());
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_ENFORCE_H_
