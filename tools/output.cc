#include "tools/output.h"

#include <cstdio>

#include "base/atomic_file.h"
#include "base/return_if_error.h"

namespace caffe2_quantization {

void Print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

Status FinishOutput(const std::string& json_path,
                    const std::function<std::string()>& json) {
  if (json_path == "-") {
    Print(json());
  } else if (!json_path.empty()) {
    RETURN_IF_ERROR(WriteFileAtomically(json_path, json()));
  }
  if (std::fflush(stdout) != 0) {
    return Status::IoError("cannot write to standard output");
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
