// Our messages as protobuf's JSON, and back.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_PROFILES_MESSAGE_JSON_H_
#define CAFFE2_QUANTIZATION_PROFILES_MESSAGE_JSON_H_

#include <google/protobuf/descriptor.h>

#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Writes the bytes of a message of this type as JSON, with the names of
// proto/; `pretty` on several lines.
Status MessageToJson(const google::protobuf::Descriptor* type,
                     const std::string& bytes, bool pretty, std::string* json);

// The reverse. An error begins with "JSON: " and says where the text is wrong.
// ignore_unknown: fields that the message lacks are left out and no error.
Status JsonToMessage(const google::protobuf::Descriptor* type,
                     const std::string& json, bool ignore_unknown,
                     std::string* bytes);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_MESSAGE_JSON_H_
