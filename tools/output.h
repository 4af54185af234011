// Writes the output of the subcommands.
#ifndef CAFFE2_QUANTIZATION_TOOLS_OUTPUT_H_
#define CAFFE2_QUANTIZATION_TOOLS_OUTPUT_H_

#include <functional>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Writes to standard output.
void Print(const std::string& text);

// Ends a subcommand's output. What `json` returns goes to the file of --json
// FILE or, for "-", to standard output; with an empty path it is not called.
// Returns an error if the file or standard output cannot be written.
Status FinishOutput(const std::string& json_path,
                    const std::function<std::string()>& json);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_OUTPUT_H_
