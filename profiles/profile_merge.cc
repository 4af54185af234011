#include <algorithm>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "base/return_if_error.h"
#include "base/text.h"
#include "profiles/profile.h"
#include "profiles/profile_rules.h"

namespace caffe2_quantization {
namespace {

// A field that two profiles have with different values.
struct Difference {
  std::string field;
  std::string found;     // in `from`
  std::string expected;  // in `into`
};

class Differences {
 public:
  void Compare(const std::string& field, const std::string& found,
               const std::string& expected) {
    if (found != expected) all_.push_back({field, found, expected});
  }
  void Compare(const std::string& field, int64_t found, int64_t expected) {
    Compare(field, std::to_string(found), std::to_string(expected));
  }
  void Compare(const std::string& field, const std::vector<std::string>& found,
               const std::vector<std::string>& expected) {
    if (found != expected) {
      all_.push_back({field, ListText(found), ListText(expected)});
    }
  }

  bool empty() const { return all_.empty(); }

  std::string ToString() const {
    std::string text;
    for (const Difference& each : all_) {
      text += (text.empty() ? "" : "; ") + each.field + " is " +
              OrNothing(each.found) + ", expected " + OrNothing(each.expected);
    }
    return text;
  }

  // Every value met, so that the notes of many profiles do not depend on the
  // order in which they were merged.
  void AddNotes(std::vector<std::string>* forced) const {
    for (const Difference& each : all_) {
      forced->push_back(each.field + ": " + each.found);
      forced->push_back(each.field + ": " + each.expected);
    }
  }

 private:
  static std::string ListText(const std::vector<std::string>& names) {
    return "[" + Join(names) + "]";
  }
  static std::string OrNothing(const std::string& value) {
    return value.empty() ? "unknown" : value;
  }

  std::vector<Difference> all_;
};

using OperatorKey = std::tuple<int, std::vector<InnerStep>, int>;
using OutputKey = std::pair<int, std::string>;

OperatorKey KeyOf(const OperatorInfo& op) {
  return {op.op_index, op.inner, op.step_index};
}
OutputKey KeyOf(const OutputInfo& output) {
  return {output.output_index, output.tensor_name};
}

// Where each is. Keys are unique: CheckProfile() has seen to it.
template <typename Key, typename T>
std::map<Key, T*> ByKey(std::vector<T>* items) {
  std::map<Key, T*> found;
  for (T& item : *items) found[KeyOf(item)] = &item;
  return found;
}

void CompareOptions(const RecordingOptions& from, const RecordingOptions& into,
                    Differences* differences) {
  differences->Compare("options.histogram_bins", from.histogram_bins,
                       into.histogram_bins);
  differences->Compare("options.column_max_bins", from.column_max_bins,
                       into.column_max_bins);
  differences->Compare("options.column_max_blobs", from.column_max_blobs,
                       into.column_max_blobs);
  differences->Compare("options.op_types", from.op_types, into.op_types);
  differences->Compare("options.op_names", from.op_names, into.op_names);
  differences->Compare("options.outputs", from.outputs, into.outputs);
  differences->Compare("options.inputs", from.inputs, into.inputs);
  differences->Compare("options.every", from.every, into.every);
  differences->Compare("options.run_limit", from.run_limit, into.run_limit);
}

template <typename T>
void TakeSmaller(const T& from, T* into) {
  if (from < *into) *into = from;
}

void MergeOptionsOf(const RecordingOptions& from, RecordingOptions* into) {
  TakeSmaller(from.histogram_bins, &into->histogram_bins);
  TakeSmaller(from.column_max_bins, &into->column_max_bins);
  TakeSmaller(from.column_max_blobs, &into->column_max_blobs);
  TakeSmaller(from.op_types, &into->op_types);
  TakeSmaller(from.op_names, &into->op_names);
  TakeSmaller(from.outputs, &into->outputs);
  TakeSmaller(from.inputs, &into->inputs);
  TakeSmaller(from.every, &into->every);
  TakeSmaller(from.run_limit, &into->run_limit);
}

Status Add(const std::string& where, const char* field, uint64_t from,
           uint64_t* into) {
  if (from > std::numeric_limits<uint64_t>::max() - *into) {
    return Status::OutOfRange(
        where + ": " + field + " of " + std::to_string(*into) + " and " +
        std::to_string(from) + " would pass 2^64 - 1 together");
  }
  *into += from;
  return Status::Ok();
}

Status MergeHistogram(const std::string& where, const char* field,
                      const Histogram& from, Histogram* into) {
  // One that counted nothing fits any other.
  if (from.empty()) {
    if (into->empty() && from.max_bins() < into->max_bins()) *into = from;
    return Status::Ok();
  }
  if (into->empty()) {
    *into = from;
    return Status::Ok();
  }
  if (from.max_bins() != into->max_bins()) {
    return Status::InvalidArgument(
        where + ": " + field + " is of " + std::to_string(from.max_bins()) +
        " bins, expected " + std::to_string(into->max_bins()) +
        "; such histograms cannot be merged");
  }
  const Status status = into->Merge(from);
  if (status.ok()) return status;
  return Status::OutOfRange(where + ": " + field + ": " + status.message());
}

Status MergeValues(const std::string& where, const OutputValues& from,
                   OutputValues* into) {
  into->range.Merge(from.range);
  into->raw_range.Merge(from.raw_range);
  RETURN_IF_ERROR(
      MergeHistogram(where, "histogram", from.histogram, &into->histogram));
  for (std::size_t i = 0; i < from.column_max.size(); ++i) {
    if (i == into->column_max.size()) {
      into->column_max.push_back(from.column_max[i]);
      continue;
    }
    const std::string field = "column_max[" + std::to_string(i) + "]";
    RETURN_IF_ERROR(MergeHistogram(where, field.c_str(), from.column_max[i],
                                   &into->column_max[i]));
  }
  return Status::Ok();
}

Status MergeOutput(const std::string& where, const OutputInfo& from,
                   OutputInfo* into) {
  into->types.insert(into->types.end(), from.types.begin(), from.types.end());
  SortUnique(&into->types);
  into->shapes.Merge(from.shapes);
  RETURN_IF_ERROR(MergeValues(where, from.total, &into->total));
  const struct {
    const char* name;
    uint64_t OutputInfo::*field;
  } counters[] = {
      {"runs", &OutputInfo::runs},
      {"count", &OutputInfo::count},
      {"zero_count", &OutputInfo::zero_count},
      {"nan_count", &OutputInfo::nan_count},
      {"positive_infinity_count", &OutputInfo::positive_infinity_count},
      {"negative_infinity_count", &OutputInfo::negative_infinity_count},
      {"empty_runs", &OutputInfo::empty_runs},
      {"missing_runs", &OutputInfo::missing_runs},
      {"unsupported_runs", &OutputInfo::unsupported_runs},
      {"column_max_unsupported_runs", &OutputInfo::column_max_unsupported_runs},
  };
  for (const auto& [name, field] : counters) {
    RETURN_IF_ERROR(Add(where, name, from.*field, &(into->*field)));
  }
  return Status::Ok();
}

// Of outputs or of inputs.
template <typename Text>
Status MergeOutputs(const std::vector<OutputInfo>& from, const Text& text_of,
                    std::vector<OutputInfo>* into) {
  const auto outputs = ByKey<OutputKey>(into);
  std::vector<OutputInfo> added;
  for (const OutputInfo& output : from) {
    const auto match = outputs.find(KeyOf(output));
    if (match == outputs.end()) {
      added.push_back(output);
      continue;
    }
    RETURN_IF_ERROR(MergeOutput(text_of(output), output, match->second));
  }
  into->insert(into->end(), added.begin(), added.end());
  return Status::Ok();
}

Status MergeOperator(const OperatorInfo& from, OperatorInfo* into) {
  TakeSmaller(from.op_type, &into->op_type);
  return MergeOutputs(
      from.outputs,
      [&](const OutputInfo& output) { return OutputText(*into, output); },
      &into->outputs);
}

// `from` is canonical, `into` valid; the operators of both agree or are forced.
Status MergeOperators(const NetInfo& from, NetInfo* into) {
  const auto operators = ByKey<OperatorKey>(&into->operators);
  std::vector<OperatorInfo> added;
  for (const OperatorInfo& op : from.operators) {
    const auto match = operators.find(KeyOf(op));
    if (match == operators.end()) {
      added.push_back(op);
    } else {
      RETURN_IF_ERROR(MergeOperator(op, match->second));
    }
  }
  into->operators.insert(into->operators.end(), added.begin(), added.end());
  return Status::Ok();
}

void MergeProvenance(const NetInfo& from, NetInfo* into) {
  into->hosts.insert(into->hosts.end(), from.hosts.begin(), from.hosts.end());
  SortUnique(&into->hosts);
  const TimePoint none{};
  if (into->first_record == none ||
      (from.first_record != none && from.first_record < into->first_record)) {
    into->first_record = from.first_record;
  }
  if (into->last_record == none ||
      (from.last_record != none && from.last_record > into->last_record)) {
    into->last_record = from.last_record;
  }
}

Status MergeHeader(const NetInfo& from, NetInfo* into) {
  const std::string where = "header";
  RETURN_IF_ERROR(Add(where, "runs", from.runs, &into->runs));
  RETURN_IF_ERROR(
      Add(where, "recorded_runs", from.recorded_runs, &into->recorded_runs));
  RETURN_IF_ERROR(Add(where, "samples", from.samples, &into->samples));
  TakeSmaller(from.net_name, &into->net_name);
  TakeSmaller(from.observer, &into->observer);
  TakeSmaller(from.net_hash, &into->net_hash);
  MergeOptionsOf(from.options, &into->options);
  into->forced.insert(into->forced.end(), from.forced.begin(),
                      from.forced.end());
  SortUnique(&into->forced);
  MergeProvenance(from, into);
  return Status::Ok();
}

Differences Compare(const NetInfo& from, NetInfo* into) {
  Differences differences;
  differences.Compare("net_hash", from.net_hash, into->net_hash);
  CompareOptions(from.options, into->options, &differences);
  const auto operators = ByKey<OperatorKey>(&into->operators);
  for (const OperatorInfo& op : from.operators) {
    const auto match = operators.find(KeyOf(op));
    if (match == operators.end()) continue;
    differences.Compare(PlaceText(op) + ": op_type", op.op_type,
                        match->second->op_type);
  }
  return differences;
}

bool EndsIn(const std::string& text, const std::string& end) {
  return text.size() >= end.size() &&
         text.compare(text.size() - end.size(), end.size(), end) == 0;
}

ProfileSummary Summarise(const std::string& path, const NetInfo& info) {
  ProfileSummary summary;
  summary.path = path;
  summary.format_version = info.format_version;
  summary.net_name = info.net_name;
  summary.net_hash = info.net_hash;
  summary.runs = info.runs;
  summary.recorded_runs = info.recorded_runs;
  summary.samples = info.samples;
  summary.operators = info.operators.size();
  for (const OperatorInfo& op : info.operators) {
    summary.outputs += op.outputs.size();
  }
  summary.inputs = info.inputs.size();
  summary.hosts = info.hosts;
  summary.forced = info.forced;
  summary.first_record = ToIso8601(info.first_record);
  summary.last_record = ToIso8601(info.last_record);
  return summary;
}

}  // namespace

Status MergeProfile(const NetInfo& from, const MergeOptions& options,
                    NetInfo* into) {
  if (!from.checkpoint.settings.empty() || !into->checkpoint.settings.empty()) {
    return Status::InvalidArgument(
        "one of them is the checkpoint of an unfinished calibration; finish "
        "that first");
  }
  if (from.format_version != into->format_version) {
    return Status::InvalidArgument(
        "format_version is " + std::to_string(from.format_version) +
        ", expected " + std::to_string(into->format_version) +
        "; version 1 does not tell of external inputs and of all operators "
        "within others, so profiles of both are not merged, even by force");
  }
  const NetInfo source = CanonicalProfile(from);
  RETURN_IF_ERROR(CheckProfile(source));
  NetInfo target = CanonicalProfile(*into);
  RETURN_IF_ERROR(CheckProfile(target));
  const Differences differences = Compare(source, &target);
  if (!differences.empty() && !options.force) {
    return Status::InvalidArgument(differences.ToString());
  }
  NetInfo merged = *into;
  differences.AddNotes(&merged.forced);
  merged.options = target.options;
  RETURN_IF_ERROR(MergeHeader(source, &merged));
  RETURN_IF_ERROR(MergeOutputs(source.inputs, InputText, &merged.inputs));
  RETURN_IF_ERROR(MergeOperators(source, &merged));
  *into = std::move(merged);
  return Status::Ok();
}

Status MergeProfileFiles(const std::vector<std::string>& inputs,
                         const std::string& output, const MergeOptions& options,
                         std::vector<ProfileSummary>* summaries) {
  if (inputs.empty()) {
    return Status::InvalidArgument(
        "no profile to merge, expected one at least");
  }
  std::vector<ProfileSummary> made;
  NetInfo merged;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    NetInfo info;
    RETURN_IF_ERROR(ReadProfile(inputs[i], &info));
    if (!info.checkpoint.settings.empty()) {
      return Status::InvalidArgument(
          "'" + inputs[i] +
          "' is the checkpoint of an unfinished calibration; finish that "
          "first");
    }
    made.push_back(Summarise(inputs[i], info));
    if (i == 0) {
      merged = std::move(info);
      continue;
    }
    const Status status = MergeProfile(info, options, &merged);
    if (!status.ok()) {
      const std::string message = "cannot merge '" + inputs[i] + "' with '" +
                                  inputs[0] + (i > 1 ? "' and others" : "'") +
                                  ": " + status.message();
      return status.kind() == Status::Kind::kOutOfRange
                 ? Status::OutOfRange(message)
                 : Status::InvalidArgument(message);
    }
  }
  RETURN_IF_ERROR(WriteProfile(output, merged, EndsIn(output, ".json")));
  made.push_back(Summarise(output, merged));
  if (summaries != nullptr) *summaries = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
