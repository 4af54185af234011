// caffe2-quantize: measures and converts Caffe2 nets from the command line.
//
// Exit status: 0 done, 1 it could not be done, 2 the arguments make no sense;
// 128 and the signal's number when a signal stopped it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "caffe2/core/common.h"
#include "caffe2/core/init.h"
#include "netdef/host_error.h"
#include "plugin/plugin.h"
#include "quantization/kernels/isa.h"
#include "quantization/onednn/description.h"
#include "tools/command.h"
#include "tools/stop_signal.h"

namespace caffe2_quantization {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

struct CommandEntry {
  const char* name;
  const char* description;
  Command (*declare)(CLI::App* app);
};

constexpr CommandEntry kCommands[] = {
    {"run", "Run a net over data: ranges, stored weights, accuracy",
     DeclareRunCommand},
    {"calibrate", "Run a net over data and write a profile of its outputs",
     DeclareCalibrateCommand},
    {"quantize",
     "Make an int8 net of a float net, by a profile, data or recipe",
     DeclareQuantizeCommand},
    {"inspect", "Tell what model files hold: operators, blobs, QTensors",
     DeclareInspectCommand},
    {"merge", "Make one profile of many: of shards, machines or days",
     DeclareMergeCommand},
    {"plot", "Draw a profile: pictures and an HTML page, by Python",
     DeclarePlotCommand},
};

std::string VersionText() {
  const auto& build = caffe2::GetBuildOptions();
  const auto host = build.find("TORCH_VERSION");
  const char* cap = std::getenv("CAFFE2_QUANTIZATION_MAX_ISA");
  std::string text = "caffe2-quantize ";
  text += caffe2_quantization_version();
  text += "\nCaffe2 (torch) ";
  text += host == build.end() ? "unknown" : host->second;
  text += "\nISA ";
  text += caffe2_quantization_isa();
  text += " (CAFFE2_QUANTIZATION_MAX_ISA: ";
  text += cap == nullptr || *cap == '\0' ? "not set" : cap;
  // The plugin's oneDNN, asked by a copy of ours of what asks it there, which
  // has read the same variable without an error.
  kernels::ConfigureIsaFromEnvironment();
  return text + ")\noneDNN " + onednn::Description();
}

int Fail(const std::string& message) {
  std::fprintf(stderr, "caffe2-quantize: %s\n", message.c_str());
  return kFailure;
}

// The host takes its own flags from its arguments. What it logs as an error
// reaches us as an exception too and is reported once, by us.
void InitializeHost() {
  char program[] = "caffe2-quantize";
  char log_level[] = "--caffe2_log_level=3";
  char* arguments[] = {program, log_level, nullptr};
  char** argv = arguments;
  int argc = 2;
  caffe2::GlobalInit(&argc, &argv);
}

int Main(int argc, char** argv) {
  // The module has printed why already.
  if (*caffe2_quantization_load_error() != '\0') {
    return Fail("cannot work without the plugin's operators");
  }

  CLI::App app("Measures and converts Caffe2 nets.", "caffe2-quantize");
  app.set_version_flag("--version", VersionText);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Command chosen;
  for (const CommandEntry& entry : kCommands) {
    CLI::App* subcommand = app.add_subcommand(entry.name, entry.description);
    const Command command = entry.declare(subcommand);
    subcommand->callback([&chosen, command] { chosen = command; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }

  InitializeHost();
  const Status status = chosen();
  if (status.ok() && !Stopped().empty()) {
    // To begin anew again would throw away what was done.
    Fail(Stopped() + ", run: " + ShellLine({argv, argv + argc}, "--restart"));
    return ExitStatusOf(StopSignal());
  }
  return status.ok() ? 0 : Fail(status.message());
}

}  // namespace
}  // namespace caffe2_quantization

int main(int argc, char** argv) {
  try {
    return caffe2_quantization::Main(argc, argv);
  } catch (const std::exception& error) {
    return caffe2_quantization::Fail(caffe2_quantization::ReasonOf(error));
  }
}
