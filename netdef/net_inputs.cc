#include "netdef/net_inputs.h"

#include <set>

#include "serialization/content_hash.h"

namespace caffe2_quantization {

std::vector<std::string> InputsOf(const caffe2::NetDef& net) {
  std::vector<std::string> inputs;
  std::set<std::string> known;
  const auto need = [&](const std::string& name) {
    if (known.insert(name).second) inputs.push_back(name);
  };
  for (int i = 0; i < net.external_input_size(); ++i) {
    need(net.external_input(i));
  }
  for (int i = 0; i < net.op_size(); ++i) {
    const caffe2::OperatorDef& op = net.op(i);
    for (int j = 0; j < op.input_size(); ++j) need(op.input(j));
    for (int j = 0; j < op.output_size(); ++j) known.insert(op.output(j));
  }
  return inputs;
}

std::vector<BlobHash> HashesOfInputs(const caffe2::NetDef& net,
                                     const caffe2::Workspace& workspace,
                                     const std::vector<std::string>& fed) {
  const std::set<std::string> left_out(fed.begin(), fed.end());
  std::vector<BlobHash> hashes;
  for (const std::string& name : InputsOf(net)) {
    if (left_out.count(name) != 0 || !workspace.HasBlob(name)) continue;
    hashes.push_back({name, HashOfBlob(*workspace.GetBlob(name))});
  }
  return hashes;
}

}  // namespace caffe2_quantization
