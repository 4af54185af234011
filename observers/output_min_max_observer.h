// OutputMinMaxObserver and OutputMinMaxNetObserver: the smallest and largest
// value that the outputs of operators take while a net runs.
//
//   min_i = min(min_i, every finite element of output i)
//   max_i = max(max_i, every finite element of output i)
//
// NaN and infinities are counted beside. An observer reads outputs when their
// operator has just run, changes nothing, and never stops a net: whatever goes
// wrong inside it is logged and kept for the caller of dump().
//
// Thread rule: get_info, reset, stop, resume and the dumps may be called from
// any thread while nets run. Attaching and detaching change lists of the host's
// that have no lock: do that while the net itself is not running.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_MIN_MAX_OBSERVER_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_MIN_MAX_OBSERVER_H_

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "caffe2/core/net.h"
#include "caffe2/core/observer.h"
#include "caffe2/core/operator.h"
#include "observers/output_info.h"
#include "quantization/export.h"
#include "quantization/status.h"

namespace caffe2_quantization {

struct OutputMinMaxOptions {
  // Where dumps go. Empty: nowhere, but for a dump call that names a file.
  std::string path;
  // N > 0: every N runs what was seen since the last such dump is written to
  // "name_K.ext" (K = runs / N) beside `path`, and the ranges start anew.
  int64_t dump_freq = -1;
  // Which operators to observe: of these types, and with one of these outputs.
  // An empty list admits all.
  std::vector<std::string> op_types;
  std::vector<std::string> outputs;
  // The clock of the timestamps; empty: the system's.
  std::function<TimePoint()> clock;
};

// All that is measured of one operator; shared between its observers (an
// operator of a recurrent net has one for each time step) and the net's
// measurement.
class OperatorMeasurement {
 public:
  virtual ~OperatorMeasurement() = default;

  virtual OperatorInfo get_info() const = 0;
  // Forgets the ranges seen so far; totals and counts stay.
  virtual void reset() = 0;
  // Until resume(), runs are not recorded.
  virtual void stop() = 0;
  virtual void resume() = 0;
};

// Observes one operator. Attach with
//   op->AttachObserver(std::make_unique<OutputMinMaxObserver>(op));
class OutputMinMaxObserver final
    : public caffe2::ObserverBase<caffe2::OperatorBase> {
 public:
  CAFFE2_QUANTIZATION_API explicit OutputMinMaxObserver(
      caffe2::OperatorBase* op, const OutputMinMaxOptions& options = {});
  OutputMinMaxObserver(caffe2::OperatorBase* op,
                       std::shared_ptr<OperatorMeasurement> measurement);
  CAFFE2_QUANTIZATION_API ~OutputMinMaxObserver() override;

  // Called by the host around each run of the operator.
  void Start() override;
  void Stop() override;

  OperatorInfo get_info() const { return measurement_->get_info(); }
  void reset() { measurement_->reset(); }
  void stop() { measurement_->stop(); }
  void resume() { measurement_->resume(); }

 private:
  std::shared_ptr<OperatorMeasurement> measurement_;
  std::mutex mutex_;
  std::exception_ptr before_;  // what was being handled at Start()
};

class OutputMinMaxNetObserver;

// All that is measured of one net. It outlives the net: an orderly end of the
// net, the workspace or the process loses nothing of it.
class NetMeasurement {
 public:
  virtual ~NetMeasurement() = default;

  virtual const std::string& net_name() const = 0;
  // The net and its observer; null when they are gone.
  virtual caffe2::NetBase* net() const = 0;
  virtual OutputMinMaxNetObserver* observer() const = 0;
  // Grows with each net that goes; 0 while this one is there.
  virtual uint64_t gone_order() const = 0;
  // True when there is a path and runs that the last dump of totals did not
  // hold.
  virtual bool unsaved() const = 0;

  virtual NetInfo get_info() const = 0;
  virtual void reset() = 0;
  virtual void stop() = 0;
  virtual void resume() = 0;
  // Writes the ranges since attach to `path` (default: the options' path).
  virtual Status dump(const std::string& path = "") = 0;
  // Writes the ranges since the last reset, and resets. When the write fails
  // the ranges are kept as they were.
  virtual Status dump_and_reset(const std::string& path = "") = 0;
  // Takes the operator observers off again. Call it while the net is alive and
  // before the net lets go of its observer; DetachOutputMinMaxObserver does.
  virtual void detach_from_operators() = 0;
};

// Observes every operator of one net, and the net's runs.
//   Status status = AttachOutputMinMaxObserver(net, options);  // attachment.h
class OutputMinMaxNetObserver final : public caffe2::NetObserver {
 public:
  // Attaches an operator observer to each operator that `options` admit.
  CAFFE2_QUANTIZATION_API OutputMinMaxNetObserver(caffe2::NetBase* net,
                                                  OutputMinMaxOptions options);
  // Ends the measurement, which may live on; writes it when it has a path and
  // holds what was not written yet. Never throws.
  CAFFE2_QUANTIZATION_API ~OutputMinMaxNetObserver() override;

  // Called by the host after each run of the net.
  void Stop() override;

  const std::shared_ptr<NetMeasurement>& measurement() const {
    return measurement_;
  }
  NetInfo get_info() const { return measurement_->get_info(); }
  void reset() { measurement_->reset(); }
  void stop() { measurement_->stop(); }
  void resume() { measurement_->resume(); }
  Status dump(const std::string& path = "") { return measurement_->dump(path); }
  Status dump_and_reset(const std::string& path = "") {
    return measurement_->dump_and_reset(path);
  }
  void detach_from_operators() { measurement_->detach_from_operators(); }

 private:
  class Measurement;

  std::shared_ptr<NetMeasurement> measurement_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_MIN_MAX_OBSERVER_H_
