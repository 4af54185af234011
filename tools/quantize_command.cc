// caffe2-quantize quantize: the tables of one QuantizeRunReport.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "tools/command.h"
#include "tools/data_options.h"
#include "tools/output.h"
#include "tools/progress_bar.h"
#include "tools/stop_signal.h"
#include "tools/text_table.h"
#include "workflow/quantize.h"

namespace caffe2_quantization {
namespace {

using Align = TextTable::Align;
constexpr int64_t kLargestCount = 1'000'000'000;
// Of operators of one reason, and of tensors that are clipped.
constexpr std::size_t kMostNamed = 4;
constexpr std::size_t kMostClipped = 5;

struct QuantizeArguments {
  QuantizeRunOptions options;
  bool per_tensor = false;
  std::string json_path;
  bool quiet = false;
};

// "MSE", "P99.9:7": a method, and bits.
void ParseMethod(const std::string& option, const std::string& text,
                 ChooseMethod* method, double* percentile, int* bits) {
  const std::size_t colon = text.find(':');
  const Status status =
      ChooseMethodFromName(text.substr(0, colon), method, percentile);
  if (!status.ok()) throw CLI::ValidationError(option, status.message());
  if (colon == std::string::npos) return;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, *bits);
  if (parsed.ec != std::errc() || parsed.ptr != end || *bits < 2 || *bits > 8) {
    throw CLI::ValidationError(option,
                               "'" + text + "', expected bits from 2 to 8");
  }
}

std::string NameOf(const rewrite::OperatorChoice& choice) {
  return choice.type +
         (choice.output.empty() ? "" : " '" + Printable(choice.output) + "'");
}

// What became of the operators: those of one reason in a row.
std::string ReasonTable(const rewrite::Recipe& recipe) {
  std::map<rewrite::Reason, std::vector<std::string>> rows;
  for (const rewrite::OperatorChoice& choice : recipe.operators) {
    std::string name = NameOf(choice);
    if (!choice.decision.detail.empty() && choice.folded_into < 0) {
      name += " (" + Printable(choice.decision.detail) + ")";
    }
    rows[choice.decision.reason].push_back(std::move(name));
  }
  TextTable table(
      {{"operators", Align::kRight}, {"reason"}, {"why"}, {"which"}});
  for (const auto& [reason, names] : rows) {
    std::string which;
    for (std::size_t i = 0; i < std::min(names.size(), kMostNamed); ++i) {
      which += (i == 0 ? "" : ", ") + names[i];
    }
    if (names.size() > kMostNamed) which += " …";
    table.AddRow({Grouped(static_cast<int64_t>(names.size())), Name(reason),
                  Explanation(reason), which});
  }
  return table.ToString();
}

// The tensors of which the most is clipped.
std::string ClippedTable(const rewrite::Recipe& recipe) {
  std::vector<const rewrite::TensorChoice8*> clipped;
  for (const rewrite::TensorChoice8& tensor : recipe.tensors) {
    if (tensor.is_int8 && tensor.has_range && tensor.clipped_share > 0) {
      clipped.push_back(&tensor);
    }
  }
  if (clipped.empty()) return "";
  std::stable_sort(clipped.begin(), clipped.end(),
                   [](const auto* a, const auto* b) {
                     return a->clipped_share > b->clipped_share;
                   });
  if (clipped.size() > kMostClipped) clipped.resize(kMostClipped);
  TextTable table({{"clipped", Align::kRight},
                   {"tensor"},
                   {"min", Align::kRight},
                   {"max", Align::kRight},
                   {"scale", Align::kRight},
                   {"zero point", Align::kRight}});
  for (const rewrite::TensorChoice8* tensor : clipped) {
    table.AddRow({Rounded(100 * tensor->clipped_share, 3) + " %",
                  Printable(tensor->name), Rounded(tensor->min, 6),
                  Rounded(tensor->max, 6),
                  Rounded(static_cast<double>(tensor->parameters.scale), 6),
                  std::to_string(tensor->parameters.zero_point)});
  }
  return "\nLargest clipped shares\n" + table.ToString();
}

void PrintReport(const QuantizeRunReport& report) {
  const rewrite::Recipe& recipe = report.nets.recipe;
  int64_t int8 = 0, left = 0;
  for (const rewrite::OperatorChoice& choice : recipe.operators) {
    int8 += choice.is_int8;
    left += rewrite::IsLeftFloat(choice.decision.reason);
  }
  std::string text = "net '" + Printable(report.nets.predict.name()) +
                     "' for " + recipe.options.engine + ": " + Grouped(int8) +
                     " of " +
                     Grouped(static_cast<int64_t>(recipe.operators.size())) +
                     " operators are int8; " + Grouped(left) +
                     " float that nobody asked for\n\n" + ReasonTable(recipe) +
                     ClippedTable(recipe);
  if (!report.nets.warnings.empty()) text += "\nWarnings\n";
  for (const std::string& warning : report.nets.warnings) {
    text += Printable(warning) + "\n";
  }
  text += "\n" + Grouped(report.nets.float_bytes) + " bytes of nets became " +
          Grouped(report.nets.int8_bytes) + " (" +
          Fixed(static_cast<double>(report.nets.int8_bytes) /
                    static_cast<double>(
                        std::max<int64_t>(1, report.nets.float_bytes)),
                3) +
          " times)\n";
  Print(text);
}

Status QuantizeAndReport(const QuantizeArguments& arguments) {
  QuantizeRunOptions options = arguments.options;
  options.options.per_channel = !arguments.per_tensor;
  if (!options.calibrate.data.path.empty()) {
    CatchStopSignals();
    options.calibrate.stop = [] { return StopSignal() != 0; };
  }
  QuantizeRunReport report;
  Status status = Status::Ok();
  {
    ProgressBar bar(&std::cerr,
                    arguments.quiet ? 0 : TerminalColumns(STDERR_FILENO),
                    "samples");
    status = QuantizeModel(
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
        &report);
  }
  if (!report.stopped.empty()) {
    SetStopped(report.stopped);
    return status;
  }
  // With --strict there is a report though nothing was written.
  const bool is_table = arguments.json_path != "-" && !arguments.quiet;
  if (!report.json.empty()) {
    if (is_table) PrintReport(report);
    if (is_table && status.ok()) {
      Print("written to " + report.output_path + "\n");
    }
    const Status finished =
        FinishOutput(arguments.json_path, [&] { return report.json; });
    if (status.ok()) return finished;
  }
  return status;
}

void DeclareCalibration(CLI::App* app, CalibrateOptions* calibrate) {
  app->add_option("--batch-size", calibrate->batch_size,
                  "Data: samples a run of the net")
      ->check(CLI::Range(int64_t{1}, kLargestCount))
      ->capture_default_str();
  app->add_option("--limit", calibrate->limit,
                  "Data: the first so many samples alone (default: all)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 62))
      ->type_name("N");
  app->add_option("--net-type", calibrate->net_type,
                  "Data: instead of the net's own type: simple, dag ...")
      ->type_name("TYPE");
  app->add_option("--histogram-bins", calibrate->recording.histogram_bins,
                  "Data: bins of each tensor's histogram (default: 2048, if "
                  "the method of --activations needs them)")
      ->check(CLI::Range(1, Histogram::kLargestMaxBins))
      ->type_name("N");
  app->add_option("--checkpoint-every", calibrate->checkpoint_every,
                  "Data: batches between checkpoints, from which a run that "
                  "was killed goes on; 0: only when it is stopped")
      ->check(CLI::Range(int64_t{0}, kLargestCount))
      ->capture_default_str();
  app->add_flag("--restart", calibrate->restart,
                "Data: begin anew though there is a checkpoint");
}

}  // namespace

Command DeclareQuantizeCommand(CLI::App* app) {
  const auto arguments = std::make_shared<QuantizeArguments>();
  QuantizeRunOptions& options = arguments->options;
  rewrite::QuantizeOptions& quantize = options.options;
  options.calibrate.recording.histogram_bins = 0;
  app->add_option("--init", options.init_path,
                  "The net that makes the weights, or a predictor's minidb "
                  "(default: the predictor that is quantized)")
      ->type_name("FILE");
  app->add_option("--predict", options.predict_path,
                  "The float net: a NetDef, binary or text, or a predictor's "
                  "minidb")
      ->required()
      ->type_name("FILE");
  CLI::Option* const profile =
      app->add_option("--profile", options.profile_path,
                      "A profile of a calibration of this net")
          ->type_name("FILE");
  CLI::Option* const recipe =
      app->add_option("--recipe", options.recipe_path,
                      "A recipe that quantize wrote; it has all options")
          ->type_name("FILE");
  DeclareDataOptions(app, &options.calibrate.data, false);
  CLI::Option* const data = app->get_option("--data");
  profile->excludes(recipe)->excludes(data);
  recipe->excludes(data);
  DeclareCalibration(app, &options.calibrate);
  app->add_option("-o,--output", options.output_path,
                  "The folder to write: init_net.pb, predict_net.pb, "
                  "recipe.json, report.json; one that quantize wrote is "
                  "replaced")
      ->required()
      ->type_name("DIR");
  std::vector<CLI::Option*> of_recipe;
  of_recipe.push_back(
      app->add_option("--engine", quantize.engine,
                      "ONEDNN, or DNNLOWP for a net that needs no plugin")
          ->check(CLI::IsMember({"ONEDNN", "DNNLOWP"}))
          ->type_name("ENGINE")
          ->capture_default_str());
  of_recipe.push_back(
      app->add_option("--keep-float", quantize.keep_float,
                      "Operators that stay float: a name, a first output, a "
                      "type, or a regular expression of these")
          ->type_name("NAME|REGEX|TYPE"));
  of_recipe.push_back(app->add_option("--only", quantize.only,
                                      "The only operators that may be int8")
                          ->type_name("NAME|REGEX|TYPE"));
  of_recipe.push_back(app->add_flag(
      "--per-tensor", arguments->per_tensor,
      "One scale for each weight, not one for each output channel"));
  of_recipe.push_back(
      app->add_option_function<std::string>(
             "--activations",
             [&quantize](const std::string& text) {
               ParseMethod("--activations", text, &quantize.activation_method,
                           &quantize.activation_percentile,
                           &quantize.activation_bits);
             },
             "How ranges of tensors are chosen, and bits: MSE, P99.9, KL:7 ... "
             "(default: MIN_MAX:8)")
          ->type_name("METHOD[:BITS]"));
  of_recipe.push_back(
      app->add_option_function<std::string>(
             "--weights",
             [&quantize](const std::string& text) {
               ParseMethod("--weights", text, &quantize.weight_method,
                           &quantize.weight_percentile, &quantize.weight_bits);
             },
             "The same for weights (default: MIN_MAX:8)")
          ->type_name("METHOD[:BITS]"));
  of_recipe.push_back(
      app->add_option_function<std::string>(
             "--io",
             [&quantize](const std::string& text) {
               quantize.int8_io = text == "int8";
             },
             "The type of inputs and outputs that are quantized (default: "
             "float)")
          ->check(CLI::IsMember({"float", "int8"}))
          ->type_name("float|int8"));
  for (CLI::Option* const option : of_recipe) option->excludes(recipe);
  app->add_flag("--strict", options.strict,
                "Fail, and write nothing, if an operator stays float though "
                "nobody asked for it");
  app->add_option("--json", arguments->json_path,
                  "Write the report there as JSON too; - is standard output, "
                  "in place of the tables")
      ->type_name("FILE");
  app->add_flag("--quiet", arguments->quiet, "No tables, notes or progress");
  app->parse_complete_callback([profile, recipe, data] {
    if (profile->empty() && recipe->empty() && data->empty()) {
      throw CLI::RequiredError("One of --profile, --data and --recipe");
    }
  });
  return [arguments] { return QuantizeAndReport(*arguments); };
}

}  // namespace caffe2_quantization
