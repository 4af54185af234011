#include "profiles/profile_rules.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/return_if_error.h"
#include "base/utf8_text.h"

namespace caffe2_quantization {
namespace {

constexpr uint64_t kMaxCount = std::numeric_limits<uint64_t>::max();

std::tuple<int, const std::vector<InnerStep>&, int> Key(
    const OperatorInfo& op) {
  return {op.op_index, op.inner, op.step_index};
}

std::tuple<int, const std::string&> Key(const OutputInfo& output) {
  return {output.output_index, output.tensor_name};
}

template <typename T>
void SortByKey(std::vector<T>* items) {
  std::stable_sort(items->begin(), items->end(),
                   [](const T& a, const T& b) { return Key(a) < Key(b); });
}

OutputValues CanonicalValues(const OutputValues& values) {
  OutputValues kept = values;
  // How many bins it would have had is no fact about what was seen.
  if (kept.histogram.empty()) kept.histogram = Histogram();
  return kept;
}

OutputInfo CanonicalOutput(const OutputInfo& output) {
  OutputInfo kept;
  kept.output_index = output.output_index;
  kept.tensor_name = output.tensor_name;
  kept.types = output.types;
  SortUnique(&kept.types);
  kept.shapes = output.shapes;
  kept.total = CanonicalValues(output.total);
  kept.runs = output.runs;
  kept.counts() = output.counts();
  kept.empty_runs = output.empty_runs;
  kept.missing_runs = output.missing_runs;
  kept.unsupported_runs = output.unsupported_runs;
  kept.column_max_unsupported_runs = output.column_max_unsupported_runs;
  return kept;
}

std::vector<OutputInfo> CanonicalOutputs(
    const std::vector<OutputInfo>& outputs) {
  std::vector<OutputInfo> kept;
  kept.reserve(outputs.size());
  for (const OutputInfo& output : outputs) {
    kept.push_back(CanonicalOutput(output));
  }
  SortByKey(&kept);
  return kept;
}

Status Wrong(const std::string& where, const std::string& what) {
  return Status::Corruption(where + ": " + what);
}

// For a message: a hostile name may be as long as a file.
std::string Shortened(const std::string& name) {
  constexpr std::size_t kLongest = 200;
  return name.size() <= kLongest ? name : name.substr(0, kLongest) + "...";
}

Status CheckSorted(const std::string& where, const char* list,
                   const std::vector<std::string>& names) {
  for (std::size_t i = 1; i < names.size(); ++i) {
    if (names[i - 1] < names[i]) continue;
    return Wrong(where, std::string(list) + " has '" + Shortened(names[i]) +
                            "' after '" + Shortened(names[i - 1]) +
                            "', expected sorted, each once");
  }
  return Status::Ok();
}

Status CheckAtLeast(const std::string& where, const char* field, int64_t value,
                    int64_t least) {
  if (value >= least) return Status::Ok();
  return Wrong(where, std::string(field) + " is " + std::to_string(value) +
                          ", expected " + std::to_string(least) + " at least");
}

Status CheckAtMost(const std::string& where, const char* field, uint64_t value,
                   const char* of, uint64_t most) {
  if (value <= most) return Status::Ok();
  return Wrong(where, std::string(field) + " is " + std::to_string(value) +
                          ", expected " + std::to_string(most) + " at most (" +
                          of + ")");
}

// False when the sum passes 2^64 - 1.
bool AddTo(uint64_t* sum, uint64_t value) {
  if (value > kMaxCount - *sum) return false;
  *sum += value;
  return true;
}

Status CheckShapes(const std::string& where, const ShapeSet& set) {
  const auto& shapes = set.shapes();
  if (set.more() && shapes.size() != ShapeSet::kMaxShapes) {
    return Wrong(
        where, "more_shapes is true with " + std::to_string(shapes.size()) +
                   " shapes, expected " + std::to_string(ShapeSet::kMaxShapes));
  }
  for (const std::vector<int64_t>& shape : shapes) {
    // The product of the dims above 0 fits 63 bits.
    int64_t room = std::numeric_limits<int64_t>::max();
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const std::string field = "shapes: dims[" + std::to_string(i) + "]";
      RETURN_IF_ERROR(CheckAtLeast(where, field.c_str(), shape[i], 0));
      if (shape[i] > room) {
        return Wrong(where, field + " is " + std::to_string(shape[i]) +
                                ", expected a product of dims below 2^63");
      }
      if (shape[i] > 0) room /= shape[i];
    }
  }
  return Status::Ok();
}

Status CheckOutput(const std::string& where, const OutputInfo& output) {
  RETURN_IF_ERROR(CheckAtLeast(where, "output_index", output.output_index, 0));
  RETURN_IF_ERROR(CheckSorted(where, "types", output.types));
  RETURN_IF_ERROR(CheckShapes(where, output.shapes));
  RETURN_IF_ERROR(
      CheckAtMost(where, "empty_runs", output.empty_runs, "runs", output.runs));
  if (output.runs == 0 && output.count != 0) {
    return Wrong(where, "count is " + std::to_string(output.count) +
                            " with 0 runs, expected 0");
  }

  uint64_t not_finite = 0;
  const bool fits = AddTo(&not_finite, output.nan_count) &&
                    AddTo(&not_finite, output.positive_infinity_count) &&
                    AddTo(&not_finite, output.negative_infinity_count);
  uint64_t counted = not_finite;
  if (!fits || !AddTo(&counted, output.zero_count) || counted > output.count) {
    return Wrong(where,
                 "zeros, NaN and infinities are more than count, which is " +
                     std::to_string(output.count));
  }
  const uint64_t finite = output.count - not_finite;

  const OutputValues& total = output.total;
  if (finite == 0 && !(total.range.empty() && total.raw_range.empty())) {
    return Wrong(where, "a range with no finite value counted");
  }
  if (total.range.empty() && !total.histogram.empty()) {
    return Wrong(where, "a histogram with no range");
  }
  RETURN_IF_ERROR(CheckAtMost(where, "the sum of histogram.counts",
                              total.histogram.total(), "finite values",
                              finite));
  for (std::size_t i = 0; i < total.column_max.size(); ++i) {
    const std::string field =
        "the sum of column_max[" + std::to_string(i) + "].counts";
    RETURN_IF_ERROR(CheckAtMost(where, field.c_str(),
                                total.column_max[i].total(), "runs",
                                output.runs));
  }
  return Status::Ok();
}

// Of outputs or of inputs: sorted, each once, and each as it may be.
template <typename Text>
Status CheckOutputs(const std::vector<OutputInfo>& outputs, const char* kind,
                    const Text& text_of) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string what = text_of(outputs[i]);
    if (i > 0 && !(Key(outputs[i - 1]) < Key(outputs[i]))) {
      return Wrong(what, std::string("stands after ") + kind + " " +
                             std::to_string(outputs[i - 1].output_index) +
                             " '" + Shortened(outputs[i - 1].tensor_name) +
                             "', expected sorted, each once");
    }
    RETURN_IF_ERROR(CheckOutput(what, outputs[i]));
  }
  return Status::Ok();
}

// Where an operator is, in the way of the format version.
Status CheckPlace(const OperatorInfo& op, uint32_t version) {
  const std::string where = OperatorText(op);
  RETURN_IF_ERROR(CheckAtLeast(where, "op_index", op.op_index, 0));
  if (version == 1) {
    RETURN_IF_ERROR(CheckAtLeast(where, "step_index", op.step_index, -1));
    if (op.inner.empty()) return Status::Ok();
    return Wrong(where, "is within a net, expected none in format version 1");
  }
  if (op.step_index != -1) {
    return Wrong(where, "step_index is " + std::to_string(op.step_index) +
                            ", expected -1 in format version " +
                            std::to_string(version));
  }
  if (op.inner.size() > kMaxInnerSteps) {
    return Wrong(where, "is within " + std::to_string(op.inner.size()) +
                            " nets, expected " +
                            std::to_string(kMaxInnerSteps) + " at most");
  }
  for (const InnerStep& step : op.inner) {
    RETURN_IF_ERROR(CheckAtLeast(where, "op_index", step.op_index, 0));
    if (IsPathArgument(step.argument)) continue;
    return Wrong(where, "argument '" + Shortened(step.argument) +
                            "', expected letters, digits and '_'");
  }
  return Status::Ok();
}

Status CheckOperator(const OperatorInfo& op, uint32_t version) {
  RETURN_IF_ERROR(CheckPlace(op, version));
  return CheckOutputs(op.outputs, "output", [&](const OutputInfo& output) {
    return OutputText(op, output);
  });
}

// Version 1 knows no external inputs.
Status CheckInputs(const NetInfo& info) {
  if (info.format_version == 1 &&
      !(info.inputs.empty() && info.options.inputs.empty())) {
    return Wrong("header",
                 "has external inputs, expected none in format version 1");
  }
  return CheckOutputs(info.inputs, "input", InputText);
}

Status CheckOptions(const RecordingOptions& options) {
  const std::string where = "options";
  const auto most = static_cast<uint64_t>(Histogram::kLargestMaxBins);
  for (const auto& [field, bins] :
       {std::make_pair("histogram_bins", options.histogram_bins),
        std::make_pair("column_max_bins", options.column_max_bins)}) {
    RETURN_IF_ERROR(CheckAtLeast(where, field, bins, 0));
    RETURN_IF_ERROR(CheckAtMost(where, field, static_cast<uint64_t>(bins),
                                "of any histogram", most));
  }
  RETURN_IF_ERROR(CheckAtLeast(where, "every", options.every, 1));
  RETURN_IF_ERROR(CheckAtLeast(where, "run_limit", options.run_limit, 0));
  RETURN_IF_ERROR(
      CheckSorted(where, "column_max_blobs", options.column_max_blobs));
  RETURN_IF_ERROR(CheckSorted(where, "op_types", options.op_types));
  RETURN_IF_ERROR(CheckSorted(where, "op_names", options.op_names));
  RETURN_IF_ERROR(CheckSorted(where, "inputs", options.inputs));
  return CheckSorted(where, "outputs", options.outputs);
}

Status CheckHash(const std::string& hash) {
  const bool digits =
      hash.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (hash.empty() || (hash.size() == 32 && digits)) return Status::Ok();
  return Wrong("header", "net_hash is '" + hash.substr(0, 64) +
                             "', expected 32 hexadecimal digits");
}

void ReplaceInvalidUtf8(std::string* text) { *text = ValidUtf8(*text); }

void ReplaceInvalidUtf8(std::vector<std::string>* texts) {
  for (std::string& text : *texts) ReplaceInvalidUtf8(&text);
}

}  // namespace

void ReplaceInvalidUtf8(NetInfo* info) {
  ReplaceInvalidUtf8(&info->net_name);
  ReplaceInvalidUtf8(&info->observer);
  ReplaceInvalidUtf8(&info->options.column_max_blobs);
  ReplaceInvalidUtf8(&info->options.op_types);
  ReplaceInvalidUtf8(&info->options.op_names);
  ReplaceInvalidUtf8(&info->options.outputs);
  ReplaceInvalidUtf8(&info->options.inputs);
  ReplaceInvalidUtf8(&info->hosts);
  ReplaceInvalidUtf8(&info->forced);
  std::map<std::string, std::string> settings;
  for (const auto& setting : info->checkpoint.settings) {
    std::string name = setting.first, value = setting.second;
    ReplaceInvalidUtf8(&name);
    ReplaceInvalidUtf8(&value);
    settings[name] = value;
  }
  info->checkpoint.settings = std::move(settings);
  const auto replace = [](std::vector<OutputInfo>* outputs) {
    for (OutputInfo& output : *outputs) {
      ReplaceInvalidUtf8(&output.tensor_name);
      ReplaceInvalidUtf8(&output.types);
    }
  };
  replace(&info->inputs);
  for (OperatorInfo& op : info->operators) {
    ReplaceInvalidUtf8(&op.op_type);
    replace(&op.outputs);
  }
}

void SortUnique(std::vector<std::string>* names) {
  std::sort(names->begin(), names->end());
  names->erase(std::unique(names->begin(), names->end()), names->end());
}

NetInfo CanonicalProfile(const NetInfo& info) {
  NetInfo kept;
  kept.format_version = info.format_version;
  kept.net_name = info.net_name;
  kept.observer = info.observer;
  kept.net_hash = info.net_hash;
  kept.options = info.options;
  SortUnique(&kept.options.column_max_blobs);
  SortUnique(&kept.options.op_types);
  SortUnique(&kept.options.op_names);
  SortUnique(&kept.options.outputs);
  SortUnique(&kept.options.inputs);
  kept.runs = info.runs;
  kept.recorded_runs = info.recorded_runs;
  kept.samples = info.samples;
  kept.hosts = info.hosts;
  SortUnique(&kept.hosts);
  kept.forced = info.forced;
  SortUnique(&kept.forced);
  kept.first_record = info.first_record;
  kept.last_record = info.last_record;
  kept.checkpoint = info.checkpoint;
  kept.inputs = CanonicalOutputs(info.inputs);
  kept.operators.reserve(info.operators.size());
  for (const OperatorInfo& op : info.operators) {
    OperatorInfo kept_op;
    kept_op.op_index = op.op_index;
    kept_op.inner = op.inner;
    kept_op.step_index = op.step_index;
    kept_op.op_type = op.op_type;
    kept_op.outputs = CanonicalOutputs(op.outputs);
    kept.operators.push_back(std::move(kept_op));
  }
  SortByKey(&kept.operators);
  return kept;
}

std::string PlaceText(const OperatorInfo& op) {
  std::string text = "operator " + PathText(op.op_index, op.inner);
  if (op.step_index >= 0) text += ", step " + std::to_string(op.step_index);
  return text;
}

std::string OperatorText(const OperatorInfo& op) {
  return PlaceText(op) + " (" + Shortened(op.op_type) + ")";
}

std::string InputText(const OutputInfo& input) {
  return "input " + std::to_string(input.output_index) + " '" +
         Shortened(input.tensor_name) + "'";
}

std::string OutputText(const OperatorInfo& op, const OutputInfo& output) {
  return OperatorText(op) + ", output " + std::to_string(output.output_index) +
         " '" + Shortened(output.tensor_name) + "'";
}

Status CheckProfile(const NetInfo& info) {
  if (info.format_version < kOldestProfileFormatVersion ||
      info.format_version > kProfileFormatVersion) {
    return Wrong("header", "format_version is " +
                               std::to_string(info.format_version) +
                               ", expected " +
                               std::to_string(kOldestProfileFormatVersion) +
                               " to " + std::to_string(kProfileFormatVersion));
  }
  RETURN_IF_ERROR(CheckHash(info.net_hash));
  RETURN_IF_ERROR(CheckOptions(info.options));
  RETURN_IF_ERROR(CheckAtMost("header", "recorded_runs", info.recorded_runs,
                              "runs", info.runs));
  RETURN_IF_ERROR(CheckSorted("header", "forced", info.forced));
  RETURN_IF_ERROR(CheckSorted("provenance", "hosts", info.hosts));
  RETURN_IF_ERROR(CheckInputs(info));
  for (std::size_t i = 0; i < info.operators.size(); ++i) {
    const OperatorInfo& op = info.operators[i];
    if (i > 0 && !(Key(info.operators[i - 1]) < Key(op))) {
      return Wrong(OperatorText(op), "stands after " +
                                         OperatorText(info.operators[i - 1]) +
                                         ", expected sorted, each once");
    }
    RETURN_IF_ERROR(CheckOperator(op, info.format_version));
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
