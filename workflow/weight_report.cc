#include "workflow/weight_report.h"

#include <cmath>
#include <set>
#include <utility>

#include "caffe2/core/qtensor.h"
#include "caffe2/core/tensor.h"

namespace caffe2_quantization {
namespace {

using QTensorCPU = caffe2::QTensor<caffe2::CPUContext>;

const caffe2::Tensor* FindTensor(caffe2::Workspace* workspace,
                                 const std::string& name) {
  const caffe2::Blob* blob = workspace->GetBlob(name);
  if (blob == nullptr || !caffe2::BlobIsTensorType(*blob, caffe2::CPU)) {
    return nullptr;
  }
  const auto& tensor = blob->Get<caffe2::Tensor>();
  return tensor.dtype_initialized() && tensor.storage_initialized() ? &tensor
                                                                    : nullptr;
}

const caffe2::Tensor* FindFloatTensor(caffe2::Workspace* workspace,
                                      const std::string& name) {
  const caffe2::Tensor* tensor = FindTensor(workspace, name);
  return tensor != nullptr && tensor->IsType<float>() ? tensor : nullptr;
}

// What an operator `type` makes of `blob`, in the first net that has one.
std::string DequantizedName(const caffe2::NetDef& init,
                            const caffe2::NetDef& predict, const char* type,
                            const std::string& blob) {
  for (const caffe2::NetDef* net : {&init, &predict}) {
    for (int i = 0; i < net->op_size(); ++i) {
      const caffe2::OperatorDef& op = net->op(i);
      if (op.type() == type && op.input_size() > 0 && op.output_size() > 0 &&
          op.input(0) == blob) {
        return op.output(0);
      }
    }
  }
  return "";
}

void CompareWithReference(caffe2::Workspace* workspace,
                          caffe2::Workspace* reference, StoredWeight* stored) {
  if (reference == nullptr || stored->weight.empty()) return;
  const caffe2::Tensor* ours = FindFloatTensor(workspace, stored->weight);
  const caffe2::Tensor* exact = FindFloatTensor(reference, stored->weight);
  if (ours == nullptr || exact == nullptr || ours->sizes() != exact->sizes()) {
    return;
  }
  double largest = 0;
  for (int64_t i = 0; i < ours->numel(); ++i) {
    const double error = std::fabs(static_cast<double>(ours->data<float>()[i]) -
                                   exact->data<float>()[i]);
    // A NaN stays: no later error is larger.
    if (!(error <= largest)) largest = error;
    if (std::isnan(largest)) break;
  }
  stored->has_largest_error = true;
  stored->largest_error = largest;
}

// Each name that the operators of `net` write, once, in order.
std::vector<std::string> OutputsOf(const caffe2::NetDef& net) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (int i = 0; i < net.op_size(); ++i) {
    for (int j = 0; j < net.op(i).output_size(); ++j) {
      const std::string& name = net.op(i).output(j);
      if (seen.insert(name).second) names.push_back(name);
    }
  }
  return names;
}

// The bytes of a uint8 tensor, or of all strings of a string tensor.
int64_t StoredBytes(const caffe2::Tensor& tensor) {
  if (!tensor.IsType<std::string>()) return tensor.nbytes();
  int64_t bytes = 0;
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    bytes += static_cast<int64_t>(tensor.data<std::string>()[i].size());
  }
  return bytes;
}

}  // namespace

std::vector<QTensorWeight> FindQTensorWeights(const caffe2::NetDef& init,
                                              const caffe2::NetDef& predict,
                                              caffe2::Workspace* workspace,
                                              caffe2::Workspace* reference) {
  std::vector<QTensorWeight> found;
  for (const std::string& name : OutputsOf(init)) {
    const caffe2::Blob* blob = workspace->GetBlob(name);
    if (blob == nullptr || !blob->IsType<QTensorCPU>()) continue;
    const auto& qtensor = blob->Get<QTensorCPU>();
    QTensorWeight stored;
    stored.blob = name;
    stored.weight = DequantizedName(init, predict, "QTensorDequantize", name);
    stored.shape.assign(qtensor.sizes().begin(), qtensor.sizes().end());
    stored.bytes = static_cast<int64_t>(qtensor.nbytes());
    stored.float_bytes = static_cast<int64_t>(qtensor.size() * sizeof(float));
    stored.precision = qtensor.precision();
    stored.is_signed = qtensor.is_signed();
    stored.scale = qtensor.scale();
    stored.bias = qtensor.bias();
    CompareWithReference(workspace, reference, &stored);
    found.push_back(std::move(stored));
  }
  return found;
}

std::vector<StoredWeight> FindByteWeights(const caffe2::NetDef& init,
                                          const caffe2::NetDef& predict,
                                          caffe2::Workspace* workspace,
                                          caffe2::Workspace* reference) {
  std::vector<StoredWeight> found;
  for (const std::string& name : OutputsOf(init)) {
    const std::string weight =
        DequantizedName(init, predict, "ByteWeightDequant", name);
    if (weight.empty()) continue;
    const caffe2::Tensor* bytes = FindTensor(workspace, name);
    const caffe2::Tensor* floats = FindFloatTensor(workspace, weight);
    if (bytes == nullptr || floats == nullptr) continue;
    StoredWeight stored;
    stored.blob = name;
    stored.weight = weight;
    stored.shape = floats->sizes().vec();
    stored.bytes = StoredBytes(*bytes);
    stored.float_bytes = static_cast<int64_t>(floats->nbytes());
    CompareWithReference(workspace, reference, &stored);
    found.push_back(std::move(stored));
  }
  return found;
}

}  // namespace caffe2_quantization
