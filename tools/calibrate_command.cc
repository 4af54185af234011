// caffe2-quantize calibrate: the table of what one Calibrate has seen.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "base/return_if_error.h"
#include "tools/command.h"
#include "tools/data_options.h"
#include "tools/output.h"
#include "tools/progress_bar.h"
#include "tools/range_table.h"
#include "tools/stop_signal.h"
#include "tools/text_table.h"
#include "workflow/calibrate.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kLargestCount = 1'000'000'000;
constexpr int kColumnMaxBins = 16;

struct CalibrateArguments {
  CalibrateOptions options;
  int column_max_bins = kColumnMaxBins;
  std::string json_path;
  bool quiet = false;
};

// "0/4" is shard 0 of 4.
void ParseShard(const std::string& text, CalibrateOptions* options) {
  const char* const end = text.data() + text.size();
  const auto shard = std::from_chars(text.data(), end, options->shard);
  if (shard.ec == std::errc() && shard.ptr != end && *shard.ptr == '/') {
    const auto shards = std::from_chars(shard.ptr + 1, end, options->shards);
    if (shards.ec == std::errc() && shards.ptr == end && options->shard >= 0 &&
        options->shard < options->shards) {
      return;
    }
  }
  throw CLI::ValidationError(
      "--shard", "'" + text + "', expected I/N with I from 0 to N - 1");
}

void PrintReport(const CalibrateReport& report) {
  std::string head = "net '" + Printable(report.info.net_name) + "' (" +
                     Printable(report.net_type) + "), " +
                     Grouped(report.samples) + " samples of " +
                     report.data_form + " in batches of " +
                     Grouped(report.batch_size);
  if (report.shards > 1) {
    head +=
        ", shard " + Grouped(report.shard) + " of " + Grouped(report.shards);
  }
  if (report.resumed_samples > 0) {
    head += ", " + Grouped(report.resumed_samples) + " of them done before";
  }
  Print(head + "\n\n" + RangeTable(report.info) + "written to " +
        report.profile_path + "\n");
}

Status CalibrateAndReport(const CalibrateArguments& arguments) {
  CalibrateOptions options = arguments.options;
  if (!options.recording.column_max_blobs.empty()) {
    options.recording.column_max_bins = arguments.column_max_bins;
  }
  CatchStopSignals();
  options.stop = [] { return StopSignal() != 0; };
  CalibrateReport report;
  {
    ProgressBar bar(&std::cerr,
                    arguments.quiet ? 0 : TerminalColumns(STDERR_FILENO),
                    "samples");
    RETURN_IF_ERROR(Calibrate(
        options,
        [&](const std::string& note) {
          if (arguments.quiet) return;
          bar.Finish();
          std::fprintf(stderr, "note: %s\n", Printable(note).c_str());
        },
        [&bar](const CalibrateProgress& progress) {
          bar.Update("calibrating", progress.samples_done,
                     progress.samples_total);
        },
        &report));
  }

  if (!report.stopped.empty()) {
    SetStopped(report.stopped);
    return Status::Ok();
  }
  if (arguments.json_path != "-" && !arguments.quiet) PrintReport(report);
  return FinishOutput(arguments.json_path, [&] { return ToJson(report); });
}

}  // namespace

Command DeclareCalibrateCommand(CLI::App* app) {
  const auto arguments = std::make_shared<CalibrateArguments>();
  CalibrateOptions& options = arguments->options;
  RecordingOptions& recording = options.recording;
  recording.histogram_bins = Histogram::kDefaultBins;
  app->add_option("--init", options.init_path,
                  "The net that makes the weights, or a predictor's minidb "
                  "(default: the predictor that is run)")
      ->type_name("FILE");
  app->add_option("--predict", options.predict_path,
                  "The net to run: a NetDef, binary or text, or a predictor's "
                  "minidb")
      ->required()
      ->type_name("FILE");
  DeclareDataOptions(app, &options.data);
  app->add_option("-o,--profile", options.profile_path,
                  "Where to write what was seen; JSON when it ends in .json")
      ->required()
      ->type_name("FILE");
  app->add_option("--batch-size", options.batch_size,
                  "Samples a run of the net")
      ->check(CLI::Range(int64_t{1}, kLargestCount))
      ->capture_default_str();
  app->add_option("--limit", options.limit,
                  "The first so many samples alone (default: all)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62))
      ->type_name("N");
  app->add_option_function<std::string>(
         "--shard",
         [&options](const std::string& text) { ParseShard(text, &options); },
         "Every N-th batch alone, from batch I on (0/N to N-1/N); merge makes "
         "one profile of all")
      ->type_name("I/N");
  app->add_option("--net-type", options.net_type,
                  "Instead of the net's own: simple, dag, async_scheduling ...")
      ->type_name("TYPE");
  app->add_option("--histogram-bins", recording.histogram_bins,
                  "Bins of each output's histogram; 0: none")
      ->check(CLI::Range(0, Histogram::kLargestMaxBins))
      ->capture_default_str();
  app->add_option("--column-max", recording.column_max_blobs,
                  "Histograms of the largest value of each column too, of "
                  "these blobs")
      ->type_name("BLOB");
  app->add_option("--column-max-bins", arguments->column_max_bins,
                  "Bins of those")
      ->check(CLI::Range(1, Histogram::kLargestMaxBins))
      ->capture_default_str();
  app->add_option("--op-type", recording.op_types,
                  "Operators of these types alone, with * ? [...]")
      ->type_name("PATTERN");
  app->add_option("--op-name", recording.op_names,
                  "Operators of these names alone")
      ->type_name("PATTERN");
  app->add_option("--output", recording.outputs,
                  "Operators with one of these outputs alone")
      ->type_name("PATTERN");
  app->add_option("--record-input", recording.inputs,
                  "These external inputs of the net; by default its data, not "
                  "its parameters")
      ->type_name("PATTERN");
  app->add_option("--checkpoint-every", options.checkpoint_every,
                  "Batches between checkpoints, from which a run that was "
                  "killed goes on; 0: only when it is stopped")
      ->check(CLI::Range(int64_t{0}, kLargestCount))
      ->capture_default_str();
  app->add_option("--checkpoint-seconds", options.checkpoint_seconds,
                  "A checkpoint also when this much time has passed since the "
                  "last one; 0: not by time")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app->add_flag("--restart", options.restart,
                "Begin anew though there is a checkpoint");
  app->add_option("--json", arguments->json_path,
                  "Write the report there as JSON; - is standard output, in "
                  "place of the table")
      ->type_name("FILE");
  app->add_flag("--quiet", arguments->quiet, "No table, notes or progress");
  return [arguments] { return CalibrateAndReport(*arguments); };
}

}  // namespace caffe2_quantization
