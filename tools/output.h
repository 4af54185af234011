// The output that the subcommands share.
#ifndef CAFFE2_QUANTIZATION_TOOLS_OUTPUT_H_
#define CAFFE2_QUANTIZATION_TOOLS_OUTPUT_H_

#include <functional>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// To standard output.
void Print(const std::string& text);

// Ends a subcommand's output. `json` is asked for what --json FILE wants, and
// goes to the file or, for "-", to standard output; an empty path wants none.
// An error when the file or standard output cannot be written.
Status FinishOutput(const std::string& json_path,
                    const std::function<std::string()>& json);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_OUTPUT_H_
