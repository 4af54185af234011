// OperatorRun: one run of an operator as its observers see it, and whether it
// gave a result.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RUN_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RUN_H_

#include <atomic>
#include <exception>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// Returns the workspace that an operator was made in; null if there is none.
caffe2::Workspace* WorkspaceOf(const caffe2::OperatorBase& op);

// The host does not tell an operator's observers how a run ended: it also calls
// them from the handler of a run that threw, and after one that returned false.
// What the outputs hold then is not a result.
//
// Thread rule: the thread that runs the operator calls Start() and what follows
// it; the next run may be on another thread.
class OperatorRun {
 public:
  explicit OperatorRun(caffe2::OperatorBase* op) : op_(op) {}
  ~OperatorRun();

  // `armed`: whether the run is to be recorded.
  void Start(bool armed);
  // True if the run threw or returned false. (A run that returned false is not
  // seen if the operator belongs to no net and runs by Run(), or if another
  // operator of the workspace fails at the same moment.)
  bool Failed();
  // True if Start() was armed and the run did not fail.
  bool Succeeded() { return armed_ && !Failed(); }
  bool armed() const { return armed_; }
  // Call it at the end, after the run's outputs were read.
  void Stop();

 private:
  caffe2::OperatorBase* const op_;
  // Orders a run after the one before, whichever threads they run on.
  std::atomic<bool> order_{false};
  bool armed_ = false;
  std::exception_ptr before_;  // what was being handled at Start()
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RUN_H_
