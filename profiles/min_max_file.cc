#include "profiles/min_max_file.h"

#include <cmath>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "profiles/delimited_text.h"

namespace caffe2_quantization {
namespace {

Status ParseLine(const std::vector<TextField>& fields, MinMaxLine* line) {
  if (fields.size() != 5 && fields.size() != 6) {
    return Status::Corruption(std::to_string(fields.size()) +
                              " fields, expected 6 (or 5, without op_type)");
  }
  const std::size_t shift = fields.size() - 5;  // 1 with op_type
  RETURN_IF_ERROR(ParseIndex("op_index", fields[0], &line->op_index));
  line->op_type = shift == 1 ? fields[1].text : "";
  RETURN_IF_ERROR(
      ParseIndex("output_index", fields[1 + shift], &line->output_index));
  line->tensor_name = fields[2 + shift].text;
  const std::string& min_text = fields[3 + shift].text;
  const std::string& max_text = fields[4 + shift].text;
  int64_t integer_min, integer_max;
  double min, max;
  if (ParseNumber(min_text, &integer_min) &&
      ParseNumber(max_text, &integer_max)) {
    line->range = ValueRange::OfIntegers(integer_min, integer_max);
  } else if (ParseNumber(min_text, &min) && ParseNumber(max_text, &max) &&
             std::isfinite(min) && std::isfinite(max)) {
    line->range = ValueRange::OfDoubles(min, max);
  } else {
    return Status::Corruption("min and max are '" + min_text + "' and '" +
                              max_text + "', expected finite numbers");
  }
  return Status::Ok();
}

}  // namespace

std::string FormatMinMax(const NetInfo& info, RangeSince since,
                         const std::string& delimiter) {
  std::string text;
  for (const OperatorInfo& op : info.operators) {
    if (!IsOfNetItself(op)) continue;
    for (const OutputInfo& output : op.outputs) {
      const ValueRange& range = since == RangeSince::kAttach
                                    ? output.total.range
                                    : output.values.range;
      text += std::to_string(op.op_index) + delimiter +
              QuotedName(op.op_type, delimiter) + delimiter +
              std::to_string(output.output_index) + delimiter +
              QuotedName(output.tensor_name, delimiter) + delimiter +
              range.MinText() + delimiter + range.MaxText() + '\n';
    }
  }
  return text;
}

Status ParseMinMax(const std::string& text, std::vector<MinMaxLine>* lines,
                   const std::string& delimiter) {
  lines->clear();
  return ForEachLine(text, delimiter,
                     [lines](const std::vector<TextField>& fields) {
                       lines->emplace_back();
                       return ParseLine(fields, &lines->back());
                     });
}

Status ReadMinMaxFile(const std::string& path, std::vector<MinMaxLine>* lines,
                      const std::string& delimiter) {
  std::string text;
  RETURN_IF_ERROR(ReadFile(path, kMaxTextFileBytes, &text));
  return InFile(path, ParseMinMax(text, lines, delimiter));
}

std::string NumberedPath(const std::string& path, uint64_t number) {
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  const std::size_t dot = path.rfind('.');
  const std::string suffix = "_" + std::to_string(number);
  // A dot that starts the name is part of it.
  if (dot == std::string::npos || dot <= name) return path + suffix;
  return path.substr(0, dot) + suffix + path.substr(dot);
}

}  // namespace caffe2_quantization
