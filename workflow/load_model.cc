#include "workflow/load_model.h"

#include <set>

#include "base/return_if_error.h"
#include "netdef/host_error.h"
#include "netdef/load_net.h"
#include "netdef/net_inputs.h"

namespace caffe2_quantization {
namespace {

// Inputs of the net that an operator reads.
std::vector<std::string> ReadInputs(const caffe2::NetDef& net) {
  const std::vector<std::string> unread = UnreadInputs(net);
  const std::set<std::string> left_out(unread.begin(), unread.end());
  std::vector<std::string> inputs;
  for (const std::string& name : InputsOf(net)) {
    if (left_out.count(name) == 0) inputs.push_back(name);
  }
  return inputs;
}

// What operators read and the net does not declare. The host refuses such a net
// unless it declares nothing at all; the ONNX importer writes it.
std::vector<std::string> UndeclaredInputs(const caffe2::NetDef& net) {
  std::vector<std::string> undeclared;
  if (net.external_input_size() == 0) return undeclared;
  const std::set<std::string> declared(net.external_input().begin(),
                                       net.external_input().end());
  for (const std::string& name : InputsOf(net)) {
    if (declared.count(name) == 0) undeclared.push_back(name);
  }
  return undeclared;
}

// A predictor's parameters are among it: an operator Load stands for them.
std::set<std::string> MadeBy(const InitModel& init) {
  std::set<std::string> made;
  for (const caffe2::OperatorDef& op : init.net.op()) {
    made.insert(op.output().begin(), op.output().end());
  }
  return made;
}

// What the init net makes, holds no mere place for, and data fill instead.
std::vector<std::string> ReplacedWeights(const InitModel& init,
                                         const PredictModel& predict,
                                         const BatchSource& data) {
  const std::set<std::string> made = MadeBy(init);
  std::vector<std::string> replaced;
  for (const std::string& name : ReadInputs(predict.net)) {
    if (made.count(name) != 0 && Contains(data.blobs(), name) &&
        !Contains(init.placeholders, name) && !Contains(predict.inputs, name)) {
      replaced.push_back(name);
    }
  }
  return replaced;
}

}  // namespace

Status ChooseWeights(const PredictModel& predict, std::string* init_path) {
  if (!init_path->empty()) return Status::Ok();
  if (!predict.is_predictor) {
    return Status::InvalidArgument(
        "no init net: " + predict.path +
        " is a NetDef, whose weights an init net makes (--init); only a "
        "predictor's minidb has its own");
  }
  *init_path = predict.path;
  return Status::Ok();
}

WantedBlobs WantedOf(const PredictModel& predict, const InitModel& init) {
  const std::set<std::string> made = MadeBy(init);
  const std::vector<std::string> read = ReadInputs(predict.net);
  WantedBlobs wanted;
  wanted.inputs = InputsOf(predict.net);
  for (const std::string& name : read) {
    const bool is_free = predict.inputs.empty()
                             ? made.count(name) == 0
                             : Contains(predict.inputs, name);
    if (is_free) wanted.free_inputs.push_back(name);
  }
  if (!wanted.free_inputs.empty()) return wanted;
  for (const std::string& name : read) {
    if (Contains(init.placeholders, name)) wanted.free_inputs.push_back(name);
  }
  return wanted;
}

std::vector<std::string> DeclareInputs(caffe2::NetDef* net) {
  const std::vector<std::string> undeclared = UndeclaredInputs(*net);
  for (const std::string& name : undeclared) net->add_external_input(name);
  return undeclared;
}

Status LoadModel(const InitModel& init, const PredictModel& predict,
                 const BatchSource& data, caffe2::Workspace* workspace,
                 std::vector<std::string>* notes, caffe2::NetBase** net) {
  for (const std::string& note : init.notes) {
    notes->push_back(init.path + ": " + note);
  }
  RETURN_IF_ERROR(MakeWeights(init, data.blobs(), workspace));
  std::vector<std::string> missing, unread, held;
  std::string left_out;
  for (const std::string& name : ReadInputs(predict.net)) {
    if (Contains(data.blobs(), name)) {
      workspace->CreateBlob(name);  // the net looks for its inputs' blobs
    } else if (!workspace->HasBlob(name)) {
      missing.push_back(name);
      if (left_out.empty() && Contains(init.left_out_outputs, name)) {
        left_out = "; " + init.path + ": " + init.notes.back();
      }
    } else if (Contains(init.placeholders, name)) {
      held.push_back(name);
    }
  }
  if (!missing.empty()) {
    return Status::InvalidArgument(predict.path + ": inputs that neither " +
                                   init.path + " nor " + data.path() +
                                   " makes: " + Joined(missing) + left_out);
  }
  for (const std::string& name : UnreadInputs(predict.net)) {
    if (Contains(data.blobs(), name)) {
      workspace->CreateBlob(name);
    } else if (!workspace->HasBlob(name)) {
      unread.push_back(name);
    }
  }
  if (!unread.empty()) {
    notes->push_back(predict.path +
                     ": declares inputs that no operator reads and nothing "
                     "makes: " +
                     Joined(unread));
  }
  if (!held.empty()) {
    notes->push_back(data.path() + ": has nothing for inputs that " +
                     init.path + " only holds a place for: " + Joined(held));
  }
  const std::vector<std::string> replaced =
      ReplacedWeights(init, predict, data);
  if (!replaced.empty()) {
    notes->push_back(data.path() + ": takes the place of what " + init.path +
                     " makes: " + Joined(replaced));
  }
  caffe2::NetDef mended;
  std::vector<std::string> undeclared = UndeclaredInputs(predict.net);
  if (!undeclared.empty()) {
    mended = predict.net;
    undeclared = DeclareInputs(&mended);
  }
  if (!undeclared.empty()) {
    notes->push_back(predict.path +
                     ": operators read inputs that it does not declare, which "
                     "is mended here: " +
                     Joined(undeclared));
  }
  return CatchHostErrors(predict.path, [&] {
    *net = workspace->CreateNet(undeclared.empty() ? predict.net : mended);
    return *net != nullptr
               ? Status::Ok()
               : Status::InvalidArgument(predict.path +
                                         ": the host made no net of type '" +
                                         predict.net.type() + "'");
  });
}

}  // namespace caffe2_quantization
