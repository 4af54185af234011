#include "tests/support/measure_net.h"

#include "caffe2/core/net.h"
#include "caffe2/core/tensor.h"
#include "netdef/net_inputs.h"
#include "quantization/kernels/min_max.h"
#include "rewrite/constants.h"

namespace caffe2_quantization {
namespace {

rewrite::Measured MeasureBlob(const caffe2::Workspace& workspace,
                              const std::string& name) {
  rewrite::Measured measured;
  const caffe2::Blob* const blob = workspace.GetBlob(name);
  if (blob == nullptr || !caffe2::BlobIsTensorType(*blob, caffe2::CPU)) {
    return measured;
  }
  const auto& tensor = blob->Get<caffe2::Tensor>();
  measured.has_shape = true;
  measured.shape = tensor.sizes().vec();
  measured.type = std::string(tensor.dtype().name());
  if (!tensor.IsType<float>()) return measured;
  const auto count = static_cast<std::size_t>(tensor.numel());
  const auto extremes = kernels::MinMax(tensor.data<float>(), count);
  if (extremes.min <= extremes.max) {
    measured.range = ValueRange::OfFloats(extremes.min, extremes.max);
  }
  measured.nan_count = extremes.nan_count;
  measured.infinity_count = extremes.infinity_count();
  measured.histogram.Add(tensor.data<float>(), count);
  return measured;
}

}  // namespace

rewrite::Measurements MeasureNet(const caffe2::NetDef& net,
                                 caffe2::Workspace* workspace,
                                 const std::set<std::string>* data) {
  rewrite::Measurements measurements;
  for (const std::string& name : InputsOf(net)) {
    if (data != nullptr && data->count(name) == 0) continue;
    measurements.SetInput(name, MeasureBlob(*workspace, name));
  }
  for (int i = 0; i < net.op_size(); ++i) {
    CAFFE_ENFORCE(workspace->RunOperatorOnce(net.op(i)));
    for (int slot = 0; slot < net.op(i).output_size(); ++slot) {
      measurements.SetOutput(i, slot,
                             MeasureBlob(*workspace, net.op(i).output(slot)));
    }
  }
  return measurements;
}

caffe2::NetDef InitNetOf(const caffe2::NetDef& net,
                         const caffe2::Workspace& workspace,
                         const std::set<std::string>& data) {
  caffe2::NetDef init;
  init.set_name("init");
  for (const std::string& name : InputsOf(net)) {
    if (data.count(name) != 0 || !workspace.HasBlob(name) ||
        !caffe2::BlobIsTensorType(*workspace.GetBlob(name), caffe2::CPU)) {
      continue;
    }
    const auto& tensor = workspace.GetBlob(name)->Get<caffe2::Tensor>();
    rewrite::Constant constant;
    constant.shape = tensor.sizes().vec();
    if (tensor.IsType<float>()) {
      constant.floats = tensor.data<float>();
    } else if (tensor.IsType<int>()) {
      constant.type = rewrite::Constant::Type::kInt32;
      const int* const values = tensor.data<int>();
      constant.integers.assign(values, values + tensor.numel());
    } else if (tensor.IsType<int64_t>()) {
      constant.type = rewrite::Constant::Type::kInt64;
      const int64_t* const values = tensor.data<int64_t>();
      constant.integers.assign(values, values + tensor.numel());
    } else {
      continue;
    }
    *init.add_op() = rewrite::FillOf(constant, name);
  }
  return init;
}

}  // namespace caffe2_quantization
