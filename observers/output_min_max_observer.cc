#include "observers/output_min_max_observer.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <utility>

#include "observers/min_max_file.h"
#include "observers/tensor_scan.h"
#include "quantization/atomic_file.h"

namespace caffe2_quantization {
namespace {

TimePoint Now(const std::function<TimePoint()>& clock) {
  return clock ? clock() : std::chrono::system_clock::now();
}

// Sets *text when it changes: that is once for most outputs.
void SetName(c10::string_view name, std::string* text) {
  if (*text != name) *text = std::string(name.data(), name.size());
}

bool Admits(const OutputMinMaxOptions& options,
            const caffe2::OperatorBase& op) {
  const auto contains = [](const std::vector<std::string>& list,
                           const std::string& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  if (!options.op_types.empty() && !contains(options.op_types, op.type())) {
    return false;
  }
  if (options.outputs.empty()) return true;
  if (!op.has_debug_def()) return false;
  const auto& names = op.debug_def().output();
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return contains(options.outputs, name);
  });
}

class OperatorRecord final : public OperatorMeasurement {
 public:
  OperatorRecord(const caffe2::OperatorBase& op, int op_index,
                 std::function<TimePoint()> clock)
      : clock_(std::move(clock)) {
    info_.op_index = op_index;
    info_.op_type = op.type();
    info_.outputs.resize(op.OutputSize());
    for (int i = 0; i < op.OutputSize(); ++i) {
      info_.outputs[i].output_index = i;
      info_.outputs[i].tensor_name = op.has_debug_def()
                                         ? op.debug_def().output(i)
                                         : "output" + std::to_string(i);
    }
  }

  void Record(caffe2::OperatorBase* op) {
    if (!active_.load(std::memory_order_relaxed)) return;
    // An operator that goes on after its run has not filled its outputs yet,
    // and one of the new kind has no blobs.
    if (op->HasAsyncPart() || !op->isLegacyOperator()) return;
    // The scan takes the time; it needs no lock.
    const std::size_t outputs = std::min(
        info_.outputs.size(), static_cast<std::size_t>(op->OutputSize()));
    std::vector<TensorScan> scans(outputs);
    std::vector<const caffe2::Tensor*> tensors(scans.size(), nullptr);
    for (std::size_t i = 0; i < scans.size(); ++i) {
      const caffe2::Blob* blob = op->OutputBlob(static_cast<int>(i));
      if (blob == nullptr || !blob->IsType<caffe2::Tensor>()) continue;
      tensors[i] = &blob->Get<caffe2::Tensor>();
      scans[i] = ScanTensor(*tensors[i]);
    }
    const TimePoint now = Now(clock_);
    std::lock_guard<std::mutex> lock(mutex_);
    ++records_;
    if (info_.first_record == TimePoint{}) info_.first_record = now;
    info_.last_record = now;
    for (std::size_t i = 0; i < scans.size(); ++i) {
      OutputInfo& output = info_.outputs[i];
      const TensorScan& scan = scans[i];
      const caffe2::Tensor* tensor = tensors[i];
      if (tensor != nullptr && tensor->defined() &&
          tensor->dtype_initialized()) {
        SetName(tensor->dtype().name(), &output.type_name);
        const auto sizes = tensor->sizes();
        output.shape.assign(sizes.begin(), sizes.end());
      } else if (const auto* blob = op->OutputBlob(static_cast<int>(i))) {
        SetName(blob->meta().name(), &output.type_name);
      }
      if (!scan.supported) {
        ++output.unsupported_runs;
        continue;
      }
      ++output.runs;
      output.values.range.Merge(scan.range);
      output.total.range.Merge(scan.range);
      output.count += scan.count;
      output.nan_count += scan.nan_count;
      output.positive_infinity_count += scan.positive_infinity_count;
      output.negative_infinity_count += scan.negative_infinity_count;
    }
  }

  OperatorInfo get_info() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return info_;
  }
  void reset() override { InfoAndReset(); }
  void stop() override { active_ = false; }
  void resume() override { active_ = true; }

  OperatorInfo InfoAndReset() {
    std::lock_guard<std::mutex> lock(mutex_);
    OperatorInfo info = info_;
    for (OutputInfo& output : info_.outputs) output.values.range = ValueRange();
    return info;
  }

  // Runs that were recorded, of whatever type.
  uint64_t records() const { return records_; }

  // Gives back the ranges that InfoAndReset took.
  void Restore(const OperatorInfo& info) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t i = 0; i < info_.outputs.size(); ++i) {
      info_.outputs[i].values.range.Merge(info.outputs[i].values.range);
    }
  }

 private:
  const std::function<TimePoint()> clock_;
  std::atomic<bool> active_{true};
  std::atomic<uint64_t> records_{0};
  mutable std::mutex mutex_;
  OperatorInfo info_;  // the outputs' number never changes
};

}  // namespace

OutputMinMaxObserver::OutputMinMaxObserver(caffe2::OperatorBase* op,
                                           const OutputMinMaxOptions& options)
    : OutputMinMaxObserver(
          op, std::make_shared<OperatorRecord>(
                  *op, std::max(op->net_position(), 0), options.clock)) {}

OutputMinMaxObserver::OutputMinMaxObserver(
    caffe2::OperatorBase* op, std::shared_ptr<OperatorMeasurement> measurement)
    : ObserverBase(op), measurement_(std::move(measurement)) {}

OutputMinMaxObserver::~OutputMinMaxObserver() {
  // After the last Stop(), whichever thread made it.
  std::lock_guard<std::mutex> lock(mutex_);
}

void OutputMinMaxObserver::Start() {
  // The next run may be another thread's.
  std::lock_guard<std::mutex> lock(mutex_);
  before_ = std::current_exception();
}

void OutputMinMaxObserver::Stop() {
  // The host also calls this from the handler of a run that threw: what the
  // outputs hold then is nobody's result. (before_ is not null where the net
  // itself is run from a handler.)
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::current_exception() != before_) return;
  }
  static_cast<OperatorRecord*>(measurement_.get())->Record(subject_);
  // Locked once more, so that what was read above comes before the next Start()
  // and what its run writes, whichever threads they are.
  std::lock_guard<std::mutex> lock(mutex_);
  before_ = nullptr;
}

class OutputMinMaxNetObserver::Measurement final : public NetMeasurement {
 public:
  Measurement(caffe2::NetBase* net, OutputMinMaxNetObserver* observer,
              OutputMinMaxOptions options)
      : options_(std::move(options)),
        net_name_(net->Name()),
        net_(net),
        observer_(observer) {
    attached_at_ = Now(options_.clock);
    const auto operators = net->GetOperators();
    for (std::size_t i = 0; i < operators.size(); ++i) {
      caffe2::OperatorBase* op = operators[i];
      if (!Admits(options_, *op)) continue;
      auto record = std::make_shared<OperatorRecord>(*op, static_cast<int>(i),
                                                     options_.clock);
      attached_.emplace_back(
          op, op->AttachObserver(
                  std::make_unique<OutputMinMaxObserver>(op, record)));
      records_.push_back(std::move(record));
    }
  }

  const std::string& net_name() const override { return net_name_; }
  caffe2::NetBase* net() const override { return net_; }
  OutputMinMaxNetObserver* observer() const override { return observer_; }
  uint64_t gone_order() const override { return gone_order_; }
  bool unsaved() const override {
    return !options_.path.empty() && saved_records_ != Records();
  }

  NetInfo get_info() const override {
    NetInfo info = Header();
    for (const auto& record : records_) {
      info.operators.push_back(record->get_info());
    }
    return info;
  }

  void reset() override {
    for (const auto& record : records_) record->reset();
  }

  void stop() override { SetStopped(true); }
  void resume() override {
    // After the net has gone there is nothing to go on with.
    if (net_ != nullptr) SetStopped(false);
  }

  Status dump(const std::string& path) override {
    const uint64_t records = Records();
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        Write(get_info(), RangeSince::kAttach, path));
    if (path.empty() || path == options_.path) saved_records_ = records;
    return Status::Ok();
  }

  Status dump_and_reset(const std::string& path) override {
    NetInfo info = Header();
    for (const auto& record : records_) {
      info.operators.push_back(record->InfoAndReset());
    }
    const Status status = Write(info, RangeSince::kReset, path);
    if (!status.ok()) {
      for (std::size_t i = 0; i < records_.size(); ++i) {
        records_[i]->Restore(info.operators[i]);
      }
    }
    return status;
  }

  void RunFinished() {
    if (stopped_) return;
    const uint64_t runs = ++runs_;
    if (options_.dump_freq <= 0 || options_.path.empty() ||
        runs % static_cast<uint64_t>(options_.dump_freq) != 0) {
      return;
    }
    Log(dump_and_reset(NumberedPath(options_.path, runs / options_.dump_freq)));
  }

  void detach_from_operators() override {
    for (const auto& [op, observer] : attached_) op->DetachObserver(observer);
    attached_.clear();
  }

  void NetGone() {
    // Observers that are still on operators record nothing any more.
    SetStopped(true);
    static std::atomic<uint64_t> nets_gone{0};
    gone_order_ = ++nets_gone;
    net_ = nullptr;
    observer_ = nullptr;
    attached_.clear();
    if (unsaved()) Log(dump(""));
  }

 private:
  NetInfo Header() const {
    NetInfo info;
    info.net_name = net_name_;
    info.runs = runs_;
    info.stopped = stopped_;
    info.net_alive = net_ != nullptr;
    info.attached_at = attached_at_;
    return info;
  }

  uint64_t Records() const {
    uint64_t sum = 0;
    for (const auto& record : records_) sum += record->records();
    return sum;
  }

  void SetStopped(bool stopped) {
    stopped_ = stopped;
    for (const auto& record : records_) {
      stopped ? record->stop() : record->resume();
    }
  }

  Status Write(const NetInfo& info, RangeSince since,
               const std::string& path) const {
    const std::string& where = path.empty() ? options_.path : path;
    if (where.empty()) {
      return Status::InvalidArgument("no path to dump the observer of net '" +
                                     net_name_ +
                                     "' to: none was given, at "
                                     "attach or now");
    }
    return WriteFileAtomically(where, FormatMinMax(info, since));
  }

  // A dump that nobody called for has nobody to return its error to. It is
  // logged once; what it would have written is still here.
  void Log(const Status& status) {
    if (status.ok() || logged_.exchange(true)) return;
    LOG(ERROR) << "Observer of net '" << net_name_ << "': " << status.message()
               << "; what was measured is kept";
  }

  const OutputMinMaxOptions options_;
  const std::string net_name_;
  std::atomic<caffe2::NetBase*> net_;
  std::atomic<OutputMinMaxNetObserver*> observer_;
  TimePoint attached_at_;
  std::vector<std::shared_ptr<OperatorRecord>> records_;
  std::vector<std::pair<caffe2::OperatorBase*,
                        const caffe2::ObserverBase<caffe2::OperatorBase>*>>
      attached_;
  std::atomic<uint64_t> runs_{0};
  std::atomic<uint64_t> saved_records_{0};  // that the file at path holds
  std::atomic<uint64_t> gone_order_{0};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> logged_{false};
};

OutputMinMaxNetObserver::OutputMinMaxNetObserver(caffe2::NetBase* net,
                                                 OutputMinMaxOptions options)
    : ObserverBase(net),
      measurement_(
          std::make_shared<Measurement>(net, this, std::move(options))) {}

OutputMinMaxNetObserver::~OutputMinMaxNetObserver() {
  try {
    static_cast<Measurement*>(measurement_.get())->NetGone();
  } catch (const std::exception& error) {
    LOG(ERROR) << "Observer of a net that ends: " << error.what();
  }
}

void OutputMinMaxNetObserver::Stop() {
  static_cast<Measurement*>(measurement_.get())->RunFinished();
}

}  // namespace caffe2_quantization
