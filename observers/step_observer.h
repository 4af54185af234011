// Observes operators that come and go while another operator of the net runs:
// those inside a RecurrentNetwork or a Do.
//
// The host's executor of recurrent nets makes the operators of each time step
// when it first runs that step, and then asks the observers of the
// RecurrentNetwork operator for an observer of each (rnnCopy). A
// RecurrentNetwork without that executor, and a Do, make whole nets while they
// run, which the host shows to its creators of net observers. Both happen only
// once for each operator or net, so an observer that is attached later would
// see nothing. So a step operator has one observer for good, and all step
// observers of an operator of the net share a list of the records that want to
// hear of its steps.
//
// A step is known by the way from that operator to it (operator_path.h). The
// operators that the host puts into a step net are not recorded: the links
// (rnn_internal_apply_link), and what it appends for gradients.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_STEP_OBSERVER_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_STEP_OBSERVER_H_

#include <memory>

#include "caffe2/core/net.h"
#include "caffe2/core/observer.h"
#include "caffe2/core/operator.h"
#include "observers/operator_record.h"

namespace caffe2_quantization {

// Returns an observer of one operator of one time step; null if it has one
// already. `order` is its place in the step net as the host runs it. `record`
// is that of the RecurrentNetwork operator `network`. Thread rule: any thread.
std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>> MakeStepObserver(
    const caffe2::OperatorBase* network, caffe2::OperatorBase* step, int order,
    const std::shared_ptr<OperatorRecord>& record);

// Lets a record hear of steps that are observed already, and of nets that the
// operator makes from now on. Thread rule: that of the host's creators of net
// observers, if MakesNetsInRuns(); else any thread.
void JoinSteps(const caffe2::OperatorBase* network,
               const std::shared_ptr<OperatorRecord>& record);

// Call these around each run of an operator of NetMadeInRuns(), on the thread
// that runs it, with its record: nets that it makes in between are observed.
// `owner` tells the calls of several observers apart.
void StepsBegin(const void* owner, caffe2::OperatorBase* network,
                const std::shared_ptr<OperatorRecord>& record);
// Returns false if the operator has no step that is observed.
bool StepsEnd(const void* owner);

// Returns whether an operator that runs on this thread, and is observed, makes
// this net: then it is not a net of its own.
bool IsMadeInAnObservedRun(const caffe2::NetBase& net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_STEP_OBSERVER_H_
