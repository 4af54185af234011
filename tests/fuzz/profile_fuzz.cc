// The bytes as each form of what observers write. Whatever a reader accepts
// goes through the writer, and must come back as it was.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "profiles/histogram_file.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"
#include "tests/fuzz/fuzz_targets.h"

namespace caffe2_quantization {
namespace {

std::string CheckAccepted(const NetInfo& info) {
  std::string bytes, json, again;
  NetInfo read;
  if (!ProfileToBytes(info, &bytes).ok()) return "accepted, but not written";
  if (!ProfileFromBytes(bytes, &read).ok()) return "written, but not read";
  if (!ProfileToBytes(read, &again).ok() || again != bytes) {
    return "other bytes when written again";
  }
  // Names that JSON cannot hold may make two tensors one: refused then.
  if (ProfileToJson(info, &json).ok()) {
    if (!ProfileFromJson(json, &read).ok()) return "JSON written, but not read";
    std::string json_again;
    if (!ProfileToJson(read, &json_again).ok() || json_again != json) {
      return "other JSON when written again";
    }
  }
  // With nothing else a merge changes nothing.
  NetInfo empty;
  empty.format_version = info.format_version;
  empty.net_name = info.net_name;
  empty.observer = info.observer;
  empty.net_hash = info.net_hash;
  empty.options = info.options;
  NetInfo left = info;
  if (!MergeProfile(empty, {}, &left).ok() ||
      !MergeProfile(info, {}, &empty).ok()) {
    return "a merge with nothing is refused";
  }
  for (const NetInfo& merged : {left, empty}) {
    if (!ProfileToBytes(merged, &again).ok() || again != bytes) {
      return "a merge with nothing changes bytes";
    }
  }
  return "";
}

bool Same(const MinMaxLine& a, const MinMaxLine& b) {
  return a.op_index == b.op_index && a.op_type == b.op_type &&
         a.output_index == b.output_index && a.tensor_name == b.tensor_name &&
         a.range.min() == b.range.min() && a.range.max() == b.range.max();
}

std::string CheckMinMax(const std::string& text, const std::string& delimiter) {
  std::vector<MinMaxLine> lines, again;
  if (!ParseMinMax(text, &lines, delimiter).ok()) return "";
  NetInfo info;
  for (const MinMaxLine& line : lines) {
    info.operators.emplace_back();
    OperatorInfo& op = info.operators.back();
    op.op_index = line.op_index;
    op.op_type = line.op_type;
    op.outputs.resize(1);
    op.outputs[0].output_index = line.output_index;
    op.outputs[0].tensor_name = line.tensor_name;
    op.outputs[0].total.range = line.range;
  }
  if (!ParseMinMax(FormatMinMax(info, RangeSince::kAttach, delimiter), &again,
                   delimiter)
           .ok() ||
      again.size() != lines.size()) {
    return ".minmax written, but not read";
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!Same(lines[i], again[i])) return "another .minmax line";
  }
  return "";
}

template <typename Line>
bool AllSound(const std::vector<Line>& lines) {
  for (const Line& line : lines) {
    if (line.counts.empty() || !(line.min <= line.max)) return false;
  }
  return true;
}

}  // namespace

std::string FuzzProfile(const uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  NetInfo info;
  if (ProfileFromBytes(bytes, &info).ok()) {
    const std::string finding = CheckAccepted(info);
    if (!finding.empty()) return "bytes: " + finding;
  }
  if (ProfileFromJson(bytes, &info).ok()) {
    const std::string finding = CheckAccepted(info);
    if (!finding.empty()) return "JSON: " + finding;
  }
  for (const char* delimiter : {" ", ",", "::"}) {
    const std::string finding = CheckMinMax(bytes, delimiter);
    if (!finding.empty()) return finding;
    std::vector<HistogramLine> histograms;
    std::vector<ColumnMaxLine> columns;
    if ((ParseHistograms(bytes, &histograms, delimiter).ok() &&
         !AllSound(histograms)) ||
        (ParseColumnMax(bytes, &columns, delimiter).ok() &&
         !AllSound(columns))) {
      return "a histogram line without values";
    }
  }
  return "";
}

}  // namespace caffe2_quantization
