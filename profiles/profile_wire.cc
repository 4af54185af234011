#include "profiles/profile_wire.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format.h>

#include "base/return_if_error.h"
#include "profiles/profile.h"
#include "proto/profile.pb.h"

namespace caffe2_quantization {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormat;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr WireFormatLite::WireType kLengthDelimited =
    WireFormatLite::WIRETYPE_LENGTH_DELIMITED;

class Walker {
 public:
  Walker(const std::string& bytes, int64_t max_parts)
      : stream_(reinterpret_cast<const uint8_t*>(bytes.data()),
                static_cast<int>(bytes.size())),
        max_parts_(max_parts) {}

  // The fields up to `end`, an offset. Depth is bounded: no message of the file
  // holds itself.
  Status Walk(const Descriptor& message, int end) {
    while (stream_.CurrentPosition() < end) {
      const int start = stream_.CurrentPosition();
      const uint32_t tag = stream_.ReadTagNoLastTag();
      const FieldDescriptor* field =
          message.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (field == nullptr) {
        return Wrong(start, "no field of " + message.name() + " begins here");
      }
      const auto type = WireFormatLite::GetTagWireType(tag);
      const bool packed = field->is_packable() && type == kLengthDelimited;
      if (type != WireFormat::WireTypeForFieldType(field->type()) && !packed) {
        return Wrong(start,
                     field->name() + " has wire type " + std::to_string(type));
      }
      if (type != kLengthDelimited) {
        if (!WireFormatLite::SkipField(&stream_, tag) ||
            stream_.CurrentPosition() > end) {
          return CutShort(start, *field);
        }
        continue;
      }
      uint32_t size = 0;
      if (!stream_.ReadVarint32(&size)) return CutShort(start, *field);
      const int position = stream_.CurrentPosition();
      if (position > end || size > static_cast<uint32_t>(end - position)) {
        return CutShort(start, *field);
      }
      if (field->message_type() == nullptr) {
        stream_.Skip(static_cast<int>(size));
        continue;
      }
      if (++parts_ > max_parts_) {
        return Status::OutOfRange("more than " + std::to_string(max_parts_) +
                                  " operators, outputs, ranges, histograms and "
                                  "shapes together");
      }
      RETURN_IF_ERROR(
          Walk(*field->message_type(), position + static_cast<int>(size)));
    }
    return Status::Ok();
  }

 private:
  static Status Wrong(int offset, const std::string& what) {
    return Status::Corruption("at byte " + std::to_string(offset) + ": " +
                              what);
  }
  static Status CutShort(int offset, const FieldDescriptor& field) {
    return Wrong(offset, field.name() + " is cut short");
  }

  CodedInputStream stream_;
  const int64_t max_parts_;
  int64_t parts_ = 0;
};

}  // namespace

Status CheckProfileVersion(uint64_t version) {
  if (version >= kOldestProfileFormatVersion &&
      version <= kProfileFormatVersion) {
    return Status::Ok();
  }
  return Status::Corruption("format version " + std::to_string(version) +
                            ", this program reads " +
                            std::to_string(kOldestProfileFormatVersion) +
                            " to " + std::to_string(kProfileFormatVersion));
}

Status CheckProfileVersion(const std::string& bytes) {
  constexpr uint32_t kTag = WireFormatLite::MakeTag(
      ProfileProto::kFormatVersionFieldNumber, WireFormatLite::WIRETYPE_VARINT);
  CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                          static_cast<int>(bytes.size()));
  while (const uint32_t tag = stream.ReadTagNoLastTag()) {
    uint64_t version = 0;
    if (tag == kTag && stream.ReadVarint64(&version)) {
      return CheckProfileVersion(version);
    }
    if (tag == kTag || !WireFormatLite::SkipField(&stream, tag)) break;
  }
  return Status::Corruption(
      "no format_version, expected a profile: JSON, or a message that begins "
      "with it");
}

Status CheckProfileWire(const std::string& bytes, int64_t max_parts) {
  RETURN_IF_ERROR(CheckProfileVersion(bytes));
  return Walker(bytes, max_parts)
      .Walk(*ProfileProto::descriptor(), static_cast<int>(bytes.size()));
}

}  // namespace caffe2_quantization
