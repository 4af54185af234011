#include "netdef/model_nets.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/return_if_error.h"
#include "netdef/host_error.h"
#include "netdef/load_blobs.h"
#include "netdef/load_net.h"
#include "netdef/predictor_file.h"

namespace caffe2_quantization {
namespace {

using Names = std::set<std::string>;

std::string Quoted(const std::string& name) {
  return "'" + ShownKey(name) + "'";
}

const caffe2::Argument* FindArgument(const caffe2::OperatorDef& op,
                                     const char* name) {
  for (const caffe2::Argument& argument : op.arg()) {
    if (argument.name() == name) return &argument;
  }
  return nullptr;
}

// One zero, in the form in which mobile_exporter (GivenTensorFill, [1, 1]) and
// caffe_translator (ConstantFill, [1]) hold the place of an input.
bool IsPlaceholder(const caffe2::OperatorDef& op) {
  const caffe2::Argument* shape = FindArgument(op, "shape");
  if (op.input_size() != 0 || op.output_size() != 1 || shape == nullptr ||
      !std::all_of(shape->ints().begin(), shape->ints().end(),
                   [](int64_t dim) { return dim == 1; })) {
    return false;
  }
  if (op.type() == "GivenTensorFill") {
    const caffe2::Argument* values = FindArgument(op, "values");
    return shape->ints_size() == 2 && values != nullptr &&
           values->floats_size() == 1 && values->floats(0) == 0;
  }
  const caffe2::Argument* value = FindArgument(op, "value");
  return op.type() == "ConstantFill" && shape->ints_size() == 1 &&
         (value == nullptr || (value->f() == 0 && value->i() == 0));
}

// Takes out what cannot run, since it reads a blob that is neither given nor
// made before.
void LeaveOutWhatCannotRun(const Names& given, InitModel* init) {
  Names there = given;
  std::vector<int> kept;
  std::string first;
  for (int i = 0; i < init->net.op_size(); ++i) {
    const caffe2::OperatorDef& op = init->net.op(i);
    const auto lacks = std::find_if(
        op.input().begin(), op.input().end(),
        [&](const std::string& name) { return there.count(name) == 0; });
    if (lacks == op.input().end()) {
      there.insert(op.output().begin(), op.output().end());
      kept.push_back(i);
      continue;
    }
    if (first.empty()) {
      first = "operator " + std::to_string(i) + " (" + ShownKey(op.type()) +
              ") reads " + Quoted(*lacks) + ", which nothing before it makes";
    }
    init->left_out_outputs.insert(init->left_out_outputs.end(),
                                  op.output().begin(), op.output().end());
  }
  const int count = init->net.op_size();
  const int left_out = count - static_cast<int>(kept.size());
  if (left_out == 0) return;
  auto* ops = init->net.mutable_op();
  for (int i = 0; i < static_cast<int>(kept.size()); ++i) {
    ops->SwapElements(i, kept[static_cast<size_t>(i)]);
  }
  ops->DeleteSubrange(count - left_out, left_out);
  // The host refuses a net that does not make what it declares.
  init->net.clear_external_output();
  init->notes.push_back(
      std::to_string(left_out) + " of " + std::to_string(count) +
      " operators make no weights and are left out: " + first);
}

Status ReadPredictorInit(InitModel* init) {
  Predictor predictor;
  RETURN_IF_ERROR(ReadPredictor(init->path, &predictor));
  init->net = std::move(predictor.global_init);
  init->parameters = std::move(predictor.parameters);
  bool loads = false;
  for (const caffe2::OperatorDef& op : init->net.op()) {
    loads |= LoadsParameters(op);
  }
  if (!loads && !init->parameters.empty()) {
    // It goes before the others.
    caffe2::NetDef net;
    caffe2::OperatorDef* load = net.add_op();
    load->set_type("Load");
    load->add_input(PredictorReaderBlob());
    for (const std::string& name : init->parameters) load->add_output(name);
    net.MergeFrom(init->net);
    init->net.Swap(&net);
  }
  init->net.mutable_op()->MergeFrom(predictor.predict_init.op());
  init->placeholders = std::move(predictor.inputs);
  return Status::Ok();
}

// Nets in arguments of operators of nets; protobuf goes no deeper, but a net in
// the text of an argument would.
constexpr int kMaxNetDepth = 34;

// The blobs that operators of a net and of the nets in it read.
void AddReads(const caffe2::NetDef& net, int depth, Names* names) {
  if (depth == kMaxNetDepth) return;
  for (const caffe2::OperatorDef& op : net.op()) {
    names->insert(op.input().begin(), op.input().end());
    for (const caffe2::Argument& argument : op.arg()) {
      if (argument.has_n()) AddReads(argument.n(), depth + 1, names);
      for (const caffe2::NetDef& inner : argument.nets()) {
        AddReads(inner, depth + 1, names);
      }
      // A net as text, which RecurrentNetwork's step net is.
      caffe2::NetDef text;
      if (argument.name().find("net") != std::string::npos &&
          argument.has_s() && ParseNetDef(argument.s(), &text).ok()) {
        AddReads(text, depth + 1, names);
      }
    }
  }
}

}  // namespace

Status ReadPredictModel(const std::string& path, PredictModel* predict) {
  PredictModel read;
  read.path = path;
  if (BeginsAsBlobMinidb(path)) {
    Predictor predictor;
    RETURN_IF_ERROR(ReadPredictor(path, &predictor));
    read.net = std::move(predictor.predict);
    read.inputs = std::move(predictor.inputs);
    read.is_predictor = true;
    if (read.net.name().empty()) read.net.set_name("net");
    if (read.net.external_output_size() == 0) {
      for (const std::string& name : predictor.outputs) {
        read.net.add_external_output(name);
      }
    }
  } else {
    RETURN_IF_ERROR(ReadNetDef(path, &read.net));
  }
  *predict = std::move(read);
  return Status::Ok();
}

Status ReadInitModel(const std::string& path, InitModel* init) {
  InitModel read;
  read.path = path;
  Names given;
  if (BeginsAsBlobMinidb(path)) {
    RETURN_IF_ERROR(ReadPredictorInit(&read));
    given.insert(PredictorReaderBlob());
  } else {
    RETURN_IF_ERROR(ReadNetDef(path, &read.net, WithoutOperators::kIsRead));
    for (const caffe2::OperatorDef& op : read.net.op()) {
      if (IsPlaceholder(op)) read.placeholders.push_back(op.output(0));
    }
    if (read.net.op_size() == 0) {
      read.notes.push_back("no operators, so it makes no weights");
    }
  }
  LeaveOutWhatCannotRun(given, &read);
  *init = std::move(read);
  return Status::Ok();
}

Status MakeWeights(const InitModel& init, const std::vector<std::string>& fed,
                   caffe2::Workspace* workspace) {
  const Names filled_by_data(fed.begin(), fed.end());
  Names reads;
  for (const caffe2::OperatorDef& op : init.net.op()) {
    reads.insert(op.input().begin(), op.input().end());
  }
  const auto is_replaced = [&](const caffe2::OperatorDef& op) {
    return op.input_size() == 0 && op.output_size() > 0 &&
           std::all_of(op.output().begin(), op.output().end(),
                       [&](const std::string& name) {
                         return filled_by_data.count(name) != 0 &&
                                reads.count(name) == 0;
                       });
  };
  RETURN_IF_ERROR(CatchHostErrors(init.path, [&] {
    return init.parameters.empty()
               ? Status::Ok()
               : LoadBlobs(init.path, init.parameters, workspace);
  }));
  const auto is_run = [&](const caffe2::OperatorDef& op) {
    return !LoadsParameters(op) && !is_replaced(op);
  };
  const auto& ops = init.net.op();
  const auto run = [&](const caffe2::NetDef& net) {
    return CatchHostErrors(init.path, [&] {
      return workspace->RunNetOnce(net)
                 ? Status::Ok()
                 : Status::InvalidArgument(init.path + ": the net failed");
    });
  };
  // Weights are large: the net is copied only if it must be.
  if (!ops.empty() && std::all_of(ops.begin(), ops.end(), is_run)) {
    return run(init.net);
  }
  caffe2::NetDef net;
  net.set_name(init.net.name());
  net.set_type(init.net.type());
  net.set_num_workers(init.net.num_workers());
  *net.mutable_device_option() = init.net.device_option();
  *net.mutable_arg() = init.net.arg();
  for (const caffe2::OperatorDef& op : ops) {
    if (is_run(op)) *net.add_op() = op;
  }
  return net.op_size() == 0 ? Status::Ok() : run(net);
}

std::vector<std::string> UnreadInputs(const caffe2::NetDef& net) {
  Names reads;
  AddReads(net, 0, &reads);
  std::vector<std::string> unread;
  for (const std::string& name : net.external_input()) {
    if (reads.insert(name).second) unread.push_back(name);
  }
  return unread;
}

}  // namespace caffe2_quantization
