// Writes what was observed of a net, in the requested form.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_DUMP_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_DUMP_H_

#include <string>

#include "base/status.h"
#include "observers/output_min_max_observer.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

struct DumpForm {
  OutputMinMaxOptions::Format format = OutputMinMaxOptions::Format::kDefault;
  std::string delimiter = " ";
};

// Returns what kDefault stands for with these options; any other format is
// returned as it is.
OutputMinMaxOptions::Format FormatOf(OutputMinMaxOptions::Format format,
                                     const RecordingOptions& options);

// Returns "minmax", "hist", "col_max_hist", "profile" or "profile.json".
const char* ExtensionOf(OutputMinMaxOptions::Format format);

// Writes the totals of `info`.
Status WriteDump(const std::string& path, const NetInfo& info,
                 const DumpForm& form);

// Returns OK if both options record the same; an error names what differs.
Status CompareOptions(const RecordingOptions& found,
                      const RecordingOptions& expected);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_DUMP_H_
