// OutputMinMaxObserver and OutputMinMaxNetObserver measure which values the
// outputs of operators take while a net runs, also of operators in nets within;
// the net's observer measures its external inputs too, as each run begins.
//
//   min_i = min(min_i, every finite element of output i)
//   max_i = max(max_i, every finite element of output i)
//
// and, if asked for, the histogram of the elements and the histograms of each
// column's maximum. Zeros, NaN and infinities are counted; NaN and infinities
// enter no range and no histogram. tensor_scan.h says what the elements of
// quantized tensors are.
//
// An observer reads the outputs when their operator has just run, changes
// nothing, and never stops a net: whatever goes wrong inside it is logged and
// kept for the caller of dump(). A run of an operator that throws or returns
// false is not recorded.
//
// Thread rule: get_info, reset, stop, resume and the dumps may be called from
// any thread while nets run. Attaching and detaching change lists of the host
// that have no lock: do that while the net itself is not running; other nets
// may run. A measurement belongs to the process that attached its observer. In
// a process that was forked later the net runs unrecorded, get_info lists no
// operators, the dumps return errors and nothing is written.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_MIN_MAX_OBSERVER_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_MIN_MAX_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/export.h"
#include "base/status.h"
#include "caffe2/core/net.h"
#include "caffe2/core/observer.h"
#include "caffe2/core/operator.h"
#include "observers/operator_run.h"
#include "observers/record_callback.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

struct OutputMinMaxOptions {
  // The text forms and the profile of a dump.
  enum class Format {
    kDefault,  // kColumnMax if column maxima are recorded, else kHistogram if
               // histograms are, else kMinMax
    kMinMax,
    kHistogram,
    kColumnMax,
    kProfile,
    kProfileJson,
  };

  // The observer's name among those of the net.
  std::string label;
  // The file that dumps go to. Empty: a dump call must name a file.
  std::string path;
  // N > 0: after every N runs, what was seen since the last such dump is
  // written to "name_K.ext" (K = runs / N) beside `path`, and the values are
  // reset.
  int64_t dump_freq = -1;
  Format format = Format::kDefault;
  std::string delimiter = " ";  // between the fields of the text forms
  RecordingOptions recording;
  // A profile whose totals the observer takes over. Empty: none.
  std::string resume_path;
  // Called after each recorded output, under no lock, by the thread that ran
  // the operator; by several threads at once if several run operators. What it
  // throws is logged once. It must not attach or detach observers.
  std::function<void(const OutputRecord&)> on_record;
  // The clock of the timestamps; empty: the system's.
  std::function<TimePoint()> clock;
};

// Returns OK if the numbers are in range and the delimiter is valid. *normal
// receives the options with sorted lists that hold each name once, and with
// default values where an option has no effect, so that equal recordings have
// equal options.
Status NormalizeOptions(const OutputMinMaxOptions& options,
                        OutputMinMaxOptions* normal);

// What may differ in one dump from the observer's options.
struct DumpOptions {
  std::string path;  // empty: the options'
  OutputMinMaxOptions::Format format = OutputMinMaxOptions::Format::kDefault;
  std::string delimiter;  // empty: the options'
  bool reset = false;     // write what was seen since the last reset, and reset
};

// All that is measured of one operator. Its observer and the net's measurement
// share it.
class OperatorMeasurement {
 public:
  virtual ~OperatorMeasurement() = default;

  virtual OperatorInfo get_info() const = 0;
  // Forgets the values seen so far; totals and counts stay.
  virtual void reset() = 0;
  // Runs are not recorded until resume().
  virtual void stop() = 0;
  virtual void resume() = 0;
};

// Observes one operator. Attach with
//   op->AttachObserver(std::make_unique<OutputMinMaxObserver>(op));
// It uses the options' recording, on_record and clock; `every` and `run_limit`
// count the operator's runs.
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

  // Called by the host's executor of recurrent nets for each operator of each
  // time step: observes that operator too. `rnn_order` is its place in the step
  // net as the host runs it. All time steps share one record. All observers of
  // this operator share one observer of the step; the first one called returns
  // it, the others return null.
  std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>> rnnCopy(
      caffe2::OperatorBase* subject, int rnn_order) const override;

  OperatorInfo get_info() const { return measurement_->get_info(); }
  void reset() { measurement_->reset(); }
  void stop() { measurement_->stop(); }
  void resume() { measurement_->resume(); }

 private:
  std::shared_ptr<OperatorMeasurement> measurement_;
  OperatorRun run_;
  const bool makes_nets_;  // or their operators, while it runs
  bool started_ = false;
};

class OutputMinMaxNetObserver;

// All that is measured of one net. It outlives the net: nothing is lost at an
// orderly end of the net, the workspace or the process.
class NetMeasurement {
 public:
  virtual ~NetMeasurement() = default;

  virtual const std::string& net_name() const = 0;
  virtual const std::string& label() const = 0;
  // The net and its observer; null if they are gone.
  virtual caffe2::NetBase* net() const = 0;
  virtual OutputMinMaxNetObserver* observer() const = 0;
  // The order in which nets were deleted: larger for a later one; 0 while this
  // net exists.
  virtual uint64_t gone_order() const = 0;
  // True if there is a path, and there are runs that the last dump of totals
  // did not hold.
  virtual bool unsaved() const = 0;
  // True if the file at the path holds all that was recorded, or nothing was
  // recorded.
  virtual bool saved() const = 0;
  // True while the net is being run, as far as its observers can tell.
  virtual bool running() const = 0;
  // About how much memory it takes.
  virtual std::size_t bytes() const = 0;

  virtual NetInfo get_info() const = 0;
  virtual void reset() = 0;
  virtual void stop() = 0;
  virtual void resume() = 0;
  // Sets the number of samples that the runs were fed, for the header of
  // profiles.
  virtual void set_samples(uint64_t samples) = 0;
  // Makes every profile that is written from now on a checkpoint; a checkpoint
  // without settings makes them final again. go_on_from takes over a profile's
  // checkpoint.
  virtual void set_checkpoint(Checkpoint checkpoint) = 0;
  // Takes over a profile's totals and counts. Errors, which change nothing: the
  // profile's net or options differ from this one's, or something was recorded
  // already.
  virtual Status go_on_from(const NetInfo& profile) = 0;
  // Writes what was seen since attach, or since the last reset. If the write
  // fails, the values are kept as they were.
  virtual Status dump_as(const DumpOptions& options) = 0;
  // Writes what was seen since attach to `path` (default: the options' path).
  Status dump(const std::string& path = "") {
    DumpOptions options;
    options.path = path;
    return dump_as(options);
  }
  // Writes what was seen since the last reset, and resets.
  Status dump_and_reset(const std::string& path = "") {
    DumpOptions options;
    options.path = path;
    options.reset = true;
    return dump_as(options);
  }
  // Detaches the operator observers. Call it while the net is alive and before
  // the net detaches its own observer, as DetachOutputMinMaxObserver does.
  virtual void detach_from_operators() = 0;
};

// Observes every operator of one net, and the net's runs.
//   Status status = AttachOutputMinMaxObserver(net, options);  // attachment.h
class OutputMinMaxNetObserver final : public caffe2::NetObserver {
 public:
  // Attaches an operator observer to each operator that `options` admit.
  CAFFE2_QUANTIZATION_API OutputMinMaxNetObserver(caffe2::NetBase* net,
                                                  OutputMinMaxOptions options);
  // Ends the measurement, which may live on. Writes it if it has a path and
  // holds what was not written yet. Never throws.
  CAFFE2_QUANTIZATION_API ~OutputMinMaxNetObserver() override;

  // Called by the host around each run of the net.
  void Start() override;
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
  std::shared_ptr<NetMeasurement> measurement_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_MIN_MAX_OBSERVER_H_
