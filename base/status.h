// Status: the outcome of a call in the layers below the Caffe2 edge.
//
// `quantization/` and `serialization/` return a Status instead of throwing; the
// operators and blob (de)serializers turn a failed one into the host's enforce
// error. A message names the thing, the value found and the value expected.
//
// Thread rule: a Status is a value; copy it between threads freely.
#ifndef CAFFE2_QUANTIZATION_BASE_STATUS_H_
#define CAFFE2_QUANTIZATION_BASE_STATUS_H_

#include <string>
#include <utility>

namespace caffe2_quantization {

class [[nodiscard]] Status {
 public:
  enum class Kind {
    kOk,
    kInvalidArgument,  // the caller asked for something that has no meaning
    kCorruption,       // bytes from outside (file, proto) contradict themselves
    kOutOfRange,       // well-formed, but larger than a limit
    kIoError,          // the operating system refused
  };

  Status() = default;
  static Status Ok() { return Status(); }
  static Status InvalidArgument(std::string message) {
    return Status(Kind::kInvalidArgument, std::move(message));
  }
  static Status Corruption(std::string message) {
    return Status(Kind::kCorruption, std::move(message));
  }
  static Status OutOfRange(std::string message) {
    return Status(Kind::kOutOfRange, std::move(message));
  }
  static Status IoError(std::string message) {
    return Status(Kind::kIoError, std::move(message));
  }

  bool ok() const { return kind_ == Kind::kOk; }
  Kind kind() const { return kind_; }
  const std::string& message() const { return message_; }

 private:
  Status(Kind kind, std::string message)
      : kind_(kind), message_(std::move(message)) {}

  Kind kind_ = Kind::kOk;
  std::string message_;
};

// Returns from the enclosing function when `expression` failed.
#define CAFFE2_QUANTIZATION_RETURN_IF_ERROR(expression)   \
  do {                                                    \
    ::caffe2_quantization::Status status_ = (expression); \
    if (!status_.ok()) return status_;                    \
  } while (false)

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_STATUS_H_
