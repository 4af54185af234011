#include "profiles/histogram_file.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "base/text.h"
#include "profiles/delimited_text.h"

namespace caffe2_quantization {
namespace {

const OutputValues& ValuesOf(const OutputInfo& output, RangeSince since) {
  return since == RangeSince::kAttach ? output.total : output.values;
}

// min max nbins count…
void AppendBins(const Histogram& histogram, const std::string& delimiter,
                std::string* text) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  *text += ShortestText(std::max(histogram.lower_edge(), -kLargest)) +
           delimiter +
           ShortestText(std::min(histogram.upper_edge(), kLargest)) +
           delimiter + std::to_string(histogram.counts().size());
  for (const uint64_t count : histogram.counts()) {
    *text += delimiter + std::to_string(count);
  }
  *text += '\n';
}

// Reads them from fields[first] on.
Status ParseBins(const std::vector<TextField>& fields, std::size_t first,
                 double* min, double* max, std::vector<uint64_t>* counts) {
  const std::string& min_text = fields[first].text;
  const std::string& max_text = fields[first + 1].text;
  if (!ParseNumber(min_text, min) || !ParseNumber(max_text, max) ||
      !std::isfinite(*min) || !std::isfinite(*max) || !(*min <= *max)) {
    return Status::Corruption("min and max are '" + min_text + "' and '" +
                              max_text +
                              "', expected finite numbers, min at most max");
  }
  const std::size_t counted = fields.size() - first - 3;
  uint64_t bins = 0;
  if (!ParseNumber(fields[first + 2].text, &bins) || bins != counted) {
    return Status::Corruption("nbins is '" + fields[first + 2].text +
                              "', expected the number of counts, which is " +
                              std::to_string(counted));
  }
  if (bins == 0) return Status::Corruption("nbins is 0, expected 1 at least");
  counts->resize(counted);
  for (std::size_t i = 0; i < counted; ++i) {
    const TextField& field = fields[first + 3 + i];
    if (field.quoted || !ParseNumber(field.text, &(*counts)[i])) {
      return Status::Corruption("count " + std::to_string(i) + " is '" +
                                field.text +
                                "', expected an integer from 0 to 2^64 - 1");
    }
  }
  return Status::Ok();
}

Status CheckFields(const std::vector<TextField>& fields, std::size_t least,
                   const char* form) {
  if (fields.size() >= least) return Status::Ok();
  return Status::Corruption(std::to_string(fields.size()) +
                            " fields, expected " + form);
}

Status ParseHistogramLine(const std::vector<TextField>& fields,
                          HistogramLine* line) {
  RETURN_IF_ERROR(CheckFields(
      fields, 7,
      "op_index op_type output_index tensor_name min max nbins counts (or "
      "without op_type)"));
  // No operator's type is a number, unless in quotes: so the second field is
  // the output_index of the older form.
  int output_index = 0;
  const bool older =
      !fields[1].quoted && ParseNumber(fields[1].text, &output_index);
  const std::size_t shift = older ? 0 : 1;
  RETURN_IF_ERROR(ParseIndex("op_index", fields[0], &line->op_index));
  line->op_type = older ? "" : fields[1].text;
  RETURN_IF_ERROR(
      ParseIndex("output_index", fields[1 + shift], &line->output_index));
  line->tensor_name = fields[2 + shift].text;
  return ParseBins(fields, 3 + shift, &line->min, &line->max, &line->counts);
}

Status ParseColumnLine(const std::vector<TextField>& fields,
                       ColumnMaxLine* line) {
  RETURN_IF_ERROR(CheckFields(
      fields, 8,
      "op_index output_index tensor_name column min max nbins counts"));
  RETURN_IF_ERROR(ParseIndex("op_index", fields[0], &line->op_index));
  RETURN_IF_ERROR(ParseIndex("output_index", fields[1], &line->output_index));
  line->tensor_name = fields[2].text;
  RETURN_IF_ERROR(ParseIndex("column", fields[3], &line->column));
  return ParseBins(fields, 4, &line->min, &line->max, &line->counts);
}

}  // namespace

std::string FormatHistograms(const NetInfo& info, RangeSince since,
                             const std::string& delimiter) {
  std::string text;
  for (const OperatorInfo& op : info.operators) {
    if (!IsOfNetItself(op)) continue;
    for (const OutputInfo& output : op.outputs) {
      const Histogram& histogram = ValuesOf(output, since).histogram;
      if (histogram.empty()) continue;
      text += std::to_string(op.op_index) + delimiter +
              QuotedName(op.op_type, delimiter, true) + delimiter +
              std::to_string(output.output_index) + delimiter +
              QuotedName(output.tensor_name, delimiter) + delimiter;
      AppendBins(histogram, delimiter, &text);
    }
  }
  return text;
}

std::string FormatColumnMax(const NetInfo& info, RangeSince since,
                            const std::string& delimiter) {
  std::string text;
  for (const OperatorInfo& op : info.operators) {
    if (!IsOfNetItself(op)) continue;
    for (const OutputInfo& output : op.outputs) {
      const auto& columns = ValuesOf(output, since).column_max;
      for (std::size_t i = 0; i < columns.size(); ++i) {
        if (columns[i].empty()) continue;
        text += std::to_string(op.op_index) + delimiter +
                std::to_string(output.output_index) + delimiter +
                QuotedName(output.tensor_name, delimiter) + delimiter +
                std::to_string(i) + delimiter;
        AppendBins(columns[i], delimiter, &text);
      }
    }
  }
  return text;
}

Status ParseHistograms(const std::string& text,
                       std::vector<HistogramLine>* lines,
                       const std::string& delimiter) {
  lines->clear();
  return ForEachLine(text, delimiter,
                     [lines](const std::vector<TextField>& fields) {
                       lines->emplace_back();
                       return ParseHistogramLine(fields, &lines->back());
                     });
}

Status ParseColumnMax(const std::string& text,
                      std::vector<ColumnMaxLine>* lines,
                      const std::string& delimiter) {
  lines->clear();
  return ForEachLine(text, delimiter,
                     [lines](const std::vector<TextField>& fields) {
                       lines->emplace_back();
                       return ParseColumnLine(fields, &lines->back());
                     });
}

Status ReadHistogramFile(const std::string& path,
                         std::vector<HistogramLine>* lines,
                         const std::string& delimiter) {
  std::string text;
  RETURN_IF_ERROR(ReadFile(path, kMaxTextFileBytes, &text));
  return InFile(path, ParseHistograms(text, lines, delimiter));
}

Status ReadColumnMaxFile(const std::string& path,
                         std::vector<ColumnMaxLine>* lines,
                         const std::string& delimiter) {
  std::string text;
  RETURN_IF_ERROR(ReadFile(path, kMaxTextFileBytes, &text));
  return InFile(path, ParseColumnMax(text, lines, delimiter));
}

}  // namespace caffe2_quantization
