// The subcommands of caffe2-quantize. A new one is a file <name>_command.cc
// with one function, declared here and entered into the table in
// caffe2_quantize.cc.
#ifndef CAFFE2_QUANTIZATION_TOOLS_COMMAND_H_
#define CAFFE2_QUANTIZATION_TOOLS_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>

#include "base/status.h"

namespace caffe2_quantization {

// What to do when the arguments have been parsed.
using Command = std::function<Status()>;

// Declares the subcommand's options on `app`, which lives as long as the
// command.
Command DeclareRunCommand(CLI::App* app);
Command DeclareCalibrateCommand(CLI::App* app);
Command DeclareQuantizeCommand(CLI::App* app);
Command DeclareInspectCommand(CLI::App* app);
Command DeclareMergeCommand(CLI::App* app);
Command DeclarePlotCommand(CLI::App* app);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_COMMAND_H_
