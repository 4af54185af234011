#include "inspect/inspect_float.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/core/blob_serialization.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/workspace.h"
#include "caffe2/utils/proto_utils.h"
#include "inspect/inspect_tensor.h"
#include "netdef/host_error.h"
#include "netdef/load_blobs.h"
#include "netdef/load_net.h"
#include "netdef/model_nets.h"
#include "netdef/model_reader_text.h"
#include "quantization/kernels/bit_planes.h"
#include "serialization/per_channel_qtensor.h"
#include "serialization/qtensor_codec.h"

namespace caffe2_quantization {
namespace {

constexpr int kLoads = 4;  // the first one only warms up
// Integers of more bits are not counted one by one.
constexpr int kMostBitsCounted = 16;

// ---- Loading ----------------------------------------------------------------

struct LoadedModel {
  caffe2::Workspace workspace;
  caffe2::NetDef net;
  std::vector<std::string> notes;
};

// Makes the weights of a NetDef or of a predictor, whose own net may hold what
// reads them, too.
Status LoadNets(const InspectReport& report, LoadedModel* model) {
  InitModel init;
  RETURN_IF_ERROR(ReadInitModel(report.path, &init));
  RETURN_IF_ERROR(MakeWeights(init, {}, &model->workspace));
  model->net.Swap(&init.net);
  model->notes = std::move(init.notes);
  if (!report.is_predictor) return Status::Ok();
  PredictModel predict;
  RETURN_IF_ERROR(ReadPredictModel(report.path, &predict));
  model->net.mutable_op()->MergeFrom(predict.net.op());
  return Status::Ok();
}

Status LoadBlobFile(const InspectReport& report, caffe2::Workspace* workspace) {
  InputFile file;
  RETURN_IF_ERROR(file.Open(report.path));
  const uint8_t* read = nullptr;
  RETURN_IF_ERROR(file.Read(0, file.size(), &read));
  std::string_view bytes(reinterpret_cast<const char*>(read), file.size());
  std::string wire;
  if (report.is_text) {
    ModelFault fault;
    std::size_t fault_at = 0;
    if (!TextToWire(schema::kBlobProto, bytes, &wire, &fault, &fault_at)) {
      return Status::Corruption(fault.ToString());
    }
    bytes = wire;
  }
  return LoadBlob(report.blobs.empty() ? "" : report.blobs[0].name, bytes,
                  workspace);
}

// A refusal that does not name its file yet, as the system's do.
Status InFile(const std::string& path, const Status& status) {
  return status.ok() || status.kind() == Status::Kind::kIoError
             ? status
             : Status::Corruption(path + ": " + status.message());
}

// Loads what the report is of. The net is of a NetDef or a predictor; else it
// stays empty.
Status Load(const InspectReport& report, LoadedModel* model) {
  std::vector<std::string> names;
  switch (report.form) {
    case ModelForm::kNetDef:
      return LoadNets(report, model);
    case ModelForm::kTensorProtos:
      return ReadTensors(report.path, &model->workspace, &names);
    case ModelForm::kMinidb:
      return report.is_predictor ? LoadNets(report, model)
                                 : LoadAllBlobs(report.path, &model->workspace);
    case ModelForm::kBlobProto:
      return InFile(report.path, LoadBlobFile(report, &model->workspace));
    default:
      return Status::InvalidArgument(
          report.path + ": a " + ModelFormName(report.form) +
          " holds no weights, expected a NetDef that makes them, a minidb, a "
          "BlobProto or a TensorProtos");
  }
}

// Bytes that a line of /proc/self/status tells; 0 where there is none.
uint64_t StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.compare(0, key.size() + 1, key + ':') == 0) {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) << 10;
    }
  }
  return 0;
}

// Makes the present memory the peak; false where the system does not let us.
bool ResetPeak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

Status Measure(const InspectReport& report, ModelCost* cost,
               std::unique_ptr<LoadedModel>* model) {
  cost->path = report.path;
  cost->file_bytes = report.file_bytes;
  for (int i = 0; i < kLoads; ++i) {
    model->reset();
    malloc_trim(0);  // or what the last one freed would be there for this one
    cost->has_peak = ResetPeak();
    const uint64_t before = StatusBytes("VmRSS");
    const auto start = std::chrono::steady_clock::now();
    auto loaded = std::make_unique<LoadedModel>();
    RETURN_IF_ERROR(CatchHostErrors(
        report.path, [&] { return Load(report, loaded.get()); }));
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    const uint64_t peak = StatusBytes("VmHWM");
    if (i == 1 || (i > 1 && seconds < cost->load_seconds)) {
      cost->load_seconds = seconds;
    }
    cost->has_peak = cost->has_peak && peak >= before && before > 0;
    if (cost->has_peak) cost->peak_bytes = peak - before;
    *model = std::move(loaded);
  }
  return Status::Ok();
}

// ---- Comparing --------------------------------------------------------------

const caffe2::Tensor* FindFloatTensor(const caffe2::Workspace& workspace,
                                      const std::string& name) {
  // GetBlob() prints a warning where there is none.
  if (!workspace.HasBlob(name)) return nullptr;
  const caffe2::Blob* blob = workspace.GetBlob(name);
  if (!caffe2::BlobIsTensorType(*blob, caffe2::CPU)) return nullptr;
  const auto& tensor = blob->Get<caffe2::Tensor>();
  return tensor.dtype_initialized() && tensor.storage_initialized() &&
                 tensor.IsType<float>()
             ? &tensor
             : nullptr;
}

// The operator of that type which reads `blob`; null when there is none.
const caffe2::OperatorDef* FindReader(const caffe2::NetDef& net,
                                      const char* type,
                                      const std::string& blob) {
  for (int i = 0; i < net.op_size(); ++i) {
    const caffe2::OperatorDef& op = net.op(i);
    if (op.type() == type && op.input_size() > 0 && op.output_size() > 0 &&
        op.input(0) == blob) {
      return &op;
    }
  }
  return nullptr;
}

// What one channel's integers stand for.
struct Channel {
  double scale = 1;
  double bias = 0;  // value = scale * (integer + bias)
};

// Adds up over the elements of one weight.
class Comparison {
 public:
  Comparison(std::vector<Channel> channels, double lowest, double highest,
             ComparedWeight* weight)
      : channels_(std::move(channels)),
        lowest_(lowest),
        highest_(highest),
        weight_(weight) {
    for (const Channel& channel : channels_) {
      weight->scales.Add(channel.scale);
      weight->zero_offsets.Add(channel.bias == 0 ? 0 : -channel.bias);
      weight->representable.Add(channel.scale * (lowest + channel.bias));
      weight->representable.Add(channel.scale * (highest + channel.bias));
    }
    const double integers = highest - lowest + 1;
    if (integers <= std::ldexp(1.0, kMostBitsCounted + 1)) {
      weight->integers = static_cast<uint64_t>(integers);
      used_.resize(weight->integers);
    }
  }

  void Add(std::size_t index, double integer, double stored, double exact) {
    const Channel& channel = channels_[index];
    weight_->float_range.Add(exact);
    weight_->at_limits += integer == lowest_ || integer == highest_ ? 1 : 0;
    const double ends[] = {channel.scale * (lowest_ + channel.bias),
                           channel.scale * (highest_ + channel.bias)};
    const double half_step = std::fabs(channel.scale) / 2;
    if (exact < std::min(ends[0], ends[1]) - half_step ||
        exact > std::max(ends[0], ends[1]) + half_step) {
      ++weight_->clipped;
    }
    if (!used_.empty()) {
      const auto code = static_cast<std::size_t>(integer - lowest_);
      weight_->integers_used += used_[code] ? 0 : 1;
      used_[code] = true;
    }
    const double error = exact - stored;
    weight_->signal += exact * exact;
    weight_->noise += error * error;
    // A NaN stays: no later error is larger.
    if (!(std::fabs(error) <= weight_->largest_error)) {
      weight_->largest_error = std::fabs(error);
    }
    ++weight_->elements;
  }

 private:
  const std::vector<Channel> channels_;
  const double lowest_;
  const double highest_;
  ComparedWeight* const weight_;
  std::vector<bool> used_;
};

std::vector<Channel> ChannelsOf(const QTensorCPU& tensor) {
  const PerChannelQTensor* per_channel = AsPerChannel(tensor);
  if (per_channel == nullptr || !per_channel->is_per_channel()) {
    return {{tensor.scale(), tensor.bias()}};
  }
  std::vector<Channel> channels;
  const QTensorExtras& extras = per_channel->extras();
  for (std::size_t i = 0; i < extras.scales.size(); ++i) {
    channels.push_back({extras.scales[i], extras.biases[i]});
  }
  return channels;
}

std::string NoFloat(const std::string& blob, const std::string& float_path,
                    const std::string& weight) {
  return "'" + blob + "' is not compared: " + float_path +
         " has no float tensor '" + weight + "' of as many elements";
}

void CompareQTensor(const std::string& name, const QTensorCPU& tensor,
                    const LoadedModel& model, const LoadedModel& reference,
                    FloatComparison* comparison) {
  std::string weight_name = name;
  if (const auto* op = FindReader(model.net, "QTensorDequantize", name)) {
    weight_name = op->output(0);
  } else if (FindFloatTensor(reference.workspace, name) == nullptr &&
             name.size() > 2 && name.compare(name.size() - 2, 2, "_q") == 0) {
    weight_name = name.substr(0, name.size() - 2);
  }
  const caffe2::Tensor* exact =
      FindFloatTensor(reference.workspace, weight_name);
  if (exact == nullptr ||
      static_cast<uint64_t>(exact->numel()) != tensor.size()) {
    comparison->notes.push_back(
        NoFloat(name, comparison->float_cost.path, weight_name));
    return;
  }
  ComparedWeight weight;
  weight.blob = name;
  weight.weight = weight_name;
  weight.is_qtensor = true;
  weight.dims.assign(tensor.sizes().begin(), tensor.sizes().end());
  weight.bits = tensor.precision();
  weight.is_signed = tensor.is_signed();
  weight.bytes = tensor.nbytes();
  weight.float_bytes = exact->nbytes();
  const double highest = std::ldexp(1.0, weight.bits) - 1;
  Comparison sums(ChannelsOf(tensor), weight.is_signed ? -highest : 0, highest,
                  &weight);
  const float* at = exact->data<float>();
  ForEachElement(tensor, [&](std::size_t channel, double x, double value) {
    sums.Add(channel, x, static_cast<double>(static_cast<float>(value)),
             static_cast<double>(*at++));
  });
  comparison->weights.push_back(std::move(weight));
}

// The bytes of a uint8 tensor, or of the first string of a string tensor.
std::string_view BytesOf(const caffe2::Tensor& tensor) {
  if (tensor.IsType<uint8_t>()) {
    return {reinterpret_cast<const char*>(tensor.data<uint8_t>()),
            static_cast<std::size_t>(tensor.numel())};
  }
  if (tensor.IsType<std::string>() && tensor.numel() > 0) {
    return *tensor.data<std::string>();
  }
  return {};
}

// The channels of a ByteWeightDequant: what the operator itself makes of the
// bytes 0 and 255 in each.
Status ByteChannels(const caffe2::OperatorDef& op, std::size_t channels,
                    std::vector<Channel>* result) {
  caffe2::OperatorDef probe = op;
  probe.set_input(0, "bytes");
  probe.set_output(0, "ends");
  bool has_axis = false;
  for (int i = 0; i < probe.arg_size(); ++i) {
    caffe2::Argument* argument = probe.mutable_arg(i);
    if (argument->name() == "shape") {
      argument->clear_ints();
      argument->add_ints(2);
      argument->add_ints(static_cast<int64_t>(channels));
    } else if (argument->name() == "axis") {
      argument->set_i(1);
      has_axis = true;
    }
  }
  if (!has_axis && channels != 1) {
    return Status::InvalidArgument("has no channels");
  }
  caffe2::Workspace workspace;
  auto* bytes = caffe2::BlobGetMutableTensor(
      workspace.CreateBlob("bytes"), {2, static_cast<int64_t>(channels)},
      at::dtype<uint8_t>());
  uint8_t* at = bytes->mutable_data<uint8_t>();
  std::fill(at, at + channels, uint8_t{0});
  std::fill(at + channels, at + 2 * channels, uint8_t{255});
  if (!workspace.RunOperatorOnce(probe)) {
    return Status::InvalidArgument("does not run");
  }
  const auto& ends = workspace.GetBlob("ends")->Get<caffe2::Tensor>();
  for (std::size_t i = 0; i < channels; ++i) {
    const double low = static_cast<double>(ends.data<float>()[i]);
    const double high = static_cast<double>(ends.data<float>()[channels + i]);
    const double scale = (high - low) / 255;
    result->push_back({scale, scale == 0 ? 0 : low / scale});
  }
  return Status::Ok();
}

// Elements of one channel that follow each other, and the number of channels.
void ByteLayout(const caffe2::OperatorDef& op, const caffe2::Tensor& weight,
                std::size_t* channels, std::size_t* inner) {
  *channels = 1;
  *inner = static_cast<std::size_t>(std::max<int64_t>(weight.numel(), 1));
  const caffe2::ArgumentHelper arguments(op);
  if (!arguments.HasArgument("axis") || weight.numel() == 0) return;
  const int axis =
      weight.canonical_axis_index(arguments.GetSingleArgument<int>("axis", 0));
  *channels = static_cast<std::size_t>(weight.size(axis));
  *inner = static_cast<std::size_t>(weight.size_from_dim(axis + 1));
}

Status CompareBytes(const caffe2::OperatorDef& op, const LoadedModel& model,
                    const LoadedModel& reference, FloatComparison* comparison) {
  const std::string& name = op.output(0);
  const caffe2::Tensor* stored = FindFloatTensor(model.workspace, name);
  if (stored == nullptr || !model.workspace.HasBlob(op.input(0))) {
    return Status::Ok();
  }
  const caffe2::Blob* bytes_blob = model.workspace.GetBlob(op.input(0));
  if (!caffe2::BlobIsTensorType(*bytes_blob, caffe2::CPU)) {
    return Status::Ok();
  }
  const caffe2::Tensor* exact = FindFloatTensor(reference.workspace, name);
  const std::string_view bytes = BytesOf(bytes_blob->Get<caffe2::Tensor>());
  const auto count = static_cast<std::size_t>(stored->numel());
  if (exact == nullptr || exact->numel() != stored->numel() ||
      bytes.size() < count) {
    comparison->notes.push_back(
        NoFloat(op.input(0), comparison->float_cost.path, name));
    return Status::Ok();
  }
  std::size_t channels = 1;
  std::size_t inner = 1;
  ByteLayout(op, *stored, &channels, &inner);
  std::vector<Channel> parameters;
  RETURN_IF_ERROR(ByteChannels(op, channels, &parameters));
  ComparedWeight weight;
  weight.blob = op.input(0);
  weight.weight = name;
  weight.dims = stored->sizes().vec();
  weight.bits = 8;
  weight.bytes = count;
  weight.float_bytes = exact->nbytes();
  Comparison sums(std::move(parameters), 0, 255, &weight);
  for (std::size_t i = 0; i < count; ++i) {
    sums.Add(i / inner % channels,
             static_cast<double>(static_cast<uint8_t>(bytes[i])),
             static_cast<double>(stored->data<float>()[i]),
             static_cast<double>(exact->data<float>()[i]));
  }
  comparison->weights.push_back(std::move(weight));
  return Status::Ok();
}

Status Compare(const InspectReport& report, const LoadedModel& model,
               const LoadedModel& reference, FloatComparison* comparison) {
  for (const InspectedQTensor& each : report.qtensors) {
    if (!model.workspace.HasBlob(each.name)) continue;
    const caffe2::Blob* blob = model.workspace.GetBlob(each.name);
    if (!blob->IsType<QTensorCPU>()) continue;
    CompareQTensor(each.name, blob->Get<QTensorCPU>(), model, reference,
                   comparison);
  }
  for (int i = 0; i < model.net.op_size(); ++i) {
    const caffe2::OperatorDef& op = model.net.op(i);
    if (op.type() != "ByteWeightDequant" || op.input_size() == 0 ||
        op.output_size() == 0) {
      continue;
    }
    RETURN_IF_ERROR(CompareBytes(op, model, reference, comparison));
  }
  return Status::Ok();
}

// The host takes the memory that dims ask for before it looks for values.
Status CheckLoadable(const InspectReport& report) {
  if (!report.ok()) {
    return Status::Corruption(report.path + ": " +
                              report.faults.front().ToString());
  }
  if (report.form == ModelForm::kNetDef) return Status::Ok();
  for (const InspectedTensor& tensor : report.tensors) {
    if (tensor.values == tensor.elements) continue;
    return Status::InvalidArgument(
        report.path + ": tensor '" + tensor.name + "' has " +
        std::to_string(tensor.values) + " values, expected " +
        std::to_string(tensor.elements) + " by its dims");
  }
  return Status::Ok();
}

}  // namespace

Status CompareWithFloat(const std::string& float_path, InspectReport* report) {
  InspectReport float_report;
  RETURN_IF_ERROR(InspectFile(float_path, &float_report));
  RETURN_IF_ERROR(CheckLoadable(*report));
  RETURN_IF_ERROR(CheckLoadable(float_report));
  FloatComparison comparison;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<LoadedModel> reference;
  RETURN_IF_ERROR(Measure(float_report, &comparison.float_cost, &reference));
  reference.reset();
  RETURN_IF_ERROR(Measure(*report, &comparison.cost, &model));
  ModelCost ignored;
  RETURN_IF_ERROR(Measure(float_report, &ignored, &reference));
  RETURN_IF_ERROR(CatchHostErrors(report->path, [&] {
    return Compare(*report, *model, *reference, &comparison);
  }));
  comparison.notes.insert(comparison.notes.end(), model->notes.begin(),
                          model->notes.end());
  for (const std::string& note : reference->notes) {
    comparison.notes.push_back("the float model " + float_path + ": " + note);
  }
  if (comparison.weights.empty()) {
    comparison.notes.push_back(
        "no QTensor or byte weight with a float weight in " + float_path);
  }
  report->against_float = std::move(comparison);
  return Status::Ok();
}

}  // namespace caffe2_quantization
