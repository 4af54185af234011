#include "serialization/quantization_params_proto.h"

#include <google/protobuf/unknown_field_set.h>

#include <limits>
#include <utility>

#include "base/return_if_error.h"
#include "proto/quantization_params.pb.h"

namespace caffe2_quantization {
namespace {

using Proto = QuantizationParamsProto;

constexpr std::size_t kMostBytes = std::size_t{256} << 20;

constexpr std::pair<Symmetry, Proto::Symmetry> kSymmetries[] = {
    {Symmetry::kSymmetric, Proto::SYMMETRIC},
    {Symmetry::kAsymmetric, Proto::ASYMMETRIC}};
constexpr std::pair<Granularity, Proto::Granularity> kGranularities[] = {
    {Granularity::kTensor, Proto::TENSOR},
    {Granularity::kChannel, Proto::CHANNEL},
    {Granularity::kBlock, Proto::BLOCK},
    {Granularity::kChannelBlock, Proto::CHANNEL_BLOCK}};

Status Wrong(const std::string& what) {
  return Status::Corruption("quantization parameters: " + what);
}

Status TooLarge(std::size_t size) {
  return Status::OutOfRange("quantization parameters: " + std::to_string(size) +
                            " bytes, expected " + std::to_string(kMostBytes) +
                            " at most");
}

}  // namespace

Status QuantizationParamsToProto(const QuantizationParams& params,
                                 QuantizationParamsProto* proto) {
  RETURN_IF_ERROR(params.Validate());
  if (params.scales.size() > kMostBytes / sizeof(float)) {
    return TooLarge(params.scales.size() * sizeof(float));
  }
  Proto made;
  made.set_format_version(QuantizationParams::kFormatVersion);
  made.set_precision(static_cast<uint32_t>(params.type.precision));
  made.set_is_signed(params.type.is_signed);
  for (const auto& [ours, theirs] : kSymmetries) {
    if (ours == params.symmetry) made.set_symmetry(theirs);
  }
  for (const auto& [ours, theirs] : kGranularities) {
    if (ours == params.granularity) made.set_granularity(theirs);
  }
  made.set_axis(params.axis);
  made.set_block_size(params.block_size);
  *made.mutable_scales() = {params.scales.begin(), params.scales.end()};
  *made.mutable_zero_points() = {params.zero_points.begin(),
                                 params.zero_points.end()};
  if (params.min.has_value()) {
    made.set_min(*params.min);
    made.set_max(*params.max);
  }
  proto->Swap(&made);
  return Status::Ok();
}

Status QuantizationParamsFromProto(const QuantizationParamsProto& proto,
                                   QuantizationParams* params) {
  if (!proto.has_format_version()) {
    return Wrong("no format_version, expected quantization parameters");
  }
  if (proto.format_version() != QuantizationParams::kFormatVersion) {
    return Wrong("format version " + std::to_string(proto.format_version()) +
                 ", this program reads " +
                 std::to_string(QuantizationParams::kFormatVersion));
  }
  // A value that an enumeration lacks is kept as an unknown field too.
  const auto& unknown = proto.unknown_fields();
  if (!unknown.empty()) {
    return Wrong("field " + std::to_string(unknown.field(0).number()) +
                 " is unknown, or has a value that is");
  }
  for (const auto& [name, is_there] :
       {std::pair<const char*, bool>("precision", proto.has_precision()),
        {"is_signed", proto.has_is_signed()},
        {"symmetry", proto.has_symmetry()},
        {"granularity", proto.has_granularity()},
        {"axis", proto.has_axis()},
        {"block_size", proto.has_block_size()}}) {
    if (!is_there) return Wrong(std::string("no ") + name);
  }
  if (proto.precision() > 32) {
    return Wrong("precision is " + std::to_string(proto.precision()) +
                 ", expected 1 to 16 bits, or 32 signed");
  }
  QuantizationParams made;
  made.type = {static_cast<int>(proto.precision()), proto.is_signed()};
  for (const auto& [ours, theirs] : kSymmetries) {
    if (theirs == proto.symmetry()) made.symmetry = ours;
  }
  for (const auto& [ours, theirs] : kGranularities) {
    if (theirs == proto.granularity()) made.granularity = ours;
  }
  made.axis = proto.axis();
  made.block_size = proto.block_size();
  made.scales.assign(proto.scales().begin(), proto.scales().end());
  made.zero_points.assign(proto.zero_points().begin(),
                          proto.zero_points().end());
  if (proto.has_min()) made.min = proto.min();
  if (proto.has_max()) made.max = proto.max();
  const Status valid = made.Validate();
  if (!valid.ok()) return Status::Corruption(valid.message());
  *params = std::move(made);
  return Status::Ok();
}

Status QuantizationParamsToBytes(const QuantizationParams& params,
                                 std::string* bytes) {
  Proto proto;
  RETURN_IF_ERROR(QuantizationParamsToProto(params, &proto));
  const std::size_t size = proto.ByteSizeLong();
  if (size > kMostBytes) return TooLarge(size);
  *bytes = proto.SerializeAsString();
  return Status::Ok();
}

Status QuantizationParamsFromBytes(const void* bytes, std::size_t size,
                                   QuantizationParams* params) {
  if (size > kMostBytes) return TooLarge(size);
  Proto proto;
  if (!proto.ParseFromArray(bytes, static_cast<int>(size))) {
    return Wrong(std::to_string(size) +
                 " bytes that are no message QuantizationParamsProto");
  }
  return QuantizationParamsFromProto(proto, params);
}

}  // namespace caffe2_quantization
