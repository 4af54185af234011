#include "observers/net_record.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/at_end.h"
#include "base/return_if_error.h"
#include "netdef/net_hash.h"
#include "observers/dump.h"
#include "observers/observer_options.h"
#include "observers/operator_record.h"
#include "observers/unshared.h"
#include "profiles/min_max_file.h"
#include "profiles/profile_rules.h"

namespace caffe2_quantization {
namespace {

// On an operator that is not recorded: sees whether it runs, and fails.
class RunWatcher final : public caffe2::ObserverBase<caffe2::OperatorBase> {
 public:
  RunWatcher(caffe2::OperatorBase* op, std::shared_ptr<RecordContext> context)
      : ObserverBase(op), context_(std::move(context)), run_(op) {}

  void Start() override {
    context_->state.OperatorStarts();
    started_ = true;
    run_.Start(/*armed=*/false);
  }
  void Stop() override {
    // It may have come in the middle of a run.
    if (!std::exchange(started_, false)) return;
    const bool failed = run_.Failed();
    run_.Stop();
    context_->state.OperatorStopped(failed);
  }

 private:
  const std::shared_ptr<RecordContext> context_;
  OperatorRun run_;
  bool started_ = false;
};

std::string HostName() {
  char name[256] = "";
  if (gethostname(name, sizeof(name) - 1) != 0) return "";
  return name;
}

class Record final : public NetRecord {
 public:
  Record(caffe2::NetBase* net, OutputMinMaxNetObserver* observer,
         OutputMinMaxOptions options)
      : context_(std::make_shared<RecordContext>(
            NormalOptions(std::move(options)), Unshared(net->Name()),
            /*of_net=*/true)),
        options_(context_->options),
        net_hash_(net->has_debug_def() ? NetHash(net->debug_def()) : ""),
        net_(net),
        observer_(observer),
        attached_at_(context_->Now()) {
    const auto operators = net->GetOperators();
    for (std::size_t i = 0; i < operators.size(); ++i) {
      caffe2::OperatorBase* op = operators[i];
      const bool own = Admits(options_.recording, *op);
      if (!own && !IsRecurrent(op->type())) {
        attached_.emplace_back(
            op, op->AttachObserver(std::make_unique<RunWatcher>(op, context_)));
        continue;
      }
      auto record = std::make_shared<OperatorRecord>(
          context_, *op, static_cast<int>(i), /*step_index=*/-1, own);
      attached_.emplace_back(
          op, op->AttachObserver(
                  std::make_unique<OutputMinMaxObserver>(op, record)));
      records_.push_back(std::move(record));
    }
  }

  const std::string& net_name() const override { return context_->net_name; }
  const std::string& label() const override { return options_.label; }
  caffe2::NetBase* net() const override { return net_; }
  OutputMinMaxNetObserver* observer() const override { return observer_; }
  uint64_t gone_order() const override { return gone_order_; }
  bool unsaved() const override {
    return context_->is_ours() && !options_.path.empty() && !saved();
  }
  bool saved() const override {
    return context_->is_ours() && saved_records_ == Records();
  }
  bool running() const override {
    return context_->is_ours() && context_->state.running();
  }
  std::size_t bytes() const override {
    if (!context_->is_ours()) return 0;
    if (gone_order_ != 0) return bytes_at_end_;
    std::size_t bytes = sizeof(*this) + sizeof(*context_);
    for (const auto& record : records_) bytes += record->bytes();
    return bytes;
  }

  NetInfo get_info() const override {
    NetInfo info = Header();
    if (!context_->is_ours()) return info;
    for (const auto& record : records_) record->AppendInfos(&info.operators);
    SetTimes(&info);
    return info;
  }

  void reset() override {
    if (!context_->is_ours()) return;
    std::lock_guard<std::mutex> lock(dump_mutex_);
    for (const auto& record : records_) record->reset();
    at_commit_ = Runs();
  }

  void stop() override { context_->gate.Stop(); }
  void resume() override { context_->gate.Resume(); }
  void set_samples(uint64_t samples) override { samples_ = samples; }

  void set_checkpoint(Checkpoint checkpoint) override {
    if (!context_->is_ours()) return;
    std::lock_guard<std::mutex> lock(checkpoint_mutex_);
    checkpoint_ = std::move(checkpoint);
  }

  Status go_on_from(const NetInfo& profile) override {
    RETURN_IF_ERROR(CheckOurs());
    RETURN_IF_ERROR(CheckGoOnFrom(profile));
    std::lock_guard<std::mutex> lock(dump_mutex_);
    for (const OperatorInfo& op : profile.operators) {
      OperatorRecord* record = Find(op.op_index);
      if (op.step_index < 0) {
        record->GoOnFrom(op);
      } else {
        record->AddStep(op);
      }
    }
    context_->gate.Restart(profile.runs, profile.recorded_runs);
    samples_ = profile.samples;
    set_checkpoint(profile.checkpoint);
    before_ = profile;
    before_.operators.clear();
    at_commit_ = Runs();
    return Status::Ok();
  }

  Status dump_as(const DumpOptions& dump) override {
    RETURN_IF_ERROR(CheckOurs());
    const std::string& path = dump.path.empty() ? options_.path : dump.path;
    if (path.empty()) {
      return Status::InvalidArgument("no path to dump the observer of net '" +
                                     net_name() +
                                     "' to: none was given, at "
                                     "attach or now");
    }
    DumpForm form;
    form.format = dump.format == OutputMinMaxOptions::Format::kDefault
                      ? options_.format
                      : dump.format;
    form.delimiter =
        dump.delimiter.empty() ? options_.delimiter : dump.delimiter;
    std::lock_guard<std::mutex> lock(dump_mutex_);
    return dump.reset ? DumpAndReset(path, form) : DumpTotals(path, form);
  }

  void RunStarts() override {
    context_->state.NetStarts();
    context_->gate.Begin();
  }

  void RunFinished(const caffe2::NetBase& net) override {
    const AtEnd stopped([&] { context_->state.NetStopped(); });
    if (!context_->is_ours()) return;
    context_->AwaitScans();
    for (const caffe2::Event* event : net.events()) {
      if (event->Query() == caffe2::EventStatus::EVENT_FAILED) return;
    }
    if (!context_->gate.End()) return;
    const uint64_t runs = context_->gate.runs();
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

  void NetGone() override {
    // Observers that are still on operators record nothing any more.
    context_->gate.Close();
    records_at_end_ = context_->is_ours() ? Records() : 0;
    bytes_at_end_ = bytes();
    static std::atomic<uint64_t> nets_gone{0};
    gone_order_ = ++nets_gone;
    net_ = nullptr;
    observer_ = nullptr;
    attached_.clear();
    attached_.shrink_to_fit();
    if (unsaved()) Log(dump(""));
  }

 private:
  struct RunCounts {
    uint64_t runs = 0;
    uint64_t recorded_runs = 0;
  };

  Status CheckOurs() const {
    if (context_->is_ours()) return Status::Ok();
    return Status::InvalidArgument(
        "what the observer of net '" + net_name() +
        "' measured belongs to the process that attached it; this one was "
        "forked from that: attach an observer here");
  }

  RunCounts Runs() const {
    return {context_->gate.runs(), context_->gate.recorded_runs()};
  }

  NetInfo Header() const {
    NetInfo info;
    info.net_name = Unshared(net_name());
    info.observer = Unshared(options_.label);
    info.net_hash = Unshared(net_hash_);
    info.options = options_.recording;
    Unshare(&info.options);
    info.runs = context_->gate.runs();
    info.recorded_runs = context_->gate.recorded_runs();
    info.samples = samples_;
    info.stopped = context_->gate.stopped();
    info.net_alive = net_ != nullptr;
    info.attached_at = attached_at_;
    if (!context_->is_ours()) return info;
    info.hosts = before_.hosts;
    Unshare(&info.hosts);
    const std::string host = HostName();
    if (!host.empty()) info.hosts.push_back(host);
    SortUnique(&info.hosts);
    info.forced = before_.forced;
    Unshare(&info.forced);
    std::lock_guard<std::mutex> lock(checkpoint_mutex_);
    info.checkpoint = checkpoint_;
    return info;
  }

  // Of the whole, from the operators'.
  void SetTimes(NetInfo* info) const {
    info->first_record = before_.first_record;
    info->last_record = before_.last_record;
    for (const OperatorInfo& op : info->operators) {
      if (op.first_record == TimePoint{}) continue;
      if (info->first_record == TimePoint{}) {
        info->first_record = op.first_record;
      }
      info->first_record = std::min(info->first_record, op.first_record);
      info->last_record = std::max(info->last_record, op.last_record);
    }
  }

  OperatorRecord* Find(int op_index) const {
    for (const auto& record : records_) {
      if (record->op_index() == op_index) return record.get();
    }
    return nullptr;
  }

  Status CheckGoOnFrom(const NetInfo& profile) const {
    if (Records() != 0) {
      return Status::InvalidArgument("the observer of net '" + net_name() +
                                     "' has recorded runs already, expected "
                                     "none before it goes on from a profile");
    }
    if (profile.net_hash != net_hash_) {
      return Status::InvalidArgument(
          "the profile is of a net with hash '" + profile.net_hash +
          "', expected '" + net_hash_ + "' of net '" + net_name() + "'");
    }
    RETURN_IF_ERROR(CompareOptions(profile.options, options_.recording));
    for (const OperatorInfo& op : profile.operators) {
      const OperatorRecord* record = Find(op.op_index);
      if (record == nullptr) {
        return Status::InvalidArgument(
            "the profile has an operator " + std::to_string(op.op_index) +
            ", which is not observed in net '" + net_name() + "'");
      }
      RETURN_IF_ERROR(op.step_index < 0 ? record->CheckGoOnFrom(op)
                                        : record->CheckAddStep(op));
    }
    return Status::Ok();
  }

  uint64_t Records() const {
    if (gone_order_ != 0) return records_at_end_;
    uint64_t sum = 0;
    for (const auto& record : records_) sum += record->records();
    return sum;
  }

  // Both under dump_mutex_.
  Status DumpTotals(const std::string& path, const DumpForm& form) {
    const uint64_t records = Records();
    RETURN_IF_ERROR(WriteDump(path, get_info(), form));
    if (path == options_.path) saved_records_ = records;
    return Status::Ok();
  }

  Status DumpAndReset(const std::string& path, const DumpForm& form) {
    NetInfo info = Header();
    const RunCounts runs = Runs();
    info.runs = runs.runs - at_commit_.runs;
    info.recorded_runs = runs.recorded_runs - at_commit_.recorded_runs;
    for (const auto& record : records_) record->Take();
    for (const auto& record : records_) record->AppendTaken(&info.operators);
    SetTimes(&info);
    const Status status = WriteDump(path, info, form);
    for (const auto& record : records_) {
      status.ok() ? record->Commit() : record->Rollback();
    }
    if (status.ok()) at_commit_ = runs;
    return status;
  }

  // A dump that nobody called for has nobody to return its error to. It is
  // logged once; what it would have written is still here.
  void Log(const Status& status) {
    if (status.ok()) return;
    context_->LogOnce(&logged_,
                      status.message() + "; what was measured is kept");
  }

  const std::shared_ptr<RecordContext> context_;
  const OutputMinMaxOptions& options_;  // the context's
  const std::string net_hash_;
  std::atomic<caffe2::NetBase*> net_;
  std::atomic<OutputMinMaxNetObserver*> observer_;
  const TimePoint attached_at_;
  std::vector<std::shared_ptr<OperatorRecord>> records_;
  std::vector<std::pair<caffe2::OperatorBase*,
                        const caffe2::ObserverBase<caffe2::OperatorBase>*>>
      attached_;
  NetInfo before_;  // the header of the profile it went on from
  std::atomic<uint64_t> samples_{0};
  mutable std::mutex checkpoint_mutex_;
  Checkpoint checkpoint_;
  std::atomic<uint64_t> saved_records_{0};  // that the file at path holds
  std::atomic<uint64_t> gone_order_{0};
  // What a net that is gone leaves, which does not change any more.
  std::atomic<uint64_t> records_at_end_{0};
  std::atomic<std::size_t> bytes_at_end_{0};
  std::atomic<bool> logged_{false};
  std::mutex dump_mutex_;  // one dump or reset at a time
  RunCounts at_commit_;    // at the last reset
};

}  // namespace

std::shared_ptr<NetRecord> NetRecord::Make(caffe2::NetBase* net,
                                           OutputMinMaxNetObserver* observer,
                                           OutputMinMaxOptions options) {
  return std::make_shared<Record>(net, observer, std::move(options));
}

}  // namespace caffe2_quantization
