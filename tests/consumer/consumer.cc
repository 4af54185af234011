// What a C++ server does with the installed package: every public class and
// function is used once, so that a missing export does not link.
#include <caffe2_quantization/observers/attachment.h>
#include <caffe2_quantization/observers/profile.h>  // an older name
#include <caffe2_quantization/operators/byte_weight_dequant_op.h>
#include <caffe2_quantization/plugin/plugin.h>
#include <caffe2_quantization/profiles/min_max_file.h>
#include <caffe2_quantization/quantization/quantization_params.h>
#include <caffe2_quantization/quantization/quantization_params_json.h>
#include <caffe2_quantization/quantization/quantize.h>
#include <caffe2_quantization/quantization/requantize.h>
#include <caffe2_quantization/serialization/qtensor_codec.h>
#include <caffe2_quantization/serialization/qtensor_serializer.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "caffe2/core/init.h"
#include "caffe2/core/workspace.h"
#include "caffe2/utils/proto_utils.h"

namespace cq = caffe2_quantization;

namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

caffe2::OperatorDef ByteWeights() {
  caffe2::OperatorDef definition;
  definition.set_type("ByteWeightDequant");
  definition.add_input("bytes");
  definition.add_output("weights");
  *definition.add_arg() =
      caffe2::MakeArgument<std::vector<int64_t>>("shape", {2, 2});
  return definition;
}

void ObserveANet(caffe2::Workspace* workspace, const std::string& path) {
  caffe2::NetDef net_def;
  net_def.set_name("net");
  *net_def.add_op() = ByteWeights();
  caffe2::NetBase* net = workspace->CreateNet(net_def);
  Check(net != nullptr, "CreateNet");

  cq::OutputMinMaxOptions options;
  options.path = path;
  std::shared_ptr<cq::NetMeasurement> measurement;
  Check(cq::AttachOutputMinMaxObserver(net, options, &measurement).ok(),
        "attach");
  Check(workspace->RunNet("net"), "RunNet");
  const cq::NetInfo info = measurement->get_info();
  const cq::ValueRange& range = info.operators.at(0).outputs.at(0).values.range;
  Check(range.min() == -3 && range.max() == 3, "range");
  Check(range.MinText() == "-3" && range.MaxText() == "3", "text");
  Check(!cq::ToJson(info).empty(), "JSON");
  Check(cq::FindNetMeasurement("net", workspace) == measurement, "find");
  Check(cq::AllNetMeasurements().size() == 1, "all");
  Check(cq::DetachOutputMinMaxObserver(net).ok(), "detach");
  Check(!cq::ForgetNetMeasurement("net"), "forget");
  std::vector<cq::MinMaxLine> lines;
  Check(cq::ReadMinMaxFile(path, &lines).ok() && lines.size() == 1, "file");
  Check(cq::AttachOutputMinMaxObserverToLaterNets({}).ok(), "later nets");
  cq::StopAttachingToLaterNets();

  // The observers as objects.
  caffe2::OperatorBase* op = net->GetOperators().at(0);
  auto* observer =
      op->AttachObserver(std::make_unique<cq::OutputMinMaxObserver>(op));
  Check(workspace->RunNet("net"), "RunNet");
  Check(op->DetachObserver(observer) != nullptr, "operator observer");
  cq::OutputMinMaxNetObserver net_observer(net, {});
  net_observer.detach_from_operators();
  Check(net_observer.get_info().operators.size() == 1, "net observer");
}

void MoveAQTensor(const std::string& path) {
  cq::QTensorCPU tensor(std::vector<int>{3}, 2);
  tensor.SetScale(0.5);
  tensor.SetBias(0);
  for (int i = 0; i < 3; ++i) tensor.SetBitAtIndex(0, i, true);
  for (int i = 0; i < 3; ++i) tensor.SetBitAtIndex(1, i, false);
  std::string bytes, name;
  Check(cq::QTensorToBytes(tensor, "q", &bytes).ok(), "to bytes");
  std::unique_ptr<cq::QTensorCPU> read;
  Check(cq::QTensorFromBytes(bytes.data(), bytes.size(), &read, &name).ok() &&
            name == "q" && read->scale() == 0.5,
        "from bytes");
  Check(cq::QTensorToFile(tensor, "q", path).ok() &&
            cq::QTensorFromFile(path, &read, &name).ok(),
        "file");
  std::string serialized;
  cq::QTensorSerializer().Serialize(
      &tensor, caffe2::TypeMeta::Make<cq::QTensorCPU>(), "q",
      [&](const std::string&, std::string&& data) { serialized = data; });
  Check(serialized == bytes, "serializer");
  caffe2::BlobProto proto;
  Check(proto.ParseFromString(bytes), "parse");
  caffe2::Blob blob;
  cq::QTensorDeserializer().Deserialize(proto, &blob);
  Check(blob.IsType<cq::QTensorCPU>(), "deserializer");
}

void Quantize() {
  auto params = cq::QuantizationParams::UInt8Asymmetric();
  Check(params.FromStatistics(-1, 1).ok(), "FromStatistics");
  const std::vector<float> values = {-1, 0, 0.5f};
  std::vector<uint8_t> codes(3);
  std::vector<float> back(3);
  Check(cq::Quantize(values.data(), {3}, params, codes.data()).ok() &&
            cq::Dequantize(codes.data(), {3}, params, back.data()).ok(),
        "Quantize");
  for (int i = 0; i < 3; ++i) {
    Check(std::abs(values[i] - back[i]) <= 2 * params.QuantizationErrorBound(),
          "error bound");
  }
  std::string json;
  cq::QuantizationParams read;
  Check(cq::QuantizationParamsToJson(params, &json).ok() &&
            cq::QuantizationParamsFromJson(json, &read).ok() && read == params,
        "parameters as JSON");
  const int32_t sum = 300;
  cq::Requantization half;
  half.multipliers = {0.5f};
  Check(cq::Requantize(&sum, {1}, half, codes.data()).ok() && codes[0] == 150,
        "Requantize");
}

}  // namespace

int main(int argc, char** argv) {
  Check(argc == 2, "one argument: a folder to write to");
  const std::string folder = argv[1];
  int host_argc = 1;
  caffe2::GlobalInit(&host_argc, &argv);
  Check(std::string(caffe2_quantization_load_error()).empty(), "load");
  caffe2::Workspace workspace;
  auto* bytes = caffe2::BlobGetMutableTensor(workspace.CreateBlob("bytes"), {4},
                                             at::dtype<uint8_t>());
  for (int i = 0; i < 4; ++i) bytes->mutable_data<uint8_t>()[i] = i * 85;
  cq::ByteWeightDequantOp op(ByteWeights(), &workspace);
  Check(op.Run(), "ByteWeightDequantOp");
  Check(!cq::MergeProfileFiles({}, folder + "/net.profile", {}).ok(),
        "merge of nothing");
  ObserveANet(&workspace, folder + "/net.minmax");
  MoveAQTensor(folder + "/q.blob");
  Quantize();
  std::printf("consumer: ok, plugin %s\n", caffe2_quantization_version());
}
