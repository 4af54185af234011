#include "netdef/output_match.h"

#include <algorithm>

#include "caffe2/utils/proto_utils.h"

namespace caffe2_quantization {
namespace {

std::string WithoutInt8(const std::string& op_type) {
  return op_type.compare(0, 4, "Int8") == 0 ? op_type.substr(4) : op_type;
}

bool IsOfType(const MeasuredOutput& line,
              const caffe2::OperatorDef& definition) {
  return line.op_type.empty() ||
         WithoutInt8(line.op_type) == WithoutInt8(definition.type());
}

}  // namespace

bool DequantizesOutput(const caffe2::OperatorDef& definition) {
  return caffe2::ArgumentHelper(definition)
             .GetSingleArgument<int>("dequantize_output", 0) != 0;
}

bool IsQuantize(const caffe2::OperatorDef& definition) {
  return WithoutInt8(definition.type()) == "Quantize" &&
         definition.input_size() > 0;
}

bool NeedsParameters(const NetOperator& op) {
  const std::string type = WithoutInt8(op.definition->type());
  return op.is_int8 && type != "Quantize" && type != "Dequantize" &&
         type != "FCPackWeight" && type != "ConvPackWeight" &&
         !DequantizesOutput(*op.definition);
}

OutputMatch::OutputMatch(const MeasuredOutputs& measured,
                         const std::vector<NetOperator>& operators)
    : measured_(measured), operators_(operators) {
  for (std::size_t i = 0; i < operators.size(); ++i) {
    for (const std::string& name : operators[i].definition->output()) {
      writes_[name].push_back({i, operators[i].definition});
    }
  }
}

Status OutputMatch::Find(const std::string& tensor_name, std::size_t op_index,
                         const MeasuredOutput** output) const {
  const caffe2::OperatorDef& definition = *operators_[op_index].definition;
  *output = nullptr;
  const auto found = measured_.by_name.find(tensor_name);
  if (found == measured_.by_name.end()) return Status::Ok();
  const std::vector<MeasuredOutput>& lines = found->second;
  const std::vector<Write>& writes = writes_.at(tensor_name);
  std::vector<const MeasuredOutput*> same_type;
  for (const MeasuredOutput& each : lines) {
    if (IsOfType(each, definition)) same_type.push_back(&each);
  }
  if (same_type.empty()) {
    if (writes.size() == 1) *output = &lines.back();
    return Status::Ok();
  }
  // How many of the net's operators want a line of this type, and which of
  // them this one is.
  std::size_t rivals = 0;
  std::size_t rank = 0;
  for (const Write& each : writes) {
    if (!IsOfType(*same_type.front(), *each.definition)) continue;
    if (each.op_index < op_index) ++rank;
    ++rivals;
  }
  if (rivals == same_type.size()) {
    *output = same_type[rank];
    return Status::Ok();
  }
  const auto of_index = std::find_if(
      same_type.begin(), same_type.end(), [&](const MeasuredOutput* each) {
        return static_cast<std::size_t>(each->op_index) == op_index;
      });
  if (of_index != same_type.end()) {
    *output = *of_index;
    return Status::Ok();
  }
  return Status::InvalidArgument(
      "'" + measured_.path + "': tensor '" + tensor_name + "' has " +
      std::to_string(same_type.size()) + " lines of type " + definition.type() +
      ", and the net has " + std::to_string(rivals) +
      " such operators that write it, expected as many, or a line of "
      "operator " +
      std::to_string(op_index));
}

Status OutputMatch::FindFirstInput(std::size_t op_index,
                                   const MeasuredOutput** output) const {
  const std::string& name = operators_[op_index].definition->input(0);
  const auto writes = writes_.find(name);
  const Write* before = nullptr;
  if (writes != writes_.end()) {
    for (const Write& each : writes->second) {
      if (each.op_index < op_index) before = &each;
    }
  }
  if (before != nullptr) {
    return Find(name, before->op_index, output);
  }
  // An external input of the net that was measured too.
  *output = nullptr;
  const auto input = measured_.inputs.find(name);
  if (input != measured_.inputs.end()) {
    *output = &input->second;
    return Status::Ok();
  }
  // Or one that the net that was measured made itself.
  const auto lines = measured_.by_name.find(name);
  if (lines != measured_.by_name.end() && lines->second.size() == 1) {
    *output = &lines->second.front();
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
