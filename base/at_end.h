// Calls a function at the end of a scope, however it is left.
#ifndef CAFFE2_QUANTIZATION_BASE_AT_END_H_
#define CAFFE2_QUANTIZATION_BASE_AT_END_H_

#include <utility>

namespace caffe2_quantization {

//   const AtEnd stopped([&] { run.Stop(); });
template <typename Function>
class AtEnd {
 public:
  explicit AtEnd(Function function) : function_(std::move(function)) {}
  ~AtEnd() { function_(); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  const Function function_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_AT_END_H_
