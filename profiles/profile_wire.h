// Checks a profile's bytes before protobuf parses them: every field must be
// known, and the message must take little memory.
#ifndef CAFFE2_QUANTIZATION_PROFILES_PROFILE_WIRE_H_
#define CAFFE2_QUANTIZATION_PROFILES_PROFILE_WIRE_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Returns OK if this is a version that the plugin reads.
Status CheckProfileVersion(uint64_t version);
// Returns OK if the bytes have a format_version, and it is such a one.
Status CheckProfileVersion(const std::string& bytes);

// Checks the version, then walks through all fields without taking memory for
// any: each must be known to proto/profile.proto, of its type, and whole; the
// messages within may number max_parts at most. An error names the field and
// the offset.
Status CheckProfileWire(const std::string& bytes, int64_t max_parts);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_PROFILE_WIRE_H_
