#include "observers/observer_options.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "observers/unshared.h"
#include "profiles/delimited_text.h"
#include "profiles/profile_rules.h"
#include "quantization/histogram.h"

namespace caffe2_quantization {
namespace {

constexpr int kDefaultColumnMaxBins = 16;

Status CheckBins(const char* option, int bins) {
  if (bins == 0 || (bins >= Histogram::kSmallestMaxBins &&
                    bins <= Histogram::kLargestMaxBins)) {
    return Status::Ok();
  }
  return Status::InvalidArgument(
      std::string(option) + " is " + std::to_string(bins) + ", expected " +
      std::to_string(Histogram::kSmallestMaxBins) + " to " +
      std::to_string(Histogram::kLargestMaxBins) + ", or 0 for none");
}

}  // namespace

OutputMinMaxOptions NormalOptions(OutputMinMaxOptions options) {
  RecordingOptions& recording = options.recording;
  for (auto* names :
       {&recording.op_types, &recording.op_names, &recording.outputs,
        &recording.inputs, &recording.column_max_blobs}) {
    SortUnique(names);
  }
  if (recording.column_max_blobs.empty()) {
    recording.column_max_bins = 0;
  } else if (recording.column_max_bins <= 0) {
    recording.column_max_bins = kDefaultColumnMaxBins;
  }
  // A histogram knows its own limits.
  for (int* bins : {&recording.histogram_bins, &recording.column_max_bins}) {
    *bins = *bins <= 0 ? 0 : Histogram(*bins).max_bins();
  }
  recording.every = std::max<int64_t>(recording.every, 1);
  recording.run_limit = std::max<int64_t>(recording.run_limit, 0);
  Unshare(&options);
  return options;
}

Status NormalizeOptions(const OutputMinMaxOptions& options,
                        OutputMinMaxOptions* normal) {
  const RecordingOptions& recording = options.recording;
  RETURN_IF_ERROR(CheckBins("histogram_bins", recording.histogram_bins));
  RETURN_IF_ERROR(CheckBins("column_max_bins", recording.column_max_bins));
  RETURN_IF_ERROR(CheckDelimiter(options.delimiter));
  if (recording.every < 1) {
    return Status::InvalidArgument(
        "every is " + std::to_string(recording.every) + ", expected 1 or more");
  }
  if (recording.run_limit < 0) {
    return Status::InvalidArgument("run_limit is " +
                                   std::to_string(recording.run_limit) +
                                   ", expected 0 (no limit) or more");
  }
  if (options.format == OutputMinMaxOptions::Format::kColumnMax &&
      recording.column_max_blobs.empty()) {
    return Status::InvalidArgument(
        "the format is column_max, but no column_max_blobs are named");
  }
  *normal = NormalOptions(options);
  if (normal->format == OutputMinMaxOptions::Format::kHistogram &&
      normal->recording.histogram_bins == 0) {
    normal->recording.histogram_bins = Histogram::kDefaultBins;
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
