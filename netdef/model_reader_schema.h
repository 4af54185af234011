// Tables of the messages that a model file may hold: numbers, names and types
// of Caffe2's fields. Code that reads bytes or text without protobuf goes by
// these tables, and errors take the names of fields from them.
//
// Thread rule: constants; any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_SCHEMA_H_
#define CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_SCHEMA_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace caffe2_quantization {

enum class FieldKind : uint8_t {
  kInt32,
  kInt64,
  kUint32,
  kBool,
  kEnum,
  kFloat,
  kDouble,
  kString,
  kBytes,
  kMessage,
};

struct EnumSchema {
  struct Value {
    const char* name;
    int32_t number;
  };
  const Value* values;
  std::size_t count;

  // Returns null if there is none.
  const Value* Find(std::string_view name) const;
  const Value* Find(int64_t number) const;
};

struct MessageSchema;

struct FieldSchema {
  uint32_t number;
  const char* name;
  FieldKind kind;
  bool repeated = false;
  const MessageSchema* message = nullptr;  // of kMessage
  const EnumSchema* values = nullptr;      // of kEnum
};

inline constexpr std::size_t kMaxFieldsOfMessage = 16;

// A field that protobuf calls required is a field like any other here.
struct MessageSchema {
  const char* name;
  const FieldSchema* fields;
  std::size_t count;

  // Returns null if there is none.
  const FieldSchema* Find(uint32_t number) const;
  const FieldSchema* Find(std::string_view name) const;
};

namespace schema {
// TensorProto.DataType.
extern const EnumSchema kDataType;

extern const MessageSchema kNetDef;
extern const MessageSchema kOperatorDef;
extern const MessageSchema kArgument;
extern const MessageSchema kBlobProto;
extern const MessageSchema kTensorProto;
extern const MessageSchema kTensorProtos;
extern const MessageSchema kQTensorProto;
extern const MessageSchema kMetaNetDef;
}  // namespace schema

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_SCHEMA_H_
