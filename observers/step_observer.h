// Observes the operators inside a RecurrentNetwork.
//
// The host's executor of recurrent nets makes the operators of each time step
// when it first runs that step, and then asks the observers of the
// RecurrentNetwork operator for an observer of each (rnnCopy). It asks only
// once, so an observer that is attached later would see nothing. So a step
// operator has one observer for good, and all step observers of a
// RecurrentNetwork share a list of the records that want to hear of its steps.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_STEP_OBSERVER_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_STEP_OBSERVER_H_

#include <memory>

#include "caffe2/core/observer.h"
#include "caffe2/core/operator.h"
#include "observers/operator_record.h"

namespace caffe2_quantization {

// Returns an observer of one operator of one time step; null if it has one
// already. Operators that only move pointers (rnn_internal_apply_link) are not
// recorded. `record` is that of the RecurrentNetwork operator `network`. Thread
// rule: any thread.
std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>> MakeStepObserver(
    const caffe2::OperatorBase* network, caffe2::OperatorBase* step,
    int step_index, const std::shared_ptr<OperatorRecord>& record);

// Lets a record hear of steps that are observed already.
void JoinSteps(const caffe2::OperatorBase* network,
               const std::shared_ptr<OperatorRecord>& record);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_STEP_OBSERVER_H_
