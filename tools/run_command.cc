// caffe2-quantize run: the tables of one RunReport.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "base/text.h"
#include "tools/command.h"
#include "tools/data_options.h"
#include "tools/live_view.h"
#include "tools/output.h"
#include "tools/progress_bar.h"
#include "tools/range_table.h"
#include "tools/text_table.h"
#include "workflow/run_model.h"
#include "workflow/run_report.h"

namespace caffe2_quantization {
namespace {

using Align = TextTable::Align;
constexpr char kUnknown[] = "-";
// Of images in a batch and of passes through the data.
constexpr int64_t kLargestCount = 1'000'000'000;

struct RunArguments {
  RunOptions options;
  std::vector<std::string> init_nets;
  std::string observe = "first";
  std::string json_path;
  bool watch = false;
  bool quiet = false;
};

RunOptions::Observe ParseObserve(const std::string& argument) {
  if (argument == "all") return RunOptions::Observe::kAll;
  if (argument == "none") return RunOptions::Observe::kNone;
  return RunOptions::Observe::kReference;
}

// "byte=dir/init.pb" is label and file; a label has no '/'. "dir/init.pb" alone
// is called "init".
InitNet ParseInitNet(const std::string& argument) {
  const auto equals = argument.find('=');
  const auto slash = argument.find('/');
  if (equals != std::string::npos && equals > 0 &&
      (slash == std::string::npos || equals < slash)) {
    return {argument.substr(0, equals), argument.substr(equals + 1)};
  }
  const auto last_slash = argument.rfind('/');
  std::string stem = last_slash == std::string::npos
                         ? argument
                         : argument.substr(last_slash + 1);
  const auto dot = stem.rfind('.');
  if (dot != std::string::npos && dot > 0) stem.resize(dot);
  return {stem, argument};
}

std::string ErrorText(const StoredWeight& stored) {
  return stored.has_largest_error ? Rounded(stored.largest_error, 4) : kUnknown;
}

std::string RatioText(const StoredWeight& stored) {
  if (stored.bytes == 0) return kUnknown;
  return Fixed(static_cast<double>(stored.float_bytes) /
                   static_cast<double>(stored.bytes),
               2);
}

std::string WeightText(const StoredWeight& stored) {
  return stored.weight.empty() ? kUnknown : stored.weight;
}

std::string QTensorTable(const std::vector<QTensorWeight>& weights) {
  TextTable table({{"name"},
                   {"makes"},
                   {"dims"},
                   {"bits", Align::kRight},
                   {"sign"},
                   {"scale", Align::kRight},
                   {"bias", Align::kRight},
                   {"bytes", Align::kRight},
                   {"as float", Align::kRight},
                   {"ratio", Align::kRight},
                   {"largest error", Align::kRight}});
  for (const QTensorWeight& each : weights) {
    table.AddRow({each.blob, WeightText(each), DimsText(each.shape),
                  std::to_string(each.precision), each.is_signed ? "yes" : "no",
                  Rounded(each.scale, 6), Rounded(each.bias, 6),
                  Grouped(each.bytes), Grouped(each.float_bytes),
                  RatioText(each), ErrorText(each)});
  }
  return table.ToString();
}

std::string ByteWeightTable(const std::vector<StoredWeight>& weights) {
  TextTable table({{"name"},
                   {"makes"},
                   {"dims"},
                   {"bytes", Align::kRight},
                   {"as float", Align::kRight},
                   {"ratio", Align::kRight},
                   {"largest error", Align::kRight}});
  for (const StoredWeight& each : weights) {
    table.AddRow({each.blob, WeightText(each), DimsText(each.shape),
                  Grouped(each.bytes), Grouped(each.float_bytes),
                  RatioText(each), ErrorText(each)});
  }
  return table.ToString();
}

std::string AccuracyTable(const RunReport& report) {
  TextTable table({{"weights"},
                   {"images", Align::kRight},
                   {"correct", Align::kRight},
                   {"accuracy", Align::kRight},
                   {"largest change of output", Align::kRight},
                   {"ms/batch", Align::kRight},
                   {"images/s", Align::kRight}});
  for (const ModelReport& model : report.models) {
    const double share = 100.0 * static_cast<double>(model.correct) /
                         static_cast<double>(report.images);
    table.AddRow(
        {model.label + (model.observed ? " *" : ""), Grouped(report.images),
         model.has_accuracy ? Grouped(model.correct) : kUnknown,
         model.has_accuracy ? Fixed(share, 2) + " %" : kUnknown,
         model.has_largest_output_change
             ? Rounded(model.largest_output_change, 3)
             : kUnknown,
         Fixed(1000 * model.seconds / static_cast<double>(model.batches), 3),
         model.seconds > 0
             ? Grouped(static_cast<int64_t>(static_cast<double>(model.images) /
                                            model.seconds))
             : kUnknown});
  }
  return table.ToString();
}

void PrintReport(const RunReport& report) {
  Print("net '" + report.net_name + "' (" + report.net_type + "), " +
        Grouped(report.images) + " images in batches of " +
        Grouped(report.batch_size) +
        (report.repeat > 1 ? ", " + Grouped(report.repeat) + " times" : "") +
        "\n");
  bool any_observed = false;
  for (const ModelReport& model : report.models) {
    any_observed |= model.observed;
    if (model.observed) {
      Print("\nSmallest and largest outputs, weights '" + model.label + "'\n");
      Print(RangeTable(model.min_max));
      if (!model.min_max_path.empty()) {
        Print("written to " + model.min_max_path + "\n");
      }
    }
  }
  const std::string reference =
      "; error against '" + report.models.front().label + "'\n";
  for (const ModelReport& model : report.models) {
    if (!model.byte_weights.empty()) {
      Print("\nByte weights of '" + model.label + "'" + reference);
      Print(ByteWeightTable(model.byte_weights));
    }
    if (!model.qtensors.empty()) {
      Print("\nQTensors of '" + model.label + "'" + reference);
      Print(QTensorTable(model.qtensors));
    }
  }
  Print("\nAccuracy, output '" + report.output_blob + "'\n");
  Print(AccuracyTable(report));
  if (any_observed) Print("* observed: the time includes the observers\n");
}

Status RunAndReport(const RunArguments& arguments) {
  RunOptions options = arguments.options;
  options.observe = ParseObserve(arguments.observe);
  size_t label_width = 0;
  for (const std::string& argument : arguments.init_nets) {
    options.init_nets.push_back(ParseInitNet(argument));
    label_width = std::max(label_width, options.init_nets.back().label.size());
  }

  const int columns = arguments.quiet ? 0 : TerminalColumns(STDERR_FILENO);
  const bool watch = arguments.watch && columns > 0;
  if (arguments.watch && !watch && !arguments.quiet) {
    std::fprintf(stderr, "note: standard error is no terminal to watch on\n");
  }
  RunReport report;
  {
    ProgressBar bar(&std::cerr, watch ? 0 : columns, "images", label_width);
    LiveView view(&std::cerr, columns, TerminalLines(STDERR_FILENO));
    RETURN_IF_ERROR(RunModels(
        options,
        [&](const RunProgress& progress) {
          bar.Update(progress.label, progress.images_done,
                     progress.images_total);
          if (watch && progress.info) {
            view.Update(progress.label, progress.images_done,
                        progress.images_total, progress.info);
          }
        },
        &report));
  }

  if (!arguments.quiet) {
    for (const std::string& note : report.notes) {
      std::fprintf(stderr, "note: %s\n", note.c_str());
    }
    if (arguments.json_path != "-") PrintReport(report);
  }
  return FinishOutput(arguments.json_path, [&] { return ToJson(report); });
}

}  // namespace

Command DeclareRunCommand(CLI::App* app) {
  const auto arguments = std::make_shared<RunArguments>();
  RunOptions& options = arguments->options;
  app->add_option("--predict", options.predict_path,
                  "The net to run: a NetDef, binary or text, or a predictor's "
                  "minidb")
      ->required()
      ->type_name("FILE");
  app->add_option("--init", arguments->init_nets,
                  "A net that makes the weights, or a predictor's minidb; "
                  "repeat it to compare several with the first, the reference "
                  "(default: the predictor that is run)")
      ->type_name("[LABEL=]FILE");
  DeclareDataOptions(app, &options.data);
  app->add_option("--label", options.label_blob,
                  "Blob of the data with the right classes, int32 or int64 "
                  "(default: label, if there is one)")
      ->type_name("BLOB");
  app->add_option("--output", options.output_blob,
                  "Blob with a score for each class (default: the net's first "
                  "external output)")
      ->type_name("BLOB");
  app->add_option("--batch-size", options.batch_size, "Images a run of the net")
      ->check(CLI::Range(int64_t{1}, kLargestCount))
      ->capture_default_str();
  app->add_option("--net-type", options.net_type,
                  "Instead of the net's own: simple, dag, async_scheduling ...")
      ->type_name("TYPE");
  app->add_option("--repeat,--runs", options.repeat,
                  "Times to go through the data")
      ->check(CLI::Range(int64_t{1}, kLargestCount))
      ->capture_default_str();
  app->add_option("--observe", arguments->observe,
                  "Whose outputs to watch: with the first weights, all or none")
      ->check(CLI::IsMember({"first", "all", "none"}))
      ->type_name("WHICH")
      ->capture_default_str();
  app->add_option("--minmax", options.min_max_path,
                  "Write the smallest and largest outputs there")
      ->type_name("FILE");
  app->add_option("--histogram-bins", options.histogram_bins,
                  "Bins of a histogram of each watched output, for --watch and "
                  "--json; 0: none")
      ->check(CLI::Range(0, Histogram::kLargestMaxBins))
      ->capture_default_str();
  app->add_flag("--watch", arguments->watch,
                "Show on the terminal what is seen while it runs");
  app->add_option("--json", arguments->json_path,
                  "Write everything there as JSON; - is standard output, in "
                  "place of the tables")
      ->type_name("FILE");
  app->add_flag("--quiet", arguments->quiet, "No tables, notes or progress");
  return [arguments] { return RunAndReport(*arguments); };
}

}  // namespace caffe2_quantization
