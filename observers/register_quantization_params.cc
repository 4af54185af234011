#include "observers/register_quantization_params.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/count_line.h"
#include "base/process.h"
#include "base/read_file.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/dnnlowp_settings.h"
#include "observers/attachment.h"
#include "profiles/delimited_text.h"
#include "profiles/histogram_file.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"
#include "quantization/choose.h"

namespace caffe2_quantization {
namespace {

// What a file says of one output. No value was seen: min > max.
struct Line {
  int op_index = 0;
  std::string op_type;  // empty: of an older form
  int output_index = 0;
  std::string tensor_name;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  // Of the two that a file may have, one is not empty.
  std::vector<uint64_t> counts;
  Histogram histogram;
};

struct Measured {
  std::string path;
  bool histogram = false;
  // By tensor name, in the order of op_index.
  std::map<std::string, std::vector<Line>> lines;
};

Status Corruption(const Measured& measured, const std::string& message) {
  return Status::Corruption("'" + measured.path + "': " + message);
}

Status LinesOfProfile(const NetInfo& info, bool histogram,
                      std::vector<Line>* lines) {
  for (const OperatorInfo& op : info.operators) {
    // Operators of a step net are made anew, out of reach.
    if (op.step_index >= 0) continue;
    for (const OutputInfo& output : op.outputs) {
      Line line;
      line.op_index = op.op_index;
      line.op_type = op.op_type;
      line.output_index = output.output_index;
      line.tensor_name = output.tensor_name;
      line.min = output.total.range.min();
      line.max = output.total.range.max();
      if (histogram) {
        line.histogram = output.total.histogram;
        if (line.min <= line.max && line.histogram.empty()) {
          return Status::InvalidArgument(
              "tensor '" + line.tensor_name +
              "' has no histogram, expected a profile that was recorded with "
              "histogram_bins");
        }
      }
      lines->push_back(std::move(line));
    }
  }
  return Status::Ok();
}

// Leaves bins without values out at both ends, and takes the edges of the
// others: a file may have any number of such bins, and a range chosen from its
// edges would represent what never came.
Line Trimmed(HistogramLine&& read) {
  Line line;
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

Status LinesOfText(const std::string& text, bool histogram,
                   std::vector<Line>* lines) {
  if (histogram) {
    std::vector<HistogramLine> parsed;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ParseHistograms(text, &parsed));
    for (HistogramLine& each : parsed) {
      lines->push_back(Trimmed(std::move(each)));
    }
    return Status::Ok();
  }
  std::vector<MinMaxLine> parsed;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ParseMinMax(text, &parsed));
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

Status LinesOfProfile(const std::string& contents, bool json, bool histogram,
                      std::vector<Line>* lines) {
  NetInfo info;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(json ? ProfileFromJson(contents, &info)
                                           : ProfileFromBytes(contents, &info));
  return LinesOfProfile(info, histogram, lines);
}

Status ReadMeasured(const std::string& path, bool histogram,
                    Measured* measured) {
  if (path.empty()) {
    return Status::InvalidArgument(
        "the path is empty, expected that of a profile");
  }
  std::string contents;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadFile(path, kMaxTextFileBytes, &contents));
  measured->path = path;
  measured->histogram = histogram;
  std::vector<Line> lines;
  // A line begins with a digit; a binary profile with the tag of its version.
  const std::size_t first = contents.find_first_not_of(" \t\r\n");
  const bool json = first != std::string::npos && contents[first] == '{';
  if (json || (first != std::string::npos && contents[first] == '\b')) {
    const Status status = LinesOfProfile(contents, json, histogram, &lines);
    if (!status.ok()) return Corruption(*measured, status.message());
  } else {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        InFile(path, LinesOfText(contents, histogram, &lines)));
  }
  std::set<std::tuple<std::string, int, int>> seen;
  for (Line& line : lines) {
    if (!seen.emplace(line.tensor_name, line.op_index, line.output_index)
             .second) {
      return Corruption(
          *measured, "tensor '" + line.tensor_name +
                         "' has two lines for output " +
                         std::to_string(line.output_index) + " of operator " +
                         std::to_string(line.op_index) + ", expected one");
    }
    measured->lines[line.tensor_name].push_back(std::move(line));
  }
  for (auto& [name, of_name] : measured->lines) {
    std::stable_sort(
        of_name.begin(), of_name.end(),
        [](const Line& a, const Line& b) { return a.op_index < b.op_index; });
  }
  return Status::Ok();
}

// An operator of a net, live or not.
struct NetOperator {
  const caffe2::OperatorDef* definition;
  bool is_int8;
};

std::vector<NetOperator> OperatorsOf(const caffe2::NetBase& net) {
  std::vector<NetOperator> operators;
  for (const caffe2::OperatorBase* op : net.GetOperators()) {
    const auto& definition = op->debug_def();
    operators.push_back({&definition, IsInt8Engine(definition.engine()) ||
                                          IsInt8Engine(op->engine())});
  }
  return operators;
}

bool DequantizesOutput(const caffe2::OperatorDef& definition) {
  return caffe2::ArgumentHelper(definition)
             .GetSingleArgument<int>("dequantize_output", 0) != 0;
}

std::string WithoutInt8(const std::string& op_type) {
  return op_type.compare(0, 4, "Int8") == 0 ? op_type.substr(4) : op_type;
}

bool IsQuantize(const caffe2::OperatorDef& definition) {
  return WithoutInt8(definition.type()) == "Quantize" &&
         definition.input_size() > 0;
}

// Whether its outputs are int8 tensors that a float net has under these names.
bool NeedsParameters(const NetOperator& op) {
  const std::string type = WithoutInt8(op.definition->type());
  return op.is_int8 && type != "Quantize" && type != "Dequantize" &&
         type != "FCPackWeight" && type != "ConvPackWeight" &&
         !DequantizesOutput(*op.definition);
}

bool IsOfType(const Line& line, const caffe2::OperatorDef& definition) {
  return line.op_type.empty() ||
         WithoutInt8(line.op_type) == WithoutInt8(definition.type());
}

// Where a net writes a tensor.
struct Write {
  std::size_t op_index;
  const caffe2::OperatorDef* definition;
};

using Writes = std::map<std::string, std::vector<Write>>;

// The line of a tensor that an operator writes: see the header. Null: none.
Status FindLine(const Measured& measured, const std::string& tensor_name,
                const Write& write, const Writes& all_writes,
                const Line** line) {
  *line = nullptr;
  const auto found = measured.lines.find(tensor_name);
  if (found == measured.lines.end()) return Status::Ok();
  const std::vector<Line>& lines = found->second;
  const std::vector<Write>& writes = all_writes.at(tensor_name);
  std::vector<const Line*> same_type;
  for (const Line& each : lines) {
    if (IsOfType(each, *write.definition)) same_type.push_back(&each);
  }
  if (same_type.empty()) {
    if (writes.size() == 1) *line = &lines.back();
    return Status::Ok();
  }
  // How many of the net's operators want a line of this type, and which of
  // them this one is.
  std::size_t rivals = 0;
  std::size_t rank = 0;
  for (const Write& each : writes) {
    if (!IsOfType(*same_type.front(), *each.definition)) continue;
    if (each.op_index < write.op_index) ++rank;
    ++rivals;
  }
  if (rivals == same_type.size()) {
    *line = same_type[rank];
    return Status::Ok();
  }
  const auto of_index =
      std::find_if(same_type.begin(), same_type.end(), [&](const Line* each) {
        return static_cast<std::size_t>(each->op_index) == write.op_index;
      });
  if (of_index != same_type.end()) {
    *line = *of_index;
    return Status::Ok();
  }
  return Status::InvalidArgument(
      "'" + measured.path + "': tensor '" + tensor_name + "' has " +
      std::to_string(same_type.size()) + " lines of type " +
      write.definition->type() + ", and the net has " + std::to_string(rivals) +
      " such operators that write it, expected as many, or a line of "
      "operator " +
      std::to_string(write.op_index));
}

// The line of what an operator reads as its first input.
Status FindLineOfInput(const Measured& measured, const NetOperator& op,
                       std::size_t op_index, const Writes& all_writes,
                       const Line** line) {
  const std::string& name = op.definition->input(0);
  const auto writes = all_writes.find(name);
  const Write* before = nullptr;
  if (writes != all_writes.end()) {
    for (const Write& each : writes->second) {
      if (each.op_index < op_index) before = &each;
    }
  }
  if (before != nullptr) {
    return FindLine(measured, name, *before, all_writes, line);
  }
  // An input of the net, which the net that was measured made itself.
  *line = nullptr;
  const auto lines = measured.lines.find(name);
  if (lines != measured.lines.end() && lines->second.size() == 1) {
    *line = &lines->second.front();
  }
  return Status::Ok();
}

// Parameters of one output of a net.
struct Chosen {
  std::size_t op_index;
  std::string op_type;
  int output_index;
  std::string tensor_name;
  QuantizedType type;
  Choice choice;
};

bool FitsFloat(double value) {
  return std::fabs(value) <= std::numeric_limits<float>::max();
}

// How parameters are chosen; as in RegisterOptions.
struct Settings {
  bool is_weight = false;
  bool dnnlowp = false;
};

Status ChooseOf(const Line& line, bool histogram,
                const caffe2::OperatorDef& definition, Settings settings,
                Chosen* chosen) {
  ChooseOptions options;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      DnnlowpOptions(definition, settings.is_weight, &options));
  if (settings.dnnlowp) ChooseLikeDnnlowp(&options);
  chosen->type = options.Codes();
  if (line.min > line.max) {
    chosen->choice = Choice();
    chosen->choice.scale = 0.1f;
    return Status::Ok();
  }
  if (!FitsFloat(line.min) || !FitsFloat(line.max)) {
    return Status::InvalidArgument("the range is [" + NumberText(line.min) +
                                   ", " + NumberText(line.max) +
                                   "], expected limits that are floats");
  }
  const auto min = static_cast<float>(line.min);
  const auto max = static_cast<float>(line.max);
  if (!histogram || min == max) {
    return ChooseFromRange(min, max, options, &chosen->choice);
  }
  if (line.counts.empty()) {
    return ChooseFromHistogram(line.histogram, min, max, options,
                               &chosen->choice);
  }
  return ChooseFromCounts({min, max, line.counts}, options, &chosen->choice);
}

// Fills *chosen with the outputs that have a line, of all operators with
// `every`, else of the int8 ones. *fits: whether one tensor at least that needs
// a line has one; *missing: those that have none.
Status ChooseAll(const Measured& measured,
                 const std::vector<NetOperator>& operators, Settings settings,
                 bool every, std::vector<Chosen>* chosen, bool* fits,
                 std::vector<std::string>* missing) {
  *fits = false;
  Writes writes;
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const auto& definition = *operators[i].definition;
    for (const std::string& name : definition.output()) {
      writes[name].push_back({i, &definition});
    }
  }
  std::size_t num_outputs = 0;
  for (const NetOperator& op : operators) {
    if (op.is_int8 || every) num_outputs += op.definition->output_size();
  }
  std::size_t done = 0;
  CountLine progress("'" + measured.path + "': choosing parameters", "tensors",
                     num_outputs);
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const NetOperator& op = operators[i];
    if (!op.is_int8 && !every) continue;
    const bool needed = NeedsParameters(op);
    for (int j = 0; j < op.definition->output_size(); ++j) {
      const std::string& name = op.definition->output(j);
      progress.Update(done++);
      const Line* line = nullptr;
      Status found =
          FindLine(measured, name, {i, op.definition}, writes, &line);
      if (found.ok() && line == nullptr && IsQuantize(*op.definition)) {
        found = FindLineOfInput(measured, op, i, writes, &line);
      }
      // What is not needed need not be clear either.
      if (!found.ok() && needed) return found;
      if (line == nullptr) {
        if (needed) missing->push_back(name);
        LOG_IF(WARNING, op.is_int8 && IsQuantize(*op.definition))
            << "'" << measured.path << "' has no line of '" << name
            << "' or of '" << op.definition->input(0)
            << "', which is quantized to it: the operator chooses anew in "
               "every run";
        continue;
      }
      *fits = *fits || needed;
      Chosen each{i, op.definition->type(), j, name, QuantizedType(), Choice()};
      const Status status =
          ChooseOf(*line, measured.histogram, *op.definition, settings, &each);
      if (!status.ok()) {
        if (!op.is_int8) continue;  // nobody asks for them but the output file
        return Status::InvalidArgument("'" + measured.path + "': tensor '" +
                                       name + "': " + status.message());
      }
      if (!each.choice.warning.empty() && op.is_int8) {
        LOG(WARNING) << "'" << measured.path << "': tensor '" << name
                     << "': " << each.choice.warning;
      }
      chosen->push_back(std::move(each));
    }
  }
  return Status::Ok();
}

Status Missing(const Measured& measured, const std::string& net_name,
               const std::vector<std::string>& missing) {
  if (missing.empty()) return Status::Ok();
  constexpr std::size_t kShown = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(missing.size(), kShown); ++i) {
    names += (i == 0 ? "'" : ", '") + missing[i] + "'";
  }
  if (missing.size() > kShown) {
    names += " and " + std::to_string(missing.size() - kShown) + " more";
  }
  return Status::InvalidArgument(
      "'" + measured.path + "' has no line of " + names +
      ", expected one for each output of the int8 operators of net '" +
      net_name + "'");
}

// The fewest digits that read back as the same float.
std::string FloatText(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return std::string(text, end);
}

std::string FormatParameters(const std::vector<Chosen>& chosen) {
  const std::string blank = " ";
  std::string text;
  for (const Chosen& each : chosen) {
    text += std::to_string(each.op_index) + blank +
            QuotedName(each.op_type, blank) + blank +
            std::to_string(each.output_index) + blank +
            QuotedName(each.tensor_name, blank) + blank +
            FloatText(each.choice.RepresentedMin(each.type)) + blank +
            FloatText(each.choice.RepresentedMax(each.type)) + blank +
            FloatText(each.choice.scale) + blank +
            std::to_string(each.choice.zero_point) + blank +
            std::to_string(each.type.precision) + '\n';
  }
  return text;
}

// Gives a net its parameters. With `or_none`, a net that does not fit at all is
// left alone.
Status Register(const Measured& measured, const RegisterOptions& options,
                bool or_none, caffe2::NetBase* net) {
  const auto operators = OperatorsOf(*net);
  std::vector<Chosen> chosen;
  std::vector<std::string> missing;
  bool fits = false;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ChooseAll(measured, operators, {options.is_weight, options.dnnlowp},
                !options.output_path.empty(), &chosen, &fits, &missing));
  if (or_none && !fits && !missing.empty()) {
    LOG(WARNING) << Missing(measured, net->Name(), missing).message()
                 << "; it has none, so the net is left alone";
    return Status::Ok();
  }
  if (or_none &&
      std::none_of(chosen.begin(), chosen.end(), [&](const Chosen& each) {
        return operators[each.op_index].is_int8;
      })) {
    return Status::Ok();
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Missing(measured, net->Name(), missing));
  if (!options.output_path.empty()) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        WriteFileAtomically(options.output_path, FormatParameters(chosen)));
  }
  const auto live = net->GetOperators();
  for (const Chosen& each : chosen) {
    if (!operators[each.op_index].is_int8) continue;
    caffe2::OperatorBase* op = live[each.op_index];
    auto definition = std::make_shared<caffe2::OperatorDef>(op->debug_def());
    SetStaticParameters(each.output_index, each.choice.scale,
                        each.choice.zero_point, definition.get());
    op->set_debug_def(definition);
  }
  return Status::Ok();
}

// What the host asks for every later net, until it is told to stop.
class LaterNets {
 public:
  // Never destroyed: nets may be made while the process exits.
  static LaterNets& Get() {
    static LaterNets* later_nets = new LaterNets;
    return *later_nets;
  }

  // A child goes on with what its parent registered.
  LaterNets() { HoldAcrossForks(&mutex_); }

  void Add(Measured measured, const RegisterOptions& options) {
    std::lock_guard<std::mutex> lock(mutex_);
    plans_.push_back(
        std::make_shared<const Plan>(Plan{std::move(measured), options}));
    // The host may have cleared its creators, and with them this one.
    if (!creator_alive_.expired()) return;
    const auto alive = std::make_shared<bool>(true);
    creator_alive_ = alive;
    caffe2::AddGlobalNetObserverCreator(
        [alive](caffe2::NetBase* net) { return Get().Register(net); });
  }

  void Clear() {
    std::lock_guard<std::mutex> lock(mutex_);
    plans_.clear();
  }

 private:
  struct Plan {
    Measured measured;
    RegisterOptions options;
  };

  std::unique_ptr<caffe2::NetObserver> Register(caffe2::NetBase* net) {
    std::vector<std::shared_ptr<const Plan>> plans;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      plans = plans_;
    }
    for (const auto& plan : plans) {
      const Status status = caffe2_quantization::Register(
          plan->measured, plan->options, true, net);
      CAFFE_ENFORCE(status.ok(),
                    plan->options.histogram
                        ? "RegisterQuantizationParamsWithHistogram: "
                        : "RegisterQuantizationParams: ",
                    status.message());
    }
    // The host attaches what it gets; this one observes nothing.
    return std::make_unique<caffe2::NetObserver>(net);
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<const Plan>> plans_;
  std::weak_ptr<bool> creator_alive_;
};

}  // namespace

Status RegisterQuantizationParams(caffe2::NetBase* net,
                                  const RegisterOptions& options) {
  if (net == nullptr) {
    return Status::InvalidArgument(
        "the net is null, expected one that a workspace made");
  }
  Measured measured;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadMeasured(options.path, options.histogram, &measured));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      CheckIsNotRunning(*net, "register parameters"));
  return Register(measured, options, false, net);
}

Status RegisterQuantizationParamsOfLaterNets(const RegisterOptions& options) {
  Measured measured;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadMeasured(options.path, options.histogram, &measured));
  LaterNets::Get().Add(std::move(measured), options);
  return Status::Ok();
}

void StopRegisteringQuantizationParams() { LaterNets::Get().Clear(); }

Status AddScaleZeroOffsetArgumentsWithHistogram(const std::string& path,
                                                caffe2::NetDef* net,
                                                bool dnnlowp) {
  Measured measured;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadMeasured(path, true, &measured));
  std::vector<NetOperator> operators;
  for (const auto& definition : net->op()) {
    operators.push_back({&definition, IsInt8Engine(definition.engine()) &&
                                          !DequantizesOutput(definition)});
  }
  std::vector<Chosen> chosen;
  std::vector<std::string> missing;
  bool fits = false;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ChooseAll(
      measured, operators, {false, dnnlowp}, false, &chosen, &fits, &missing));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Missing(measured, net->name(), missing));
  for (const Chosen& each : chosen) {
    SetStaticParameters(each.output_index, each.choice.scale,
                        each.choice.zero_point,
                        net->mutable_op(static_cast<int>(each.op_index)));
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
