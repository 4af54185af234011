// Checks a profile's bytes before protobuf parses them: every field must be
// known, and the message must take little memory.
#ifndef CAFFE2_QUANTIZATION_PROFILES_PROFILE_WIRE_H_
#define CAFFE2_QUANTIZATION_PROFILES_PROFILE_WIRE_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Ok when it is ours.
Status CheckProfileVersion(uint64_t version);
// Ok when the bytes have a format_version, and it is ours.
Status CheckProfileVersion(const std::string& bytes);

// The same, and walks all fields without taking memory for any: each must be of
// proto/profile.proto, of its type, and whole; messages within number max_parts
// at most. An error names the field and the offset.
Status CheckProfileWire(const std::string& bytes, int64_t max_parts);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_PROFILE_WIRE_H_
