// QuantizationParams as a message, and as its bytes: proto/
// quantization_params.proto.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_QUANTIZATION_PARAMS_PROTO_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_QUANTIZATION_PARAMS_PROTO_H_

#include <cstddef>
#include <string>

#include "base/status.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

class QuantizationParamsProto;

// An error: what Validate() refuses. *proto is set on success alone.
Status QuantizationParamsToProto(const QuantizationParams& params,
                                 QuantizationParamsProto* proto);

// An error, and *params as it was: another format version, a field that is
// missing or unknown, and what Validate() refuses.
Status QuantizationParamsFromProto(const QuantizationParamsProto& proto,
                                   QuantizationParams* params);

// The message's bytes: the same for the same parameters, fields in the order of
// their numbers. Read in any form that protobuf takes; refused also when they
// are no message, or more than 256 MiB.
Status QuantizationParamsToBytes(const QuantizationParams& params,
                                 std::string* bytes);
Status QuantizationParamsFromBytes(const void* bytes, std::size_t size,
                                   QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QUANTIZATION_PARAMS_PROTO_H_
