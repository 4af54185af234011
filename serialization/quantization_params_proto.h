// Converts QuantizationParams to the message of
// proto/quantization_params.proto, to its bytes, and back.
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

// Errors: what Validate() refuses. *proto is set only on success.
Status QuantizationParamsToProto(const QuantizationParams& params,
                                 QuantizationParamsProto* proto);

// Errors, which leave *params unchanged: another format version, a field that
// is missing or unknown, and what Validate() refuses.
Status QuantizationParamsFromProto(const QuantizationParamsProto& proto,
                                   QuantizationParams* params);

// The message's bytes. They are the same for the same parameters, with fields
// in the order of their numbers. They may be read in any form that protobuf
// takes. Further errors: bytes that are no message, or that are more than 256
// MiB.
Status QuantizationParamsToBytes(const QuantizationParams& params,
                                 std::string* bytes);
Status QuantizationParamsFromBytes(const void* bytes, std::size_t size,
                                   QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QUANTIZATION_PARAMS_PROTO_H_
