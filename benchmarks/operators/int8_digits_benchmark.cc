// A whole small net, examples/digits, as a user runs it: in the host's floats,
// and in codes by engine DNNLOWP and by ours, where Relu and MaxPool are
// DNNLOWP's in both. In the fused form a layer and its Relu are one operator.
// Output parameters are of the ranges that the float net has on all images.
#include <map>

#include "benchmarks/support/int8_operator.h"
#include "caffe2/core/net.h"
#include "caffe2/utils/proto_utils.h"
#include "quantization/choose.h"
#include "quantization/kernels/min_max.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

template <typename Proto>
Proto Read(const std::string& name) {
  const std::string path = CAFFE2_QUANTIZATION_DIGITS_FOLDER "/" + name;
  Proto proto;
  CAFFE_ENFORCE(caffe2::ReadProtoFromFile(path, &proto), "cannot read ", path);
  return proto;
}

// Feeds the first `batch` images, all of them if it is 0; runs the init net.
void Prepare(caffe2::Workspace* workspace, int64_t batch) {
  const auto images = Read<caffe2::TensorProtos>("test_images.pb");
  for (const caffe2::TensorProto& each : images.protos()) {
    if (each.name() != "data") continue;
    std::vector<int64_t> shape(each.dims().begin(), each.dims().end());
    const int64_t image = each.float_data_size() / shape[0];
    if (batch != 0) shape[0] = batch;
    FeedFloats(workspace, "data",
               {each.float_data().begin(),
                each.float_data().begin() + shape[0] * image},
               shape);
  }
  CAFFE_ENFORCE(workspace->RunNetOnce(Read<caffe2::NetDef>("init_net.pb")));
}

// Scale and zero point of every blob of the float net.
std::map<std::string, Choice> Measure() {
  caffe2::Workspace workspace;
  Prepare(&workspace, 0);
  const auto net = Read<caffe2::NetDef>("predict_net.pb");
  CAFFE_ENFORCE(workspace.RunNetOnce(net));
  std::map<std::string, Choice> choices;
  const auto add = [&](const std::string& name) {
    const auto values = Fetch<float>(workspace, name);
    const auto range =
        kernels::MinMax(values.data(), static_cast<int64_t>(values.size()));
    const Status status =
        ChooseFromRange(range.min, range.max, {}, &choices[name]);
    CAFFE_ENFORCE(status.ok(), status.message());
  };
  add("data");
  for (const auto& op : net.op()) add(op.output(0));
  return choices;
}

void SetOutput(const Choice& choice, caffe2::OperatorDef* op) {
  OpBuilder(op)
      .Float("Y_scale", choice.scale)
      .Int("Y_zero_point", choice.zero_point);
}

caffe2::NetDef Int8Net(const std::string& engine, bool fused) {
  const auto choices = Measure();
  const auto floats = Read<caffe2::NetDef>("predict_net.pb");
  caffe2::NetDef net = floats;
  net.clear_op();
  caffe2::OperatorDef* const quantize = net.add_op();
  OpBuilder(quantize, "Quantize", {"data"}, {"data_q"});
  quantize->set_engine(engine);
  SetOutput(choices.at("data"), quantize);
  for (int i = 0; i < floats.op_size(); ++i) {
    caffe2::OperatorDef* const op = net.add_op();
    *op = floats.op(i);
    if (op->input(0) == "data") op->set_input(0, "data_q");
    const bool is_layer = op->type() == "Conv" || op->type() == "FC";
    if (op->type() != "Softmax") op->set_engine(is_layer ? engine : "DNNLOWP");
    if (!is_layer) continue;
    if (floats.op(i + 1).type() == "Softmax") {
      OpBuilder(op).Int("dequantize_output", 1);
      continue;
    }
    if (fused) {
      ++i;  // the Relu
      op->set_type(op->type() == "Conv" ? "ConvRelu" : "Int8FCRelu");
      op->set_output(0, floats.op(i).output(0));
    }
    SetOutput(choices.at(op->output(0)), op);
  }
  for (const auto& op : net.op()) {
    if (op.engine().empty()) continue;
    CAFFE_ENFORCE(caffe2::CPUOperatorRegistry()->Has(op.type() + "_ENGINE_" +
                                                     op.engine()),
                  "there is no operator ", op.type(), " of engine ",
                  op.engine());
  }
  return net;
}

std::unique_ptr<BenchmarkRun> Make(int64_t batch, const caffe2::NetDef& def) {
  const auto workspace = std::make_shared<caffe2::Workspace>();
  Prepare(workspace.get(), batch);
  caffe2::NetBase* const net = workspace->CreateNet(def);
  CAFFE_ENFORCE(net != nullptr);
  return MakeRun([workspace, net] { CAFFE_ENFORCE(net->Run()); });
}

}  // namespace

void AddDigitsBenchmarks() {
  for (const int64_t batch : {1, 16, 256}) {
    const std::string group =
        WithThreads("Digits", 1) + "/batch " + std::to_string(batch);
    const auto add = [&](const char* variant, const char* engine, bool fused) {
      AddThreadedBenchmark(
          group, variant, 1, [batch, engine = std::string(engine), fused] {
            return Make(batch, engine.empty()
                                   ? Read<caffe2::NetDef>("predict_net.pb")
                                   : Int8Net(engine, fused));
          });
    };
    add("host, floats", "", false);
    add("host, DNNLOWP", "DNNLOWP", false);
    add("ours", "ONEDNN", false);
    add("host, DNNLOWP, fused", "DNNLOWP", true);
    add("ours, fused", "ONEDNN", true);
  }
}

}  // namespace caffe2_quantization
