// Whole nets as the rewriter makes them int8 (rewrite/quantize_net.h): beside
// the float net, beside the one made by hand (tests/support/whole_nets.h), and
// what its Quantize, Dequantize, transposes and reshapes take alone, on the
// blobs that a run left. And the net of examples/digits.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "benchmarks/support/int8_operator.h"
#include "caffe2/core/net.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/operator_keys.h"
#include "rewrite/quantize_net.h"
#include "tests/support/measure_net.h"
#include "tests/support/net_builder.h"
#include "tests/support/whole_nets.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kImageSize = 224;

enum class Form { kFloats, kByHand, kRewritten, kMovesOfRewritten };

// A float net whose weights and data a workspace holds.
struct FloatNet {
  WholeNet whole;  // its `output` is empty where no net is made by hand
  std::set<std::string> data;
};

template <typename Proto>
Proto ReadDigits(const std::string& name) {
  const std::string path = CAFFE2_QUANTIZATION_DIGITS_FOLDER "/" + name;
  Proto proto;
  CAFFE_ENFORCE(caffe2::ReadProtoFromFile(path, &proto), "cannot read ", path);
  return proto;
}

FloatNet FeedDigits(caffe2::Workspace* workspace, int64_t batch) {
  const auto images = ReadDigits<caffe2::TensorProtos>("test_images.pb");
  for (const caffe2::TensorProto& each : images.protos()) {
    if (each.name() != "data") continue;
    std::vector<int64_t> shape(each.dims().begin(), each.dims().end());
    const int64_t image = each.float_data_size() / shape[0];
    shape[0] = batch;
    FeedFloats(
        workspace, "data",
        {each.float_data().begin(), each.float_data().begin() + batch * image},
        shape);
  }
  CAFFE_ENFORCE(
      workspace->RunNetOnce(ReadDigits<caffe2::NetDef>("init_net.pb")));
  FloatNet net;
  net.whole.floats = ReadDigits<caffe2::NetDef>("predict_net.pb");
  net.data = {"data"};
  return net;
}

// Feeds a weight [M, H, W, C] again as [M, C, H, W].
void SwitchWeight(const std::string& name, caffe2::Workspace* workspace) {
  caffe2::OperatorDef op;
  OpBuilder(&op, "NHWC2NCHW", {name}, {name + "_switched"});
  CAFFE_ENFORCE(workspace->RunOperatorOnce(op));
  const auto& switched =
      workspace->GetBlob(name + "_switched")->Get<caffe2::Tensor>();
  FeedFloats(workspace, name, Fetch<float>(*workspace, name + "_switched"),
             switched.sizes().vec());
}

// The float net of images with channels second from end to end.
void MakeChannelsFirst(FloatNet* net, caffe2::Workspace* workspace) {
  caffe2::NetDef switched = net->whole.floats;
  switched.clear_op();
  for (caffe2::OperatorDef op : net->whole.floats.op()) {
    if (op.type() == "NCHW2NHWC") continue;
    for (std::string& input : *op.mutable_input()) {
      if (input == "image") input = "data";
    }
    for (caffe2::Argument& argument : *op.mutable_arg()) {
      if (argument.name() == "order") argument.set_s("NCHW");
    }
    if (op.type() == "Conv") SwitchWeight(op.input(1), workspace);
    *switched.add_op() = op;
  }
  net->whole.floats = std::move(switched);
  net->whole.output.clear();
}

FloatNet Feed(const std::string& name, int64_t batch,
              caffe2::Workspace* workspace) {
  if (name == "Digits") return FeedDigits(workspace, batch);
  const std::string suffix = ", NCHW";
  const std::size_t at = name.find(suffix);
  FloatNet net;
  net.whole = FeedWholeNet(workspace, name.substr(0, at), batch, kImageSize);
  net.whole.floats.add_external_output(net.whole.output);
  net.data = {"data"};
  for (const std::string& input : net.whole.floats.external_input()) {
    if (input.find("_indices") != std::string::npos ||
        input.find("_lengths") != std::string::npos) {
      net.data.insert(input);
    }
  }
  if (at != std::string::npos) MakeChannelsFirst(&net, workspace);
  return net;
}

// What the rewriter makes of a float net, with the ranges of one run. Kept:
// each repetition asks for it.
const rewrite::QuantizedNets& Quantized(const std::string& name, int64_t batch,
                                        const FloatNet& net,
                                        caffe2::Workspace* workspace) {
  static std::map<std::pair<std::string, int64_t>, rewrite::QuantizedNets> made;
  const auto at = made.find({name, batch});
  if (at != made.end()) return at->second;
  const caffe2::NetDef& floats = net.whole.floats;
  const caffe2::NetDef init = InitNetOf(floats, *workspace, net.data);
  rewrite::QuantizedNets nets;
  const Status status = rewrite::QuantizeNet(
      init, floats, MeasureNet(floats, workspace, &net.data), {}, HasOperator,
      &nets);
  CAFFE_ENFORCE(status.ok(), name, ": ", status.message());
  return made[{name, batch}] = std::move(nets);
}

// What moves values and computes nothing of the net.
bool IsMove(const std::string& type) {
  static const std::set<std::string> kMoves = {
      "Quantize",  "Dequantize", "NCHW2NHWC", "NHWC2NCHW",
      "Transpose", "Reshape",    "Flatten",   "FlattenToVec",
      "Squeeze",   "ExpandDims", "ResizeLike"};
  return kMoves.count(type.compare(0, 4, "Int8") == 0 ? type.substr(4)
                                                      : type) != 0;
}

std::unique_ptr<BenchmarkRun> Make(const std::string& name, int64_t batch,
                                   Form form) {
  const auto workspace = std::make_shared<caffe2::Workspace>();
  const FloatNet net = Feed(name, batch, workspace.get());
  caffe2::NetDef definition = net.whole.floats;
  if (form == Form::kByHand) {
    definition = Int8Form(net.whole, "ONEDNN", workspace.get());
  } else if (form != Form::kFloats) {
    const rewrite::QuantizedNets& nets =
        Quantized(name, batch, net, workspace.get());
    CAFFE_ENFORCE(workspace->RunNetOnce(nets.init));
    definition = nets.predict;
  }
  if (form == Form::kMovesOfRewritten) {
    CAFFE_ENFORCE(workspace->RunNetOnce(definition));
    caffe2::NetDef moves = definition;
    moves.clear_op();
    moves.clear_external_input();
    moves.clear_external_output();
    for (const auto& op : definition.op()) {
      if (IsMove(op.type())) *moves.add_op() = op;
    }
    CAFFE_ENFORCE(moves.op_size() > 0, name, ": it moves nothing");
    definition = moves;
  }
  definition.set_name(definition.name() + "_measured");
  caffe2::NetBase* const made = workspace->CreateNet(definition);
  CAFFE_ENFORCE(made != nullptr);
  return MakeRun([workspace, made] { CAFFE_ENFORCE(made->Run()); });
}

}  // namespace

void AddQuantizedNetsBenchmarks() {
  std::vector<std::pair<std::string, int64_t>> nets;
  for (const std::string& name : WholeNetNames()) {
    nets.emplace_back(name, name == "Recommender" ? 64 : 1);
  }
  for (const char* name : {"ResNet-50, NCHW", "MobileNet-v2, NCHW"}) {
    nets.emplace_back(name, 1);
  }
  for (const int64_t batch : {1, 64}) nets.emplace_back("Digits", batch);
  for (const int threads : {1, 2}) {
    for (const auto& each : nets) {
      const std::string& name = each.first;
      const int64_t batch = each.second;
      const std::string group = WithThreads("Quantized nets", threads) + "/" +
                                name + ", batch " + std::to_string(batch);
      const auto add = [&](const char* variant, Form form) {
        AddThreadedBenchmark(group, variant, threads, [name, batch, form] {
          return Make(name, batch, form);
        });
      };
      const auto& whole = WholeNetNames();
      add("host, floats", Form::kFloats);
      if (std::find(whole.begin(), whole.end(), name) != whole.end()) {
        add("ours, by hand", Form::kByHand);
      }
      add("ours, rewritten", Form::kRewritten);
      add("moves of rewritten", Form::kMovesOfRewritten);
    }
  }
}

}  // namespace caffe2_quantization
