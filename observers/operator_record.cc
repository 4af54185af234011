#include "observers/operator_record.h"

#include <fnmatch.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include "base/exact_floating_point.h"
#include "caffe2/core/logging.h"
#include "observers/inner_nets.h"
#include "observers/unshared.h"

namespace caffe2_quantization {
namespace {

// Sets *text when it changes: that is once for most outputs.
bool SetName(c10::string_view name, std::string* text) {
  if (*text == name) return false;
  *text = std::string(name.data(), name.size());
  return true;
}

void AddSorted(const std::string& name, std::vector<std::string>* names) {
  const auto at = std::lower_bound(names->begin(), names->end(), name);
  if (at == names->end() || *at != name) names->insert(at, name);
}

bool MatchesAny(const std::vector<std::string>& patterns,
                const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) {
                       return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
                     });
}

std::string NameOf(const caffe2::OperatorBase& op) {
  return op.has_debug_def() ? Unshared(op.debug_def().name()) : "";
}

OutputCounts CountsOf(const OutputInfo& info) {
  OutputCounts counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    counts[i] = info.*kOutputCounts[i];
  }
  return counts;
}

}  // namespace

void RunGate::Begin() {
  const bool chosen = runs_ % static_cast<uint64_t>(every_) == 0;
  chosen ? closed_ &= ~kSkipped : closed_ |= kSkipped;
}

bool RunGate::End() {
  const unsigned closed = closed_;
  if ((closed & ~kSkipped) != 0) return false;
  ++runs_;
  if ((closed & kSkipped) == 0) {
    ++recorded_runs_;
    if (LimitReached()) closed_ |= kLimit;
  }
  return true;
}

void RunGate::Restart(uint64_t runs, uint64_t recorded_runs) {
  runs_ = runs;
  recorded_runs_ = recorded_runs;
  if (LimitReached()) closed_ |= kLimit;
}

bool RunGate::LimitReached() const {
  return limit_ > 0 && recorded_runs_ >= static_cast<uint64_t>(limit_);
}

void RecordContext::Call(const OutputRecord& record) {
  std::string error;
  try {
    if (options.on_record) options.on_record(record);
    if (HasRecordCallbacks()) CallRecordCallbacks(record);
    return;
  } catch (const std::exception& thrown) {
    error = thrown.what();
  } catch (...) {
    error = "an exception of unknown type";
  }
  LogOnce(&callback_logged, "a record callback threw: " + error);
}

void RecordContext::LogOnce(std::atomic<bool>* logged,
                            const std::string& message) const {
  if (logged->exchange(true)) return;
  LOG(ERROR) << "Observer of net '" << net_name << "': " << message;
}

bool Admits(const RecordingOptions& options, const caffe2::OperatorBase& op) {
  return Admits(options, op.type(),
                op.has_debug_def() ? &op.debug_def() : nullptr);
}

bool Admits(const RecordingOptions& options, const std::string& type,
            const caffe2::OperatorDef* definition) {
  if (!options.op_types.empty() && !MatchesAny(options.op_types, type)) {
    return false;
  }
  if (options.op_names.empty() && options.outputs.empty()) return true;
  if (definition == nullptr) return false;
  if (!options.op_names.empty() &&
      !MatchesAny(options.op_names, definition->name())) {
    return false;
  }
  const auto& names = definition->output();
  return options.outputs.empty() ||
         std::any_of(names.begin(), names.end(), [&](const std::string& name) {
           return MatchesAny(options.outputs, name);
         });
}

OperatorRecord::OperatorRecord(std::shared_ptr<RecordContext> context,
                               const caffe2::OperatorBase& op, int op_index,
                               std::vector<InnerStep> inner, bool own)
    : context_(std::move(context)),
      op_index_(op_index),
      inner_(std::move(inner)),
      own_(own),
      op_type_(Unshared(op.type())),
      op_name_(NameOf(op)),
      outputs_(static_cast<std::size_t>(op.OutputSize())) {
  const auto& blobs = context_->options.recording.column_max_blobs;
  for (int i = 0; i < op.OutputSize(); ++i) {
    Output& output = outputs_[static_cast<std::size_t>(i)];
    output.info.output_index = i;
    output.info.tensor_name = op.has_debug_def()
                                  ? Unshared(op.debug_def().output(i))
                                  : "output" + std::to_string(i);
    output.column_max =
        std::binary_search(blobs.begin(), blobs.end(), output.info.tensor_name);
    output.info.values = output.before = NewValues();
  }
}

OperatorRecord::OperatorRecord(std::shared_ptr<RecordContext> context,
                               const OperatorInfo& info)
    : context_(std::move(context)),
      op_index_(info.op_index),
      inner_(info.inner),
      own_(true),
      op_type_(Unshared(info.op_type)),
      outputs_(info.outputs.size()) {
  const auto& blobs = context_->options.recording.column_max_blobs;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    output.info.output_index = info.outputs[i].output_index;
    output.info.tensor_name = Unshared(info.outputs[i].tensor_name);
    output.column_max =
        std::binary_search(blobs.begin(), blobs.end(), output.info.tensor_name);
    output.info.values = output.before = NewValues();
  }
}

OperatorRecord::OperatorRecord(std::shared_ptr<RecordContext> context,
                               const std::vector<ExternalInput>& inputs)
    : context_(std::move(context)),
      op_index_(-1),
      own_(true),
      outputs_(inputs.size()) {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    output.info.output_index = inputs[i].index;
    output.info.tensor_name = Unshared(inputs[i].name);
    output.info.values = output.before = NewValues();
  }
}

OutputValues OperatorRecord::NewValues() const {
  OutputValues values;
  const int bins = context_->options.recording.histogram_bins;
  if (bins > 0) values.histogram = Histogram(bins);
  return values;
}

void OperatorRecord::Record(caffe2::OperatorBase* op) {
  if (!own_) return;
  // An operator that goes on after its run has not filled its outputs yet, and
  // one of the new kind has no blobs.
  if (op->HasAsyncPart() || !op->isLegacyOperator()) return;
  c10::SmallVector<const caffe2::Blob*, 4> blobs;
  for (int i = 0; i < op->OutputSize(); ++i) {
    blobs.push_back(op->OutputBlob(i));
  }
  Record(blobs, op);
}

void OperatorRecord::Record(const std::vector<ExternalInput>& inputs) {
  c10::SmallVector<const caffe2::Blob*, 4> blobs;
  for (const ExternalInput& input : inputs) blobs.push_back(input.blob);
  Record(blobs, /*op=*/nullptr);
}

void OperatorRecord::Record(
    const c10::SmallVector<const caffe2::Blob*, 4>& blobs,
    const caffe2::OperatorBase* op) {
  const ExactFloatingPoint exact;
  const RecordingOptions& options = context_->options.recording;
  const std::size_t size = std::min(outputs_.size(), blobs.size());
  const bool histograms = options.histogram_bins > 0;
  // The passes over memory take the time. Without a histogram to fill they need
  // no lock.
  c10::SmallVector<TensorScan, 4> scans(size);
  std::vector<std::optional<ColumnMaxima>> maxima;
  for (std::size_t i = 0; i < size; ++i) {
    if (!histograms) scans[i] = ScanBlob(blobs[i]);
    if (!outputs_[i].column_max) continue;
    maxima.resize(size);
    ColumnMaxima found;
    if (found.Scan(blobs[i])) maxima[i] = std::move(found);
  }
  std::vector<OutputRecord> heard;
  const bool has_listeners = op != nullptr && context_->has_listeners();
  const TimePoint now = context_->Now();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // Of one that a profile brought, only now.
    if (op != nullptr && op_name_.empty()) op_name_ = NameOf(*op);
    const uint64_t run = ++records_;
    if (first_record_ == TimePoint{}) first_record_ = now;
    last_record_ = now;
    for (std::size_t i = 0; i < size; ++i) {
      Output& output = outputs_[i];
      if (histograms) {
        scans[i] = ScanBlob(blobs[i], &output.info.values.histogram);
      }
      Add(blobs[i], scans[i], &output);
      if (output.column_max && scans[i].kind != TensorScan::Kind::kMissing) {
        AddColumnMaxima(maxima[i].has_value() ? &*maxima[i] : nullptr, &output);
      }
      if (has_listeners) heard.push_back(Heard(output, scans[i], run));
    }
  }
  context_->scans.fetch_add(1, std::memory_order_release);
  for (const OutputRecord& record : heard) context_->Call(record);
}

// Under mutex_.
void OperatorRecord::Add(const caffe2::Blob* blob, const TensorScan& scan,
                         Output* output) {
  OutputInfo& info = output->info;
  if (scan.kind == TensorScan::Kind::kMissing) {
    ++info.missing_runs;
    return;
  }
  if (SetName(TypeNameOf(blob), &info.type_name)) {
    AddSorted(info.type_name, &info.types);
  }
  // Most runs have the shape of the one before, which is in the set.
  if (ShapeOf(blob, &output->shape) &&
      (output->shape != info.shape || info.shapes.shapes().empty())) {
    info.shape = output->shape;
    info.shapes.Add(info.shape);
  }
  if (scan.kind == TensorScan::Kind::kUnsupported) {
    ++info.unsupported_runs;
    return;
  }
  ++info.runs;
  if (scan.count == 0) ++info.empty_runs;
  info.values.range.Merge(scan.range);
  info.values.raw_range.Merge(scan.raw_range);
  info.AddCounts(scan);
}

// Under mutex_.
void OperatorRecord::AddColumnMaxima(const ColumnMaxima* maxima,
                                     Output* output) {
  OutputInfo& info = output->info;
  if (maxima != nullptr) {
    maxima->AddTo(context_->options.recording.column_max_bins,
                  &info.values.column_max);
    return;
  }
  ++info.column_max_unsupported_runs;
  context_->LogOnce(&context_->column_max_logged,
                    "no column maxima of output '" + info.tensor_name +
                        "', expected numbers in two dimensions, " +
                        std::to_string(ColumnMaxima::kMaxColumns) +
                        " columns at most");
}

OutputRecord OperatorRecord::Heard(const Output& output, const TensorScan& scan,
                                   uint64_t run) const {
  OutputRecord record;
  record.net_name = Unshared(context_->net_name);
  record.observer = Unshared(context_->options.label);
  record.op_index = op_index_;
  record.path = PathText(op_index_, inner_);
  record.step_index = StepIndexOf(inner_);
  record.op_type = Unshared(op_type_);
  record.op_name = Unshared(op_name_);
  record.output_index = output.info.output_index;
  record.tensor_name = Unshared(output.info.tensor_name);
  if (scan.kind != TensorScan::Kind::kMissing) {
    record.type_name = Unshared(output.info.type_name);
    record.shape = output.info.shape;
  }
  record.range = scan.range;
  record.raw_range = scan.raw_range;
  record.counts() = scan.counts();
  record.run = run;
  return record;
}

// ---- Values, and what was before them ---------------------------------------

void OperatorRecord::Merge(const OutputValues& from, OutputValues* into) const {
  const ExactFloatingPoint exact;
  const Status status = into->Merge(from);
  if (status.ok()) return;
  context_->LogOnce(&context_->overflow_logged, status.message());
}

// Under mutex_.
OutputInfo OperatorRecord::InfoOf(const Output& output) const {
  OutputInfo info = output.info;
  Unshare(&info);
  if (is_taken_) Merge(output.taken, &info.values);
  info.total = output.before;
  Merge(info.values, &info.total);
  return info;
}

OperatorInfo OperatorRecord::Header() const {
  OperatorInfo info;
  info.op_index = op_index_;
  info.inner = inner_;
  info.op_type = Unshared(op_type_);
  if (!context_->is_ours()) return info;
  info.op_name = Unshared(op_name_);
  info.first_record = first_record_;
  info.last_record = last_record_;
  return info;
}

OperatorInfo OperatorRecord::get_info() const {
  if (!context_->is_ours()) return Header();
  std::lock_guard<std::mutex> lock(mutex_);
  OperatorInfo info = Header();
  for (const Output& output : outputs_) {
    info.outputs.push_back(InfoOf(output));
  }
  return info;
}

void OperatorRecord::AppendInfos(std::vector<OperatorInfo>* infos) const {
  if (own_) infos->push_back(get_info());
  for (const auto& each : AllWithin()) each->AppendInfos(infos);
}

void OperatorRecord::AppendTaken(std::vector<OperatorInfo>* infos) const {
  if (own_) {
    std::lock_guard<std::mutex> lock(mutex_);
    OperatorInfo info = Header();
    for (const Output& output : outputs_) {
      OutputInfo taken = output.info;
      Unshare(&taken);
      taken.values = taken.total = output.taken;
      for (std::size_t i = 0; i < kOutputCounts.size(); ++i) {
        taken.*kOutputCounts[i] = output.at_take[i] - output.at_commit[i];
      }
      info.outputs.push_back(std::move(taken));
    }
    infos->push_back(std::move(info));
  }
  for (const auto& each : AllWithin()) each->AppendTaken(infos);
}

void OperatorRecord::Take() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Output& output : outputs_) {
      output.taken = std::exchange(output.info.values, NewValues());
      output.at_take = CountsOf(output.info);
    }
    is_taken_ = true;
  }
  for (const auto& each : AllWithin()) each->Take();
}

void OperatorRecord::Commit() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // One within that came after Take() has nothing set aside.
    for (Output& output : outputs_) {
      if (!is_taken_) break;
      Merge(output.taken, &output.before);
      output.taken = OutputValues();
      output.at_commit = output.at_take;
    }
    is_taken_ = false;
  }
  for (const auto& each : AllWithin()) each->Commit();
}

void OperatorRecord::Rollback() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Output& output : outputs_) {
      if (!is_taken_) break;
      Merge(output.info.values, &output.taken);
      output.info.values = std::exchange(output.taken, OutputValues());
    }
    is_taken_ = false;
  }
  for (const auto& each : AllWithin()) each->Rollback();
}

void OperatorRecord::reset() {
  if (!context_->is_ours()) return;
  Take();
  Commit();
}

uint64_t OperatorRecord::records() const {
  uint64_t sum = records_;
  for (const auto& each : AllWithin()) sum += each->records();
  return sum;
}

std::size_t OperatorRecord::bytes() const {
  const auto of_values = [](const OutputValues& values) {
    std::size_t bytes = values.histogram.counts().capacity() * sizeof(uint64_t);
    for (const Histogram& histogram : values.column_max) {
      bytes +=
          sizeof(histogram) + histogram.counts().capacity() * sizeof(uint64_t);
    }
    return bytes;
  };
  std::size_t bytes = sizeof(*this);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const Output& output : outputs_) {
      bytes += sizeof(output) + output.info.tensor_name.capacity();
      for (const OutputValues* values :
           {&output.info.values, &output.taken, &output.before}) {
        bytes += of_values(*values);
      }
    }
  }
  for (const auto& each : AllWithin()) bytes += each->bytes();
  return bytes;
}

// ---- Operators within -------------------------------------------------------

std::vector<std::shared_ptr<OperatorRecord>> OperatorRecord::AllWithin() const {
  std::lock_guard<std::mutex> lock(within_mutex_);
  std::vector<std::shared_ptr<OperatorRecord>> all;
  for (const auto& [inner, record] : within_) {
    if (record != nullptr) all.push_back(record);
  }
  return all;
}

std::shared_ptr<OperatorRecord> OperatorRecord::Within(
    const caffe2::OperatorBase& op, const std::vector<InnerStep>& inner) {
  std::lock_guard<std::mutex> lock(within_mutex_);
  const auto [found, added] = within_.try_emplace(inner);
  if (added && Admits(context_->options.recording, op)) {
    std::vector<InnerStep> whole = inner_;
    whole.insert(whole.end(), inner.begin(), inner.end());
    found->second = std::make_shared<OperatorRecord>(
        context_, op, op_index_, std::move(whole), /*own=*/true);
  }
  return found->second;
}

void OperatorRecord::LogNoSteps() const {
  context_->LogOnce(
      &context_->no_steps_logged,
      "operator " + PathText(op_index_, inner_) + " (" + op_type_ +
          ") ran a net whose operators are not recorded for it: it was made "
          "before the observer was attached, or by another operator; attach "
          "the "
          "observer before the first run");
}

// ---- Going on from a profile ------------------------------------------------

Status OperatorRecord::CheckGoOnFrom(const OperatorInfo& info) const {
  const std::string where = "operator " + PathText(info);
  if (!own_ || info.op_type != op_type_ ||
      info.outputs.size() != outputs_.size()) {
    return Status::InvalidArgument(
        "the profile's " + where + " is a '" + info.op_type + "' with " +
        std::to_string(info.outputs.size()) + " outputs, expected a '" +
        (own_ ? op_type_ : std::string()) + "' with " +
        std::to_string(outputs_.size()));
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const std::string& name = outputs_[i].info.tensor_name;
    if (info.outputs[i].tensor_name == name) continue;
    return Status::InvalidArgument(
        "output " + std::to_string(i) + " of the profile's " + where + " is '" +
        info.outputs[i].tensor_name + "', expected '" + name + "'");
  }
  return Status::Ok();
}

void OperatorRecord::GoOnFrom(const OperatorInfo& info) {
  std::lock_guard<std::mutex> lock(mutex_);
  first_record_ = info.first_record;
  last_record_ = info.last_record;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const OutputInfo& from = info.outputs[i];
    Output& output = outputs_[i];
    output.before = from.total;
    // An empty one does not always say how many bins it would have.
    if (from.total.histogram.empty()) {
      output.before.histogram = NewValues().histogram;
    }
    output.info.types = from.types;
    Unshare(&output.info.types);
    output.info.shapes = from.shapes;
    for (const auto count : kOutputCounts) output.info.*count = from.*count;
    output.at_commit = CountsOf(output.info);
  }
}

Status OperatorRecord::CheckAddWithin(const OperatorInfo& info) const {
  const char* argument = NetMadeInRuns(op_type_);
  if (argument != nullptr && info.inner[inner_.size()].argument == argument) {
    return Status::Ok();
  }
  return Status::InvalidArgument(
      "the profile has an operator " + PathText(info) + ", but operator " +
      PathText(op_index_, inner_) + " is a '" + op_type_ +
      "', expected one that has such a net");
}

void OperatorRecord::AddWithin(const OperatorInfo& info) {
  auto record = std::make_shared<OperatorRecord>(context_, info);
  record->GoOnFrom(info);
  const auto begin =
      info.inner.begin() + static_cast<std::ptrdiff_t>(inner_.size());
  std::lock_guard<std::mutex> lock(within_mutex_);
  within_[{begin, info.inner.end()}] = std::move(record);
}

}  // namespace caffe2_quantization
