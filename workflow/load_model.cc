#include "workflow/load_model.h"

#include <set>

#include "netdef/host_error.h"
#include "netdef/load_net.h"

namespace caffe2_quantization {

WantedBlobs WantedOf(const caffe2::NetDef& predict,
                     const caffe2::NetDef& init) {
  std::set<std::string> made;
  for (const caffe2::OperatorDef& op : init.op()) {
    made.insert(op.output().begin(), op.output().end());
  }
  WantedBlobs wanted;
  wanted.inputs = InputsOf(predict);
  for (const std::string& name : wanted.inputs) {
    if (made.count(name) == 0) wanted.free_inputs.push_back(name);
  }
  return wanted;
}

Status LoadModel(const std::string& init_path, const caffe2::NetDef& init,
                 const std::string& predict_path, const caffe2::NetDef& predict,
                 const BatchSource& data, caffe2::Workspace* workspace,
                 caffe2::NetBase** net) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CatchHostErrors(init_path, [&] {
    return workspace->RunNetOnce(init)
               ? Status::Ok()
               : Status::InvalidArgument(init_path + ": the net failed");
  }));
  std::vector<std::string> missing;
  for (const std::string& name : InputsOf(predict)) {
    if (Contains(data.blobs(), name)) {
      workspace->CreateBlob(name);  // the net looks for its inputs' blobs
    } else if (!workspace->HasBlob(name)) {
      missing.push_back(name);
    }
  }
  if (!missing.empty()) {
    return Status::InvalidArgument(predict_path + ": inputs that neither " +
                                   init_path + " nor " + data.path() +
                                   " makes: " + Joined(missing));
  }
  return CatchHostErrors(predict_path, [&] {
    *net = workspace->CreateNet(predict);
    return *net != nullptr
               ? Status::Ok()
               : Status::InvalidArgument(predict_path +
                                         ": the host made no net of type '" +
                                         predict.type() + "'");
  });
}

}  // namespace caffe2_quantization
