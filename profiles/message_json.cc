#include "profiles/message_json.h"

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

namespace pb = google::protobuf;

// Protobuf's JSON goes through the message's type, found by a name.
constexpr char kUrlPrefix[] = "type.googleapis.com";

std::string TypeUrl(const pb::Descriptor* type) {
  return std::string(kUrlPrefix) + "/" + type->full_name();
}

pb::util::TypeResolver* Resolver() {
  // Lives as long as the process: threads may read while it exits.
  static pb::util::TypeResolver* const resolver =
      pb::util::NewTypeResolverForDescriptorPool(
          kUrlPrefix, pb::DescriptorPool::generated_pool());
  return resolver;
}

// Of an error in the text protobuf shows the place on a second line, and marks
// it on a third.
Status FromProtobuf(const pb::util::Status& status) {
  if (status.ok()) return Status::Ok();
  std::string message(status.error_message().data(),
                      status.error_message().size());
  const std::size_t line = message.find('\n');
  if (line != std::string::npos) {
    const std::string place =
        message.substr(line + 1, message.find('\n', line + 1) - line - 1);
    message.resize(line);
    if (!place.empty()) message += " At: " + place;
  }
  return Status::Corruption("JSON: " + message);
}

}  // namespace

Status MessageToJson(const pb::Descriptor* type, const std::string& bytes,
                     bool pretty, std::string* json) {
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = pretty;
  json->clear();
  return FromProtobuf(pb::util::BinaryToJsonString(Resolver(), TypeUrl(type),
                                                   bytes, json, options));
}

Status JsonToMessage(const pb::Descriptor* type, const std::string& json,
                     bool ignore_unknown, std::string* bytes) {
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = ignore_unknown;
  bytes->clear();
  return FromProtobuf(pb::util::JsonToBinaryString(Resolver(), TypeUrl(type),
                                                   json, bytes, options));
}

}  // namespace caffe2_quantization
