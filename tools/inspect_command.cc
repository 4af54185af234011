// caffe2-quantize inspect: the tables of one InspectReport for each file.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "base/text.h"
#include "inspect/inspect.h"
#include "inspect/inspect_float.h"
#include "inspect/inspect_json.h"
#include "tools/command.h"
#include "tools/output.h"
#include "tools/range_table.h"
#include "tools/text_table.h"

namespace caffe2_quantization {
namespace {

using Align = TextTable::Align;
constexpr char kUnknown[] = "-";

struct InspectArguments {
  std::vector<std::string> paths;
  std::string json_path;
  std::string float_path;
};

std::string Count(uint64_t count) {
  return Grouped(static_cast<int64_t>(count));
}

std::string OrUnknown(const std::string& text) {
  return text.empty() ? kUnknown : Printable(text);
}

std::string Joined(const std::vector<std::string>& names) {
  return Printable(Join(names));
}

std::string RatioText(uint64_t float_bytes, uint64_t bytes) {
  if (bytes == 0) return kUnknown;
  return Fixed(static_cast<double>(float_bytes) / static_cast<double>(bytes),
               2);
}

std::string MinText(const InspectedRange& range) {
  return range.count == 0 ? kUnknown : Rounded(range.min, 6);
}
std::string MaxText(const InspectedRange& range) {
  return range.count == 0 ? kUnknown : Rounded(range.max, 6);
}

// One number, or both ends of those of the channels.
std::string ChannelsText(const InspectedRange& range) {
  if (range.count == 0) return kUnknown;
  if (range.min == range.max) return Rounded(range.min, 6);
  return Rounded(range.min, 6) + " to " + Rounded(range.max, 6);
}

std::string OperatorTable(const InspectedNet& net) {
  TextTable table({{"op", Align::kRight},
                   {"type"},
                   {"inputs → outputs"},
                   {"engine"},
                   {"args", Align::kRight}});
  for (const InspectedOperator& op : net.operators) {
    const std::string inputs = Joined(op.inputs);
    table.AddRow({Count(op.index), Printable(op.type),
                  inputs + (inputs.empty() ? "→ " : " → ") + Joined(op.outputs),
                  Printable(op.engine), Count(op.arguments)});
  }
  return table.ToString();
}

std::string NetBlobTable(const InspectedNet& net) {
  TextTable table({{"name"},
                   {"made by op", Align::kRight},
                   {"reads", Align::kRight},
                   {"writes", Align::kRight}});
  for (const InspectedNetBlob& blob : net.blobs) {
    table.AddRow({Printable(blob.name),
                  blob.made_by < 0 ? kUnknown : Grouped(blob.made_by),
                  Count(blob.reads), Count(blob.writes)});
  }
  return table.ToString();
}

std::string BlobTable(const InspectReport& report) {
  TextTable table({{"name"},
                   {"type"},
                   {"bytes", Align::kRight},
                   {"records", Align::kRight}});
  for (const InspectedBlob& blob : report.blobs) {
    table.AddRow({Printable(blob.name), OrUnknown(blob.type), Count(blob.bytes),
                  Count(blob.records)});
  }
  return table.ToString();
}

std::string QTensorTable(const InspectReport& report) {
  TextTable table({{"name"},
                   {"dims"},
                   {"bits", Align::kRight},
                   {"sign"},
                   {"scale", Align::kRight},
                   {"bias", Align::kRight},
                   {"channels"},
                   {"bytes", Align::kRight},
                   {"as float", Align::kRight},
                   {"ratio", Align::kRight},
                   {"min", Align::kRight},
                   {"max", Align::kRight}});
  for (const InspectedQTensor& each : report.qtensors) {
    const bool channels = each.is_per_channel;
    table.AddRow({OrUnknown(each.name), DimsText(each.dims),
                  std::to_string(each.precision), each.is_signed ? "yes" : "no",
                  channels ? ChannelsText(each.scales) : Rounded(each.scale, 6),
                  channels ? ChannelsText(each.biases) : Rounded(each.bias, 6),
                  channels ? Count(each.channels) + " on axis " +
                                 std::to_string(each.axis)
                           : kUnknown,
                  Count(each.bytes), Count(each.float_bytes),
                  RatioText(each.float_bytes, each.bytes), MinText(each.range),
                  MaxText(each.range)});
  }
  return table.ToString();
}

std::string TensorTable(const InspectReport& report) {
  TextTable table({{"name"},
                   {"type"},
                   {"dims"},
                   {"bytes", Align::kRight},
                   {"min", Align::kRight},
                   {"max", Align::kRight},
                   {"NaN", Align::kRight}});
  for (const InspectedTensor& each : report.tensors) {
    table.AddRow({OrUnknown(each.name), Printable(each.type),
                  DimsText(each.dims), Count(each.bytes), MinText(each.range),
                  MaxText(each.range), Count(each.range.nan_count)});
  }
  return table.ToString();
}

std::string MetaTable(const InspectReport& report) {
  TextTable table({{"entry"}, {"key"}, {"values"}});
  for (const InspectedMeta& meta : report.meta) {
    table.AddRow({meta.field, Printable(meta.key), Joined(meta.values)});
  }
  return table.ToString();
}

void PrintNet(const InspectedNet& net) {
  Print("\nNet '" + Printable(net.name) + "'" +
        (net.type.empty() ? "" : " (" + Printable(net.type) + ")") +
        (net.label.empty() ? "" : ", " + Printable(net.label)) + ": " +
        Count(net.operator_count) +
        (net.operator_count == 1 ? " operator" : " operators"));
  if (!net.external_inputs.empty() || !net.external_outputs.empty()) {
    Print("\nfrom outside " + OrUnknown(Joined(net.external_inputs)) +
          "; to outside " + OrUnknown(Joined(net.external_outputs)));
  }
  Print("\n");
  if (!net.operators.empty()) Print(OperatorTable(net));
  if (!net.blobs.empty()) Print("\nBlobs of it\n" + NetBlobTable(net));
}

std::string Percent(uint64_t count, uint64_t total) {
  if (total == 0) return kUnknown;
  return Fixed(100 * static_cast<double>(count) / static_cast<double>(total),
               2) +
         " %";
}

std::string EndsText(const InspectedRange& range) {
  if (range.count == 0) return kUnknown;
  return Rounded(range.min, 4) + " to " + Rounded(range.max, 4);
}

std::string WeightTable(const FloatComparison& comparison) {
  TextTable table({{"weight"},
                   {"stored as"},
                   {"bits", Align::kRight},
                   {"scale", Align::kRight},
                   {"zero", Align::kRight},
                   {"represents", Align::kRight},
                   {"float", Align::kRight},
                   {"at limits", Align::kRight},
                   {"clipped", Align::kRight},
                   {"integers", Align::kRight},
                   {"SQNR dB", Align::kRight},
                   {"largest error", Align::kRight},
                   {"bytes", Align::kRight},
                   {"ratio", Align::kRight}});
  for (const ComparedWeight& each : comparison.weights) {
    table.AddRow({Printable(each.weight), Printable(each.blob),
                  std::to_string(each.bits) + (each.is_signed ? " + sign" : ""),
                  ChannelsText(each.scales), ChannelsText(each.zero_offsets),
                  EndsText(each.representable), EndsText(each.float_range),
                  Percent(each.at_limits, each.elements),
                  Percent(each.clipped, each.elements),
                  each.integers == 0 ? kUnknown
                                     : Count(each.integers_used) + " of " +
                                           Count(each.integers),
                  Fixed(each.SqnrDecibel(), 2), Rounded(each.largest_error, 4),
                  Count(each.bytes), RatioText(each.float_bytes, each.bytes)});
  }
  return table.ToString();
}

std::string CostTable(const FloatComparison& comparison) {
  TextTable table({{"model"},
                   {"file bytes", Align::kRight},
                   {"load ms", Align::kRight},
                   {"peak KiB", Align::kRight}});
  for (const ModelCost* cost : {&comparison.float_cost, &comparison.cost}) {
    table.AddRow({Printable(cost->path), Count(cost->file_bytes),
                  Fixed(1000 * cost->load_seconds, 3),
                  cost->has_peak ? Count(cost->peak_bytes / 1024) : kUnknown});
  }
  return table.ToString();
}

void PrintComparison(const FloatComparison& comparison) {
  Print("\nAgainst " + Printable(comparison.float_cost.path));
  if (!comparison.weights.empty()) {
    Print(": SQNR " + Fixed(comparison.SqnrDecibel(), 2) + " dB over " +
          Count(comparison.weights.size()) + " weights\n" +
          WeightTable(comparison));
  } else {
    Print("\n");
  }
  Print("\n" + CostTable(comparison));
}

void PrintProfile(const NetInfo& info) {
  std::string head =
      "\nNet '" + Printable(info.net_name) + "'" +
      (info.observer.empty() ? "" : ", observer " + Printable(info.observer)) +
      ": format version " + std::to_string(info.format_version) + ", " +
      std::to_string(info.recorded_runs) + " of " + std::to_string(info.runs) +
      " runs recorded, " +
      (info.samples == 0 ? "samples unknown"
                         : std::to_string(info.samples) + " samples");
  if (!info.checkpoint.settings.empty()) {
    head += "; the checkpoint of a calibration after " +
            std::to_string(info.checkpoint.batches) + " batches";
  }
  head += "\nhash " + OrUnknown(info.net_hash) + ", histograms " +
          (info.options.histogram_bins == 0
               ? std::string("none")
               : "of " + std::to_string(info.options.histogram_bins) +
                     " bins at most") +
          ", " + Count(info.inputs.size()) + " external inputs, " +
          Count(info.operators.size()) + " operators\n";
  if (!info.hosts.empty()) head += "recorded on " + Joined(info.hosts) + "\n";
  if (!info.forced.empty()) {
    head += "merged by force: " + Printable(Join(info.forced, "; ")) + "\n";
  }
  Print(head + "\n" + ProfileTable(info));
}

void PrintReport(const InspectReport& report) {
  Print(report.path + ": " + ModelFormName(report.form) +
        (report.is_predictor ? " of a predictor" : "") +
        (report.is_text ? ", text, " : ", binary, ") +
        Count(report.file_bytes) + " bytes" + (report.ok() ? "" : ", BROKEN") +
        "\n");
  if (report.profile) PrintProfile(*report.profile);
  if (!report.meta.empty()) Print("\nPredictor\n" + MetaTable(report));
  for (const InspectedNet& net : report.nets) PrintNet(net);
  if (!report.blobs.empty()) Print("\nBlobs\n" + BlobTable(report));
  if (!report.qtensors.empty()) {
    Print("\nQTensors: " + Count(report.qtensor_bytes) + " bytes, " +
          Count(report.qtensor_float_bytes) + " as float\n" +
          QTensorTable(report));
  }
  if (!report.tensors.empty()) {
    Print("\nTensors: " + Count(report.tensor_bytes) + " bytes\n" +
          TensorTable(report));
  }
  if (report.against_float) PrintComparison(*report.against_float);
}

void PrintNotes(const std::string& path,
                const std::vector<std::string>& notes) {
  std::fflush(stdout);
  for (const std::string& note : notes) {
    std::fprintf(stderr, "note: %s: %s\n", path.c_str(),
                 Printable(note).c_str());
  }
}

// A line for each thing that is wrong with the file.
void AddFaults(const InspectReport& report, std::vector<std::string>* lines) {
  for (const ModelFault& fault : report.faults) {
    lines->push_back(report.path + ": " + Printable(fault.ToString()));
  }
  if (report.fault_count > report.faults.size()) {
    lines->push_back(report.path + ": and " +
                     Count(report.fault_count - report.faults.size()) +
                     " more");
  }
}

Status InspectAndReport(const InspectArguments& arguments) {
  const bool json_to_stdout = arguments.json_path == "-";
  std::vector<InspectReport> reports;
  std::vector<std::string> errors;
  bool first = true;
  for (const std::string& path : arguments.paths) {
    InspectReport report;
    const Status status = InspectFile(path, &report);
    if (!status.ok()) {
      errors.push_back(status.message());
      continue;
    }
    AddFaults(report, &errors);
    if (report.ok() && !arguments.float_path.empty()) {
      const Status compared = CompareWithFloat(arguments.float_path, &report);
      if (!compared.ok()) errors.push_back(Printable(compared.message()));
    }
    if (!json_to_stdout) {
      if (!first) Print("\n");
      PrintReport(report);
      PrintNotes(path, report.notes);
      if (report.against_float) PrintNotes(path, report.against_float->notes);
    }
    first = false;
    if (!arguments.json_path.empty()) reports.push_back(std::move(report));
  }
  RETURN_IF_ERROR(
      FinishOutput(arguments.json_path, [&] { return ToJson(reports); }));
  if (errors.empty()) return Status::Ok();
  for (std::size_t i = 0; i + 1 < errors.size(); ++i) {
    std::fprintf(stderr, "caffe2-quantize: %s\n", errors[i].c_str());
  }
  return Status::Corruption(errors.back());
}

}  // namespace

Command DeclareInspectCommand(CLI::App* app) {
  const auto arguments = std::make_shared<InspectArguments>();
  app->add_option("files", arguments->paths,
                  "NetDef, BlobProto, TensorProtos, MetaNetDef (binary or "
                  "text) or minidb")
      ->required()
      ->type_name("FILE");
  app->add_option("--json", arguments->json_path,
                  "Write everything there as JSON; - is standard output, in "
                  "place of the tables")
      ->type_name("FILE");
  app->add_option("--float", arguments->float_path,
                  "A model with the same weights as floats: tells what the "
                  "fewer bits cost. Runs the nets of both")
      ->type_name("MODEL");
  return [arguments] { return InspectAndReport(*arguments); };
}

}  // namespace caffe2_quantization
