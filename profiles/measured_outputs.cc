#include "profiles/measured_outputs.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "profiles/delimited_text.h"
#include "profiles/histogram_file.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"

namespace caffe2_quantization {
namespace {

Status Corruption(const MeasuredOutputs& measured, const std::string& message) {
  return Status::Corruption("'" + measured.path + "': " + message);
}

// What was read, by the path of the net that it is of; "" is the whole net.
using Lines = std::map<std::string, std::vector<MeasuredOutput>>;

Status LineOfProfile(const OutputInfo& output, bool histogram,
                     MeasuredOutput* line) {
  line->output_index = output.output_index;
  line->tensor_name = output.tensor_name;
  line->min = output.total.range.min();
  line->max = output.total.range.max();
  if (!histogram) return Status::Ok();
  line->histogram = output.total.histogram;
  if (line->min <= line->max && line->histogram.empty()) {
    return Status::InvalidArgument(
        "tensor '" + line->tensor_name +
        "' has no histogram, expected a profile that was recorded with "
        "histogram_bins");
  }
  return Status::Ok();
}

Status OutputsOfProfile(const NetInfo& info, bool histogram, Lines* lines,
                        MeasuredOutputs* measured) {
  for (const OperatorInfo& op : info.operators) {
    if (op.step_index >= 0) continue;
    std::string net_path;
    int index = op.op_index;
    if (!op.inner.empty()) {
      const InnerStep& last = op.inner.back();
      net_path = PathText(op.op_index, {op.inner.begin(), op.inner.end() - 1}) +
                 '/' + last.argument;
      index = last.op_index;
    }
    for (const OutputInfo& output : op.outputs) {
      MeasuredOutput line;
      line.op_index = index;
      line.op_type = op.op_type;
      RETURN_IF_ERROR(LineOfProfile(output, histogram, &line));
      (*lines)[net_path].push_back(std::move(line));
    }
  }
  for (const OutputInfo& input : info.inputs) {
    MeasuredOutput line;
    RETURN_IF_ERROR(LineOfProfile(input, histogram, &line));
    measured->inputs.emplace(input.tensor_name, std::move(line));
  }
  return Status::Ok();
}

// Leaves bins without values out at both ends, and takes the edges of the
// others: a file may have any number of such bins, and a range chosen from its
// edges would represent what never came.
MeasuredOutput Trimmed(HistogramLine&& read) {
  MeasuredOutput line;
  line.op_index = read.op_index;
  line.op_type = std::move(read.op_type);
  line.output_index = read.output_index;
  line.tensor_name = std::move(read.tensor_name);
  const auto counted = [](uint64_t count) { return count != 0; };
  auto& counts = read.counts;
  const auto begin = std::find_if(counts.begin(), counts.end(), counted);
  if (begin == counts.end()) return line;
  const auto end = std::find_if(counts.rbegin(), counts.rend(), counted).base();
  // max - min may be no double.
  const auto edge = [&](auto bin) {
    const double share =
        static_cast<double>(bin - counts.begin()) / counts.size();
    return bin == counts.end() ? read.max
                               : read.min * (1 - share) + read.max * share;
  };
  line.min = edge(begin);
  line.max = edge(end);
  line.counts.assign(begin, end);
  return line;
}

Status OutputsOfText(const std::string& text, bool histogram,
                     std::vector<MeasuredOutput>* lines) {
  if (histogram) {
    std::vector<HistogramLine> parsed;
    RETURN_IF_ERROR(ParseHistograms(text, &parsed));
    for (HistogramLine& each : parsed) {
      lines->push_back(Trimmed(std::move(each)));
    }
    return Status::Ok();
  }
  std::vector<MinMaxLine> parsed;
  RETURN_IF_ERROR(ParseMinMax(text, &parsed));
  for (MinMaxLine& each : parsed) {
    lines->push_back({each.op_index,
                      std::move(each.op_type),
                      each.output_index,
                      std::move(each.tensor_name),
                      each.range.min(),
                      each.range.max(),
                      {},
                      Histogram()});
  }
  return Status::Ok();
}

Status OutputsOfProfile(const std::string& contents, bool json, bool histogram,
                        Lines* lines, MeasuredOutputs* measured) {
  NetInfo info;
  RETURN_IF_ERROR(json ? ProfileFromJson(contents, &info)
                       : ProfileFromBytes(contents, &info));
  return OutputsOfProfile(info, histogram, lines, measured);
}

Status ByName(std::vector<MeasuredOutput> lines,
              const MeasuredOutputs& measured,
              MeasuredOutputs::ByName* by_name) {
  std::set<std::tuple<std::string, int, int>> seen;
  for (MeasuredOutput& line : lines) {
    if (!seen.emplace(line.tensor_name, line.op_index, line.output_index)
             .second) {
      return Corruption(
          measured, "tensor '" + line.tensor_name +
                        "' has two lines for output " +
                        std::to_string(line.output_index) + " of operator " +
                        std::to_string(line.op_index) + ", expected one");
    }
    (*by_name)[line.tensor_name].push_back(std::move(line));
  }
  for (auto& [name, of_name] : *by_name) {
    std::stable_sort(of_name.begin(), of_name.end(),
                     [](const MeasuredOutput& a, const MeasuredOutput& b) {
                       return a.op_index < b.op_index;
                     });
  }
  return Status::Ok();
}

}  // namespace

MeasuredOutputs MeasuredOutputs::Within(const std::string& net_path) const {
  MeasuredOutputs measured;
  measured.path = path;
  measured.histogram = histogram;
  const auto found = within.find(net_path);
  if (found != within.end()) measured.by_name = found->second;
  return measured;
}

bool MeasuredOutputs::HasWithin(const std::string& tensor_name) const {
  return std::any_of(within.begin(), within.end(), [&](const auto& net) {
    return net.second.count(tensor_name) > 0;
  });
}

Status ReadMeasuredOutputs(const std::string& path, bool histogram,
                           MeasuredOutputs* measured) {
  if (path.empty()) {
    return Status::InvalidArgument(
        "the path is empty, expected that of a profile");
  }
  std::string contents;
  RETURN_IF_ERROR(ReadFile(path, kMaxTextFileBytes, &contents));
  measured->path = path;
  measured->histogram = histogram;
  Lines lines;
  // A line begins with a digit; a binary profile with the tag of its version.
  const std::size_t first = contents.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && contents[first] == '{';
  if (json || (first != std::string::npos && contents[first] == '\b')) {
    const Status status =
        OutputsOfProfile(contents, json, histogram, &lines, measured);
    if (!status.ok()) return Corruption(*measured, status.message());
  } else {
    RETURN_IF_ERROR(
        InFile(path, OutputsOfText(contents, histogram, &lines[""])));
  }
  for (auto& [net_path, of_net] : lines) {
    RETURN_IF_ERROR(ByName(
        std::move(of_net), *measured,
        net_path.empty() ? &measured->by_name : &measured->within[net_path]));
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
