#include "tools/range_table.h"

#include <vector>

#include "base/text.h"
#include "tools/text_table.h"

namespace caffe2_quantization {

namespace {

using Align = TextTable::Align;

std::string ShapesText(const ShapeSet& set) {
  std::string text;
  for (const std::vector<int64_t>& shape : set.shapes()) {
    text += (text.empty() ? "" : ", ") + DimsText(shape);
  }
  return text + (set.more() ? ", ..." : "");
}

std::vector<std::string> ProfileRow(const std::string& path,
                                    const std::string& type,
                                    const OutputInfo& output) {
  const ValueRange& range = output.total.range;
  return {path,
          type,
          std::to_string(output.output_index),
          Printable(output.tensor_name),
          Printable(Join(output.types)),
          ShapesText(output.shapes),
          range.empty() ? "-" : range.MinText(),
          range.empty() ? "-" : range.MaxText(),
          std::to_string(output.runs),
          std::to_string(output.count),
          std::to_string(output.nan_count),
          std::to_string(output.infinity_count())};
}

}  // namespace

std::string ProfileTable(const NetInfo& info) {
  TextTable table({{"op"},
                   {"type"},
                   {"out", Align::kRight},
                   {"tensor"},
                   {"holds"},
                   {"shapes"},
                   {"min", Align::kRight},
                   {"max", Align::kRight},
                   {"runs", Align::kRight},
                   {"values", Align::kRight},
                   {"NaN", Align::kRight},
                   {"inf", Align::kRight}});
  for (const OutputInfo& input : info.inputs) {
    table.AddRow(ProfileRow("input", "", input));
  }
  for (const OperatorInfo& op : info.operators) {
    for (const OutputInfo& output : op.outputs) {
      table.AddRow(ProfileRow(PathText(op), Printable(op.op_type), output));
    }
  }
  return table.ToString();
}

std::string RangeTable(const NetInfo& info) {
  TextTable table({{"op", Align::kRight},
                   {"type"},
                   {"out", Align::kRight},
                   {"tensor"},
                   {"shape of last batch"},
                   {"min", Align::kRight},
                   {"max", Align::kRight},
                   {"NaN", Align::kRight},
                   {"inf", Align::kRight}});
  const auto add = [&](const std::string& path, const std::string& type,
                       const OutputInfo& output) {
    const ValueRange& range = output.total.range;
    table.AddRow({path, type, std::to_string(output.output_index),
                  Printable(output.tensor_name), DimsText(output.shape),
                  range.empty() ? "-" : range.MinText(),
                  range.empty() ? "-" : range.MaxText(),
                  Grouped(static_cast<int64_t>(output.nan_count)),
                  Grouped(static_cast<int64_t>(output.infinity_count()))});
  };
  for (const OutputInfo& input : info.inputs) add("in", "", input);
  for (const OperatorInfo& op : info.operators) {
    for (const OutputInfo& output : op.outputs) {
      add(PathText(op), op.op_type, output);
    }
  }
  return table.ToString();
}

}  // namespace caffe2_quantization
