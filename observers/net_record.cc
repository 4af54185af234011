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
#include "caffe2/core/workspace.h"
#include "netdef/data_inputs.h"
#include "netdef/net_hash.h"
#include "observers/dump.h"
#include "observers/inner_nets.h"
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

// The external inputs that the options choose.
std::vector<ExternalInput> InputsToRecord(const caffe2::NetBase& net,
                                          const RecordingOptions& options) {
  std::vector<ExternalInput> inputs;
  const auto operators = net.GetOperators();
  if (operators.empty() || !net.has_debug_def()) return inputs;
  caffe2::Workspace* workspace = WorkspaceOf(*operators[0]);
  if (workspace == nullptr) return inputs;
  for (const int index : RecordedInputs(net.debug_def(), options)) {
    const std::string& name = net.debug_def().external_input(index);
    if (!workspace->HasBlob(name)) continue;
    inputs.push_back({index, Unshared(name), workspace->GetBlob(name)});
  }
  return inputs;
}

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
      Observe(operators[i], static_cast<int>(i), {});
    }
    inputs_ = InputsToRecord(*net, options_.recording);
    if (!inputs_.empty()) {
      input_record_ = std::make_shared<OperatorRecord>(context_, inputs_);
    }
  }

  const std::string& net_name() const override { return context_->net_name; }
  const std::string& label() const override { return options_.label; }
  const std::string& path() const override { return options_.path; }
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
    for (const auto& record : All()) bytes += record->bytes();
    return bytes;
  }

  NetInfo get_info() const override {
    NetInfo info = Header();
    if (!context_->is_ours()) return info;
    for (const auto& record : records_) record->AppendInfos(&info.operators);
    if (input_record_ != nullptr) {
      info.inputs = input_record_->get_info().outputs;
    }
    SetTimes(&info);
    return info;
  }

  void reset() override {
    if (!context_->is_ours()) return;
    std::lock_guard<std::mutex> lock(dump_mutex_);
    for (const auto& record : All()) record->reset();
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
      OperatorRecord* record = Find(op);
      if (record->inner() == op.inner) {
        record->GoOnFrom(op);
      } else {
        record->AddWithin(op);
      }
    }
    if (input_record_ != nullptr) input_record_->GoOnFrom(InputsOf(profile));
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
    // Before an operator writes in their place.
    if (input_record_ != nullptr && context_->gate.open() &&
        context_->is_ours()) {
      input_record_->Record(inputs_);
    }
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

  // Observes an operator, and those of the nets that it holds. Its place is
  // that of OperatorInfo.
  void Observe(caffe2::OperatorBase* op, int op_index,
               const std::vector<InnerStep>& inner) {
    const bool own = Admits(options_.recording, *op);
    if (own || NetMadeInRuns(op->type()) != nullptr) {
      auto record =
          std::make_shared<OperatorRecord>(context_, *op, op_index, inner, own);
      attached_.emplace_back(
          op, op->AttachObserver(
                  std::make_unique<OutputMinMaxObserver>(op, record)));
      records_.push_back(std::move(record));
    } else if (inner.empty()) {
      attached_.emplace_back(
          op, op->AttachObserver(std::make_unique<RunWatcher>(op, context_)));
    }
    for (const InnerNet& net : InnerNetsOf(op)) {
      const auto operators = net.net->GetOperators();
      for (std::size_t i = 0; i < operators.size(); ++i) {
        std::vector<InnerStep> place = inner;
        place.push_back({net.argument, static_cast<int>(i)});
        Observe(operators[i], op_index, place);
      }
    }
  }

  // Of all operators, and of the inputs.
  std::vector<std::shared_ptr<OperatorRecord>> All() const {
    std::vector<std::shared_ptr<OperatorRecord>> all = records_;
    if (input_record_ != nullptr) all.push_back(input_record_);
    return all;
  }

  // The record of an operator, or of the nearest one that it is within.
  OperatorRecord* Find(const OperatorInfo& op) const {
    OperatorRecord* nearest = nullptr;
    for (const auto& record : records_) {
      const std::vector<InnerStep>& inner = record->inner();
      if (record->op_index() != op.op_index || inner.size() > op.inner.size() ||
          !std::equal(inner.begin(), inner.end(), op.inner.begin())) {
        continue;
      }
      if (nearest == nullptr || inner.size() > nearest->inner().size()) {
        nearest = record.get();
      }
    }
    return nearest;
  }

  // A profile's inputs as their record has them.
  static OperatorInfo InputsOf(const NetInfo& profile) {
    OperatorInfo info;
    info.outputs = profile.inputs;
    info.first_record = profile.first_record;
    info.last_record = profile.last_record;
    return info;
  }

  Status CheckInputs(const NetInfo& profile) const {
    const auto names = [](const auto& inputs, const auto& name_of) {
      std::string text;
      for (const auto& input : inputs) {
        text += (text.empty() ? "'" : ", '") + name_of(input) + "'";
      }
      return text.empty() ? std::string("none") : text;
    };
    const std::string found =
        names(profile.inputs, [](const OutputInfo& input) {
          return std::to_string(input.output_index) + " " + input.tensor_name;
        });
    const std::string expected = names(inputs_, [](const ExternalInput& input) {
      return std::to_string(input.index) + " " + input.name;
    });
    if (found == expected) return Status::Ok();
    return Status::InvalidArgument("the profile has the external inputs " +
                                   found + ", expected " + expected +
                                   " of net '" + net_name() + "'");
  }

  Status CheckGoOnFrom(const NetInfo& profile) const {
    if (Records() != 0) {
      return Status::InvalidArgument("the observer of net '" + net_name() +
                                     "' has recorded runs already, expected "
                                     "none before it goes on from a profile");
    }
    if (profile.format_version != kProfileFormatVersion) {
      return Status::InvalidArgument("the profile is of format version " +
                                     std::to_string(profile.format_version) +
                                     ", expected " +
                                     std::to_string(kProfileFormatVersion) +
                                     ": it lacks what is recorded now");
    }
    if (profile.net_hash != net_hash_) {
      return Status::InvalidArgument(
          "the profile is of a net with hash '" + profile.net_hash +
          "', expected '" + net_hash_ + "' of net '" + net_name() + "'");
    }
    RETURN_IF_ERROR(CompareOptions(profile.options, options_.recording));
    RETURN_IF_ERROR(CheckInputs(profile));
    for (const OperatorInfo& op : profile.operators) {
      const OperatorRecord* record = Find(op);
      if (record == nullptr) {
        return Status::InvalidArgument(
            "the profile has an operator " + PathText(op) +
            ", which is not observed in net '" + net_name() + "'");
      }
      RETURN_IF_ERROR(record->inner() == op.inner ? record->CheckGoOnFrom(op)
                                                  : record->CheckAddWithin(op));
    }
    return Status::Ok();
  }

  uint64_t Records() const {
    if (gone_order_ != 0) return records_at_end_;
    uint64_t sum = 0;
    for (const auto& record : All()) sum += record->records();
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
    for (const auto& record : All()) record->Take();
    for (const auto& record : records_) record->AppendTaken(&info.operators);
    if (input_record_ != nullptr) {
      std::vector<OperatorInfo> inputs;
      input_record_->AppendTaken(&inputs);
      info.inputs = std::move(inputs[0].outputs);
    }
    SetTimes(&info);
    const Status status = WriteDump(path, info, form);
    for (const auto& record : All()) {
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
  // Of the net's operators, each followed by those of the nets that it holds.
  std::vector<std::shared_ptr<OperatorRecord>> records_;
  std::vector<ExternalInput> inputs_;
  std::shared_ptr<OperatorRecord> input_record_;  // null without inputs
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
