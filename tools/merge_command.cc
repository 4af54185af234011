// caffe2-quantize merge: many profiles made one, and a table of them.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "base/text.h"
#include "profiles/profile.h"
#include "tools/command.h"
#include "tools/output.h"
#include "tools/text_table.h"
#include "workflow/merge_report.h"

namespace caffe2_quantization {
namespace {

using Align = TextTable::Align;

struct MergeArguments {
  std::vector<std::string> inputs;
  std::string output;
  std::string json_path;
  MergeOptions options;
};

std::string Count(uint64_t count) {
  if (count > INT64_MAX) return std::to_string(count);
  return Grouped(static_cast<int64_t>(count));
}

std::string Joined(const std::vector<std::string>& names) {
  const std::string text = Printable(Join(names));
  return text.empty() ? "-" : text;
}

std::string MergeTable(const std::vector<ProfileSummary>& summaries) {
  TextTable table({{"profile"},
                   {"net"},
                   {"runs", Align::kRight},
                   {"recorded", Align::kRight},
                   {"samples", Align::kRight},
                   {"outputs", Align::kRight},
                   {"hosts"}});
  for (std::size_t i = 0; i < summaries.size(); ++i) {
    const ProfileSummary& each = summaries[i];
    const bool is_output = i + 1 == summaries.size();
    table.AddRow({(is_output ? "→ " : "") + Printable(each.path),
                  Printable(each.net_name), Count(each.runs),
                  Count(each.recorded_runs), Count(each.samples),
                  Count(each.outputs), Joined(each.hosts)});
  }
  return table.ToString();
}

Status MergeAndReport(const MergeArguments& arguments) {
  std::vector<ProfileSummary> summaries;
  const Status status = MergeProfileFiles(arguments.inputs, arguments.output,
                                          arguments.options, &summaries);
  if (!status.ok()) {
    // What it quotes comes from files.
    return Status::InvalidArgument(Printable(status.message()));
  }
  if (arguments.json_path != "-") Print(MergeTable(summaries));
  RETURN_IF_ERROR(FinishOutput(arguments.json_path,
                               [&] { return MergeReportToJson(summaries); }));
  for (const std::string& note : summaries.back().forced) {
    std::fprintf(stderr, "note: merged by force: %s\n",
                 Printable(note).c_str());
  }
  return Status::Ok();
}

}  // namespace

Command DeclareMergeCommand(CLI::App* app) {
  const auto arguments = std::make_shared<MergeArguments>();
  app->add_option("profiles", arguments->inputs, "Profiles, binary or JSON")
      ->required()
      ->type_name("PROFILE");
  app->add_option("-o,--output", arguments->output,
                  "Where to write the one profile; JSON when it ends in .json")
      ->required()
      ->type_name("FILE");
  app->add_flag("--force", arguments->options.force,
                "Merge profiles of other nets or options too; the result says "
                "what differed");
  app->add_option("--json", arguments->json_path,
                  "Write the table there as JSON; - is standard output, in "
                  "place of the table")
      ->type_name("FILE");
  return [arguments] { return MergeAndReport(*arguments); };
}

}  // namespace caffe2_quantization
