// Makes deep copies of strings.
//
// In the host's ABI, copies of a string share its memory and count their
// owners. That is safe between threads, but part of the counting is in code
// that ThreadSanitizer does not see. So strings that go from thread to thread
// here (options, names, what is reported) are deep copies.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_UNSHARED_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_UNSHARED_H_

#include <string>
#include <vector>

#include "observers/output_min_max_observer.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

inline std::string Unshared(const std::string& text) {
  return std::string(text.data(), text.size());
}

inline void Unshare(std::string* text) { *text = Unshared(*text); }

inline void Unshare(std::vector<std::string>* texts) {
  for (std::string& text : *texts) Unshare(&text);
}

inline void Unshare(RecordingOptions* options) {
  Unshare(&options->column_max_blobs);
  Unshare(&options->op_types);
  Unshare(&options->op_names);
  Unshare(&options->outputs);
  Unshare(&options->inputs);
}

inline void Unshare(OutputMinMaxOptions* options) {
  Unshare(&options->label);
  Unshare(&options->path);
  Unshare(&options->delimiter);
  Unshare(&options->resume_path);
  Unshare(&options->recording);
}

inline void Unshare(OutputInfo* info) {
  Unshare(&info->tensor_name);
  Unshare(&info->type_name);
  Unshare(&info->types);
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_UNSHARED_H_
