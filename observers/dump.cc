#include "observers/dump.h"

#include <type_traits>

#include "base/atomic_file.h"
#include "base/exact_floating_point.h"
#include "profiles/histogram_file.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"

namespace caffe2_quantization {

using Format = OutputMinMaxOptions::Format;

Format FormatOf(Format format, const RecordingOptions& options) {
  if (format != Format::kDefault) return format;
  if (options.column_max_bins > 0) return Format::kColumnMax;
  return options.histogram_bins > 0 ? Format::kHistogram : Format::kMinMax;
}

const char* ExtensionOf(Format format) {
  switch (format) {
    case Format::kHistogram:
      return "hist";
    case Format::kColumnMax:
      return "col_max_hist";
    case Format::kProfile:
      return "profile";
    case Format::kProfileJson:
      return "profile.json";
    default:
      return "minmax";
  }
}

Status WriteDump(const std::string& path, const NetInfo& info,
                 const DumpForm& form) {
  const ExactFloatingPoint exact;
  switch (FormatOf(form.format, info.options)) {
    case Format::kHistogram:
      return WriteFileAtomically(
          path, FormatHistograms(info, RangeSince::kAttach, form.delimiter));
    case Format::kColumnMax:
      return WriteFileAtomically(
          path, FormatColumnMax(info, RangeSince::kAttach, form.delimiter));
    case Format::kProfile:
      return WriteProfile(path, info, /*json=*/false);
    case Format::kProfileJson:
      return WriteProfile(path, info, /*json=*/true);
    default:
      return WriteFileAtomically(
          path, FormatMinMax(info, RangeSince::kAttach, form.delimiter));
  }
}

Status CompareOptions(const RecordingOptions& found,
                      const RecordingOptions& expected) {
  const auto text = [](const auto& value) {
    if constexpr (std::is_integral_v<std::decay_t<decltype(value)>>) {
      return std::to_string(value);
    } else {
      std::string list;
      for (const std::string& name : value) {
        list += (list.empty() ? "'" : ", '") + name + "'";
      }
      return list.empty() ? std::string("none") : list;
    }
  };
  std::string message;
  const auto compare = [&](const char* option, const auto& a, const auto& b) {
    if (a == b) return;
    message += (message.empty() ? "" : "; ") + std::string(option) + " is " +
               text(a) + ", expected " + text(b);
  };
  compare("histogram_bins", found.histogram_bins, expected.histogram_bins);
  compare("column_max_bins", found.column_max_bins, expected.column_max_bins);
  compare("column_max_blobs", found.column_max_blobs,
          expected.column_max_blobs);
  compare("op_types", found.op_types, expected.op_types);
  compare("op_names", found.op_names, expected.op_names);
  compare("outputs", found.outputs, expected.outputs);
  compare("inputs", found.inputs, expected.inputs);
  compare("every", found.every, expected.every);
  compare("run_limit", found.run_limit, expected.run_limit);
  if (message.empty()) return Status::Ok();
  return Status::InvalidArgument("of the profile's options, " + message);
}

}  // namespace caffe2_quantization
