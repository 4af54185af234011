#include "rewrite/measurements.h"

#include <algorithm>

#include "netdef/net_hash.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

Measured FromInfo(const OutputInfo& info) {
  Measured measured;
  if (info.types.size() == 1) measured.type = info.types[0];
  const auto& shapes = info.shapes.shapes();
  if (!shapes.empty()) {
    measured.has_shape = std::all_of(
        shapes.begin(), shapes.end(),
        [&](const auto& shape) { return shape.size() == shapes[0].size(); });
    measured.shape = shapes[0];
    for (std::size_t i = 0; measured.has_shape && i < measured.shape.size();
         ++i) {
      for (const auto& shape : shapes) {
        if (shape[i] != measured.shape[i]) measured.shape[i] = -1;
      }
      // Shapes that were left out may differ in any size.
      if (info.shapes.more()) measured.shape[i] = -1;
    }
  }
  measured.range = info.total.range;
  measured.histogram = info.total.histogram;
  measured.nan_count = info.nan_count;
  measured.infinity_count =
      info.positive_infinity_count + info.negative_infinity_count;
  return measured;
}

}  // namespace

Status Measurements::FromProfile(const NetInfo& profile,
                                 const caffe2::NetDef& net,
                                 Measurements* measurements) {
  const std::string hash = NetHash(net);
  if (profile.net_hash != hash) {
    return Status::InvalidArgument(
        "the profile is of another net: its hash is '" + profile.net_hash +
        "', that of net '" + net.name() + "' is '" + hash +
        "', expected the profile of a calibration of this net");
  }
  if (profile.format_version < 2) {
    return Status::InvalidArgument(
        "the profile has format version " +
        std::to_string(profile.format_version) +
        ", which has no external inputs, expected 2; calibrate again");
  }
  Measurements read;
  for (const OutputInfo& input : profile.inputs) {
    read.SetInput(input.tensor_name, FromInfo(input));
  }
  for (const OperatorInfo& op : profile.operators) {
    if (!op.inner.empty() || op.step_index >= 0) continue;
    for (const OutputInfo& output : op.outputs) {
      read.SetOutput(op.op_index, output.output_index, FromInfo(output));
    }
  }
  *measurements = std::move(read);
  return Status::Ok();
}

const Measured* Measurements::Output(int op_index, int slot) const {
  const auto found = outputs_.find({op_index, slot});
  return found == outputs_.end() ? nullptr : &found->second;
}

const Measured* Measurements::Input(const std::string& name) const {
  const auto found = inputs_.find(name);
  return found == inputs_.end() ? nullptr : &found->second;
}

void Measurements::SetOutput(int op_index, int slot, Measured measured) {
  outputs_[{op_index, slot}] = std::move(measured);
}

void Measurements::SetInput(const std::string& name, Measured measured) {
  inputs_[name] = std::move(measured);
}

}  // namespace rewrite
}  // namespace caffe2_quantization
