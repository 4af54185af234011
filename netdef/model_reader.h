// Tells what a model file is, and where it is broken, from its bytes alone:
// without protobuf, and with no memory but for the answer. Code that reads
// further into the file can then rely on its structure.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_H_
#define CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "netdef/model_reader_schema.h"

namespace caffe2_quantization {

enum class ModelForm {
  kUnknown,
  kNetDef,
  kBlobProto,
  kTensorProtos,
  kMetaNetDef,
  kMinidb,
  kProfile,  // one of ours, in which no message of Caffe2 is
};

// Returns "NetDef", "minidb" …, or "unknown".
const char* ModelFormName(ModelForm form);

// Returns the message that a file of this form holds; null for kMinidb,
// kProfile and kUnknown.
const MessageSchema* SchemaOf(ModelForm form);

// Something wrong at one place of a file.
struct ModelFault {
  // Bytes from the start of the file; for text the line and column instead,
  // both counted from 1. If a text is well formed but its meaning is wrong,
  // none of them is known.
  bool has_offset = false;
  std::size_t offset = 0;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string field;  // "NetDef.op[3].arg[0].floats"
  std::string what;   // "takes 576 bytes, but only 100 are left"

  // "offset 41: NetDef.op[3]: …"
  std::string ToString() const;
};

// What a walk finds in every field of one message and of the messages in it.
struct MessageScan {
  // The structure breaks: protobuf refuses the message too. A message nested
  // deeper than protobuf goes also counts as broken.
  bool broken = false;
  ModelFault fault;
  // The number of fields whose number or type the message does not have.
  // protobuf sets such fields aside.
  uint64_t unknown_fields = 0;
  ModelFault first_unknown;
  // The bytes before the first thing that makes this message unlikely: an
  // unknown field, a name with control characters, or the fault.
  std::size_t likely = 0;
};

// Walks through a message. `base_offset` is the bytes' offset in the file,
// `field` the name by which faults call the message.
MessageScan ScanMessage(const MessageSchema& message, const std::string& field,
                        const void* bytes, std::size_t size,
                        std::size_t base_offset = 0);

// Returns which of the four messages the bytes are: the one that stays likely
// for the most bytes, or kUnknown if none is likely even at the start. *scan
// receives the scan of that message.
ModelForm DetectMessage(const void* bytes, std::size_t size, MessageScan* scan);

// Returns whether bytes are a minidb, or were one before they were cut or
// changed: the first record has a printable key, and its value begins as a
// BlobProto or a TensorProtos does.
bool LooksLikeMinidb(const void* bytes, std::size_t size);

// Returns whether bytes are text: they have no control characters but white
// space. Binary messages of these kinds have control characters in their tags
// and lengths, except for a few very short messages.
bool LooksLikeText(const void* bytes, std::size_t size);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_H_
