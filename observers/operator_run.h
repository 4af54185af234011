// One run of an operator as its observers see it: whether it gave a result.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RUN_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RUN_H_

#include <atomic>
#include <exception>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// The host calls the observers of an operator with no word of how the run
// ended: also from the handler of one that threw, and after one that returned
// false. What the outputs hold then is nobody's result.
//
// Thread rule: Start() and the two after it are called by the thread that runs
// the operator; the next run may be another thread's.
class OperatorRun {
 public:
  explicit OperatorRun(caffe2::OperatorBase* op) : op_(op) {}
  ~OperatorRun();

  // `armed`: whether the run is to be recorded.
  void Start(bool armed);
  // True when the run threw or returned false. (Of an operator that is no net's
  // and runs by Run(), false is not seen; nor is it when another operator of
  // the workspace fails at the same moment.)
  bool Failed();
  // True when Start() was armed and the run did not fail.
  bool Succeeded() { return armed_ && !Failed(); }
  bool armed() const { return armed_; }
  // Call it at the end, after what was read of the run's outputs.
  void Stop();

 private:
  caffe2::OperatorBase* const op_;
  // Orders a run after the one before, whichever threads they are.
  std::atomic<bool> order_{false};
  bool armed_ = false;
  std::exception_ptr before_;  // what was being handled at Start()
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RUN_H_
