#include "netdef/data_inputs.h"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "caffe2/utils/proto_utils.h"

namespace caffe2_quantization {
namespace {

bool StartsWith(const std::string& text, const char* start) {
  return text.rfind(start, 0) == 0;
}

// Whether operators of this type read a parameter there.
bool IsParameter(const std::string& op_type, int slot) {
  const std::string type =
      StartsWith(op_type, "Int8") ? op_type.substr(4) : op_type;
  if (StartsWith(type, "SparseLengths") || type == "Gather") return slot == 0;
  if (type == "PRelu") return slot == 1;
  if (type == "SpatialBN") return slot >= 1 && slot <= 4;
  static const std::set<std::string> kWithWeightAndBias = {"Conv",
                                                           "Conv1D",
                                                           "Conv2D",
                                                           "Conv3D",
                                                           "ConvTranspose",
                                                           "ChannelwiseConv3D",
                                                           "ConvRelu",
                                                           "FC",
                                                           "FCTransposed",
                                                           "FCRelu",
                                                           "InstanceNorm",
                                                           "GroupNorm",
                                                           "LayerNorm",
                                                           "AffineChannel",
                                                           "ElementwiseLinear"};
  return kWithWeightAndBias.count(type) > 0 && (slot == 1 || slot == 2);
}

// What operators read the blobs of the outermost net as.
struct Reads {
  std::set<std::string> data;
  std::set<std::string> parameters;

  bool Has(const std::string& name) const {
    return data.count(name) > 0 || parameters.count(name) > 0;
  }
  void Add(const Reads& other) {
    data.insert(other.data.begin(), other.data.end());
    parameters.insert(other.parameters.begin(), other.parameters.end());
  }
};

// The blobs of a Do by their names inside: its other blobs are its own.
std::map<std::string, std::string> BindingsOf(const caffe2::OperatorDef& op) {
  const caffe2::ArgumentHelper arguments(op);
  const auto inner = arguments.GetRepeatedArgument<std::string>("inner_blobs");
  const auto outer = arguments.GetRepeatedArgument<int>("outer_blobs_idx");
  // The last input and output are its workspaces.
  std::vector<std::string> names(op.input().begin(), op.input().end());
  if (!names.empty()) names.pop_back();
  names.insert(names.end(), op.output().begin(), op.output().end());
  std::map<std::string, std::string> bindings;
  for (std::size_t i = 0; i < std::min(inner.size(), outer.size()); ++i) {
    if (outer[i] < 0 || static_cast<std::size_t>(outer[i]) >= names.size()) {
      continue;
    }
    bindings[inner[i]] = names[static_cast<std::size_t>(outer[i])];
  }
  return bindings;
}

Reads Renamed(const Reads& reads,
              const std::map<std::string, std::string>& names) {
  Reads renamed;
  for (const auto& [from, to] : names) {
    if (reads.data.count(from) > 0) renamed.data.insert(to);
    if (reads.parameters.count(from) > 0) renamed.parameters.insert(to);
  }
  return renamed;
}

Reads ReadsOf(const caffe2::NetDef& net);

Reads ReadsOf(const caffe2::OperatorDef& op) {
  Reads within;
  std::set<int> named;
  for (const caffe2::Argument& argument : op.arg()) {
    if (argument.has_n()) {
      const Reads reads = ReadsOf(argument.n());
      within.Add(op.type() == "Do" ? Renamed(reads, BindingsOf(op)) : reads);
    }
    if (op.type() == "RecurrentNetwork" && argument.name() == "param") {
      named.insert(argument.ints().begin(), argument.ints().end());
    }
  }
  Reads reads = within;
  // The last input of a Do is its workspaces.
  const int count = op.input_size() - (op.type() == "Do" ? 1 : 0);
  for (int i = 0; i < count; ++i) {
    const std::string& name = op.input(i);
    if (IsParameter(op.type(), i) || named.count(i) > 0) {
      reads.parameters.insert(name);
    } else if (!within.Has(name)) {  // those inside know better
      reads.data.insert(name);
    }
  }
  return reads;
}

Reads ReadsOf(const caffe2::NetDef& net) {
  Reads reads;
  for (const caffe2::OperatorDef& op : net.op()) reads.Add(ReadsOf(op));
  return reads;
}

template <typename Admits>
std::vector<int> Chosen(const caffe2::NetDef& net, const Admits& admits) {
  std::vector<int> chosen;
  std::set<std::string> seen;
  for (int i = 0; i < net.external_input_size(); ++i) {
    const std::string& name = net.external_input(i);
    if (seen.insert(name).second && admits(name)) chosen.push_back(i);
  }
  return chosen;
}

}  // namespace

std::vector<int> DataInputs(const caffe2::NetDef& net) {
  const Reads reads = ReadsOf(net);
  return Chosen(
      net, [&](const std::string& name) { return reads.data.count(name) > 0; });
}

std::vector<int> RecordedInputs(const caffe2::NetDef& net,
                                const RecordingOptions& options) {
  if (!options.inputs.empty()) {
    return Chosen(net, [&](const std::string& name) {
      return std::any_of(options.inputs.begin(), options.inputs.end(),
                         [&](const std::string& pattern) {
                           return fnmatch(pattern.c_str(), name.c_str(), 0) ==
                                  0;
                         });
    });
  }
  const bool chooses = !options.op_types.empty() || !options.op_names.empty() ||
                       !options.outputs.empty();
  return chooses ? std::vector<int>() : DataInputs(net);
}

}  // namespace caffe2_quantization
