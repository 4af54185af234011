#include "observers/output_min_max_observer.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/at_end.h"
#include "observers/inner_nets.h"
#include "observers/net_record.h"
#include "observers/observer_options.h"
#include "observers/operator_record.h"
#include "observers/step_observer.h"

namespace caffe2_quantization {

OutputMinMaxObserver::OutputMinMaxObserver(caffe2::OperatorBase* op,
                                           const OutputMinMaxOptions& options)
    : OutputMinMaxObserver(
          op, std::make_shared<OperatorRecord>(
                  std::make_shared<RecordContext>(NormalOptions(options), "",
                                                  /*of_net=*/false),
                  *op, std::max(op->net_position(), 0),
                  /*inner=*/std::vector<InnerStep>(), /*own=*/true)) {}

OutputMinMaxObserver::OutputMinMaxObserver(
    caffe2::OperatorBase* op, std::shared_ptr<OperatorMeasurement> measurement)
    : ObserverBase(op),
      measurement_(std::move(measurement)),
      run_(op),
      makes_nets_(NetMadeInRuns(op->type()) != nullptr) {
  if (makes_nets_) {
    JoinSteps(op, std::static_pointer_cast<OperatorRecord>(measurement_));
  }
}

OutputMinMaxObserver::~OutputMinMaxObserver() = default;

void OutputMinMaxObserver::Start() {
  auto* record = static_cast<OperatorRecord*>(measurement_.get());
  RecordContext* context = record->context();
  context->state.OperatorStarts();
  started_ = true;
  if (!context->is_of_net) context->gate.Begin();
  // Skipped runs of one operator are counted too.
  run_.Start(record->open() || !context->is_of_net);
  if (makes_nets_) {
    StepsBegin(this, subject_,
               std::static_pointer_cast<OperatorRecord>(measurement_));
  }
}

void OutputMinMaxObserver::Stop() {
  // It may have come in the middle of a run.
  if (!std::exchange(started_, false)) return;
  auto* record = static_cast<OperatorRecord*>(measurement_.get());
  RecordContext* context = record->context();
  const bool has_steps = !makes_nets_ || StepsEnd(this);
  context->AwaitScans();  // of the steps that this run was made of
  const bool failed = run_.Failed();
  const AtEnd stopped([&] {
    run_.Stop();
    context->state.OperatorStopped(failed);
  });
  if (failed || !run_.armed()) return;
  if (!has_steps) record->LogNoSteps();
  if (record->open()) record->Record(subject_);
  if (!context->is_of_net) context->gate.End();
}

std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>>
OutputMinMaxObserver::rnnCopy(caffe2::OperatorBase* subject,
                              int rnn_order) const {
  return MakeStepObserver(
      subject_, subject, rnn_order,
      std::static_pointer_cast<OperatorRecord>(measurement_));
}

OutputMinMaxNetObserver::OutputMinMaxNetObserver(caffe2::NetBase* net,
                                                 OutputMinMaxOptions options)
    : ObserverBase(net),
      measurement_(NetRecord::Make(net, this, std::move(options))) {}

OutputMinMaxNetObserver::~OutputMinMaxNetObserver() {
  try {
    static_cast<NetRecord*>(measurement_.get())->NetGone();
  } catch (const std::exception& error) {
    LOG(ERROR) << "Observer of a net that ends: " << error.what();
  }
}

void OutputMinMaxNetObserver::Start() {
  static_cast<NetRecord*>(measurement_.get())->RunStarts();
}

void OutputMinMaxNetObserver::Stop() {
  static_cast<NetRecord*>(measurement_.get())->RunFinished(*subject_);
}

}  // namespace caffe2_quantization
