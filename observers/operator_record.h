// OperatorRecord: what is recorded of one operator, with the rules that all
// operators of a net share.
//
// Thread rule: any thread, unless a comment says otherwise.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RECORD_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RECORD_H_

#include <c10/util/SmallVector.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/process.h"
#include "base/status.h"
#include "caffe2/core/operator.h"
#include "observers/output_min_max_observer.h"
#include "observers/tensor_scan.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// Decides which runs are recorded: runs 1, N + 1, 2N + 1 ..., while it is not
// stopped, up to a limit. It decides when a run starts, so that all operators
// of the run agree, whichever threads they run on.
class RunGate {
 public:
  RunGate(int64_t every, int64_t limit) : every_(every), limit_(limit) {}

  // Returns whether to record now. Costs one read.
  bool open() const { return closed_.load(std::memory_order_relaxed) == 0; }

  // Call these around each run. End() returns whether the run was counted; runs
  // are not counted while stopped. A run without an End() has failed, and is
  // not counted.
  void Begin();
  bool End();

  void Stop() { closed_ |= kStopped; }
  void Resume() { closed_ &= ~kStopped; }
  // Stops for good.
  void Close() { closed_ |= kClosed; }
  // Continues from these numbers of runs.
  void Restart(uint64_t runs, uint64_t recorded_runs);

  bool stopped() const { return (closed_ & ~kSkipped) != 0; }
  bool closed() const { return (closed_ & kClosed) != 0; }
  uint64_t runs() const { return runs_; }
  uint64_t recorded_runs() const { return recorded_runs_; }

 private:
  enum : unsigned { kStopped = 1, kSkipped = 2, kLimit = 4, kClosed = 8 };

  bool LimitReached() const;

  const int64_t every_;
  const int64_t limit_;
  std::atomic<unsigned> closed_{0};
  std::atomic<uint64_t> runs_{0};
  std::atomic<uint64_t> recorded_runs_{0};
};

// Tells whether a net is being run. The host tells observers when a run begins,
// but not when it ends because an operator failed; the operators' observers see
// that, so each operator must have one. Nobody sees the moment between the last
// call to an observer and the host's return.
class RunState {
 public:
  RunState() = default;
  // Whoever destroys it comes after the operators that it counted. (The host
  // orders them, but in ways that a sanitizer does not always see.)
  ~RunState() { operators_.load(); }
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;

  void NetStarts() {
    failed_ = false;
    in_run_ = true;
  }
  void NetStopped() { in_run_ = false; }
  void OperatorStarts() { ++operators_; }
  void OperatorStopped(bool failed) {
    if (failed) failed_ = true;
    --operators_;
  }

  bool running() const { return operators_ > 0 || (in_run_ && !failed_); }

 private:
  std::atomic<bool> in_run_{false};
  std::atomic<bool> failed_{false};  // in this run
  std::atomic<int> operators_{0};    // the number that run now
};

// What the records of one observer have in common.
struct RecordContext {
  // `normal` are options in their normal form (NormalizeOptions).
  RecordContext(OutputMinMaxOptions normal, std::string net, bool of_net)
      : options(std::move(normal)),
        net_name(std::move(net)),
        is_of_net(of_net),
        gate(options.recording.every, options.recording.run_limit) {}

  TimePoint Now() const {
    return options.clock ? options.clock() : std::chrono::system_clock::now();
  }
  // Calls on_record and the callbacks of the process.
  bool has_listeners() const {
    return options.on_record != nullptr || HasRecordCallbacks();
  }
  void Call(const OutputRecord& record);
  // Logs the first of these messages.
  void LogOnce(std::atomic<bool>* logged, const std::string& message) const;

  // Orders the caller after every scan so far, whichever threads made them,
  // since what runs next may write what they read. (The host orders them too,
  // but in ways that a sanitizer does not always see.)
  void AwaitScans() const { scans.load(std::memory_order_acquire); }

  // False in a process that was forked after the observer was attached. There
  // the measurement belongs to the parent, and its locks may be held for ever
  // by threads that the child does not have: nothing is recorded, locked or
  // written.
  bool is_ours() const { return forks == ForkCount(); }

  const OutputMinMaxOptions options;
  const std::string net_name;
  const bool is_of_net;  // else the gate counts the runs of one operator
  const uint64_t forks = ForkCount();
  RunGate gate;
  RunState state;
  std::atomic<uint64_t> scans{0};
  std::atomic<bool> callback_logged{false};
  std::atomic<bool> column_max_logged{false};
  std::atomic<bool> overflow_logged{false};
  std::atomic<bool> no_steps_logged{false};
};

// True if the options admit an operator: its type, its name and one of its
// outputs match.
bool Admits(const RecordingOptions& options, const caffe2::OperatorBase& op);
// The same by an operator's type and definition; null if it has none.
bool Admits(const RecordingOptions& options, const std::string& type,
            const caffe2::OperatorDef* definition);

// A blob that a net reads and does not make.
struct ExternalInput {
  int index;  // in the net's external_input
  std::string name;
  const caffe2::Blob* blob;
};

// The numbers of an OutputInfo that only grow.
inline constexpr std::array<uint64_t OutputInfo::*, 10> kOutputCounts = {
    &OutputInfo::runs,
    &OutputInfo::count,
    &OutputInfo::zero_count,
    &OutputInfo::nan_count,
    &OutputInfo::positive_infinity_count,
    &OutputInfo::negative_infinity_count,
    &OutputInfo::empty_runs,
    &OutputInfo::missing_runs,
    &OutputInfo::unsupported_runs,
    &OutputInfo::column_max_unsupported_runs,
};
using OutputCounts = std::array<uint64_t, kOutputCounts.size()>;

class OperatorRecord final : public OperatorMeasurement {
 public:
  // `own`: whether the operator itself is recorded, or only those within it.
  OperatorRecord(std::shared_ptr<RecordContext> context,
                 const caffe2::OperatorBase& op, int op_index,
                 std::vector<InnerStep> inner, bool own);
  // Makes a record from a profile, for an operator within another one that does
  // not exist yet.
  OperatorRecord(std::shared_ptr<RecordContext> context,
                 const OperatorInfo& info);
  // Makes a record of a net's external inputs. They are its outputs.
  OperatorRecord(std::shared_ptr<RecordContext> context,
                 const std::vector<ExternalInput>& inputs);

  RecordContext* context() const { return context_.get(); }
  int op_index() const { return op_index_; }
  const std::vector<InnerStep>& inner() const { return inner_; }
  bool own() const { return own_; }
  bool open() const {
    return active_.load(std::memory_order_relaxed) && context_->gate.open() &&
           context_->is_ours();
  }

  // Adds a run that has succeeded. Nobody may write its outputs meanwhile.
  void Record(caffe2::OperatorBase* op);
  // The same of external inputs, when a run begins.
  void Record(const std::vector<ExternalInput>& inputs);

  // Returns the record of an operator of a net that this operator makes while
  // it runs, and makes it if there is none yet. `inner` leads there from here.
  // Returns null if the options do not admit the operator.
  std::shared_ptr<OperatorRecord> Within(const caffe2::OperatorBase& op,
                                         const std::vector<InnerStep>& inner);

  OperatorInfo get_info() const override;
  void reset() override;
  void stop() override { active_ = false; }
  void resume() override { active_ = true; }

  // Appends this operator's information, if it is recorded itself, and that of
  // those within it.
  void AppendInfos(std::vector<OperatorInfo>* infos) const;

  // A reset in two parts. Take() sets aside what was seen since the last reset;
  // then Commit() drops it, or Rollback() puts it back. In between, all of it
  // is still reported. One caller at a time. All three include those
  // within.
  void Take();
  void Commit();
  void Rollback();
  // Appends what was set aside, with values, totals and counts as if nothing
  // had been recorded before.
  void AppendTaken(std::vector<OperatorInfo>* infos) const;

  // The number of recorded runs, including those of operators within.
  uint64_t records() const;
  // About how much memory it takes, including those within.
  std::size_t bytes() const;

  // Tells, once, that no operator of the net that this one runs was seen.
  void LogNoSteps() const;

  // Takes over totals and counts of a profile. Call it before anything is
  // recorded. The check compares the operator and the names; GoOnFrom() relies
  // on it.
  Status CheckGoOnFrom(const OperatorInfo& info) const;
  void GoOnFrom(const OperatorInfo& info);
  // Adds an operator within from a profile, which is all that is known of it
  // yet.
  Status CheckAddWithin(const OperatorInfo& info) const;
  void AddWithin(const OperatorInfo& info);

 private:
  struct Output {
    OutputInfo info;             // `total` is not used
    std::vector<int64_t> shape;  // of this run, while it is recorded
    OutputValues taken;          // set aside by Take()
    OutputValues before;         // the part of the total that was reset
    OutputCounts at_take{};
    OutputCounts at_commit{};
    bool column_max = false;
  };

  void Add(const caffe2::Blob* blob, const TensorScan& scan, Output* output);
  void AddColumnMaxima(const ColumnMaxima* maxima, Output* output);
  OutputRecord Heard(const Output& output, const TensorScan& scan,
                     uint64_t run) const;
  // `op` is null for external inputs, of which listeners do not hear.
  void Record(const c10::SmallVector<const caffe2::Blob*, 4>& blobs,
              const caffe2::OperatorBase* op);
  OutputValues NewValues() const;
  void Merge(const OutputValues& from, OutputValues* into) const;
  OutputInfo InfoOf(const Output& output) const;
  OperatorInfo Header() const;
  std::vector<std::shared_ptr<OperatorRecord>> AllWithin() const;

  const std::shared_ptr<RecordContext> context_;
  const int op_index_;
  const std::vector<InnerStep> inner_;
  const bool own_;
  std::string op_type_;
  std::string op_name_;  // set once more, under mutex_, for a profile's
  std::atomic<bool> active_{true};
  std::atomic<uint64_t> records_{0};

  mutable std::mutex mutex_;     // guards what follows, to last_record_
  std::vector<Output> outputs_;  // their number and names never change
  bool is_taken_ = false;
  TimePoint first_record_{};
  TimePoint last_record_{};

  mutable std::mutex within_mutex_;
  // Of operators that come and go while this one runs, by the way from here to
  // them. Null for one that the options do not admit.
  std::map<std::vector<InnerStep>, std::shared_ptr<OperatorRecord>> within_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OPERATOR_RECORD_H_
