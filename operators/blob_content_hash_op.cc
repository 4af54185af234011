#include "operators/blob_content_hash_op.h"

#include <algorithm>

#include "caffe2/core/net.h"
#include "caffe2/core/workspace.h"
#include "netdef/net_inputs.h"
#include "operators/registration.h"
#include "serialization/content_hash.h"

namespace caffe2_quantization {

BlobContentHashOp::BlobContentHashOp(const caffe2::OperatorDef& definition,
                                     caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      workspace_(workspace),
      net_(GetSingleArgument<std::string>("net", "")),
      fed_(GetRepeatedArgument<std::string>("fed")) {
  const bool of_net = HasArgument("net");
  CAFFE_ENFORCE(of_net ? InputSize() == 0 : InputSize() > 0, type(), ": ",
                InputSize(), " inputs, expected ",
                of_net ? "none beside the argument net" : "one or more");
  CAFFE_ENFORCE(OutputSize() == (of_net ? 2 : 1), type(), ": ", OutputSize(),
                " outputs, expected ",
                of_net ? "2, hashes and names" : "1, the hashes");
}

bool BlobContentHashOp::RunOnDevice() {
  std::vector<std::string> hashes, names;
  for (const caffe2::Blob* blob : Inputs()) hashes.push_back(HashOfBlob(*blob));
  if (HasArgument("net")) {
    const caffe2::NetBase* const net = workspace_->GetNet(net_);
    CAFFE_ENFORCE(net != nullptr, type(), ": there is no net '", net_,
                  "' in the workspace");
    for (const BlobHash& each :
         HashesOfInputs(net->debug_def(), *workspace_, fed_)) {
      names.push_back(each.name);
      hashes.push_back(each.hash);
    }
    SetOutput(1, names);
  }
  SetOutput(0, hashes);
  return true;
}

void BlobContentHashOp::SetOutput(int index,
                                  const std::vector<std::string>& texts) {
  auto* const output = Output(index, {static_cast<int64_t>(texts.size())},
                              at::dtype<std::string>());
  std::copy(texts.begin(), texts.end(), output->mutable_data<std::string>());
}

void RegisterBlobContentHash() {
  RegisterCpuOperator<BlobContentHashOp>("BlobContentHash");
  RegisterNoGradient("BlobContentHash");
  CAFFE2_QUANTIZATION_SCHEMA("BlobContentHash")
      .NumInputs(0, INT_MAX)
      .NumOutputs(1, 2)
      .SetDoc(
          "Hashes type, shape and values of blobs, so that it can be told "
          "whether they hold what they held before.")
      .Arg("net",
           "Instead of inputs: a net of the workspace, for the blobs that it "
           "reads and does not make.")
      .Arg("fed", "Of these, the blobs to leave out.")
      .Input(0, "blobs", "Any number, of any type.")
      .Output(0, "hashes",
              "string tensor [inputs]: 32 hexadecimal digits of each.")
      .Output(1, "names", "With net, string tensor: whose hashes they are.");
}

}  // namespace caffe2_quantization
