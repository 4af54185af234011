// What a model file is, and where it is broken, from its bytes alone: no
// protobuf, no memory but for the answer. What walks further into the file can
// then rely on its structure.
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
};

// "NetDef", "minidb" …; "unknown".
const char* ModelFormName(ModelForm form);

// The message that a file of this form is; null of kMinidb and kUnknown.
const MessageSchema* SchemaOf(ModelForm form);

// Something wrong at one place of a file.
struct ModelFault {
  // Bytes from the start of the file; of text, the line and column instead,
  // both from 1. None of them is known of a text file's meaning.
  bool has_offset = false;
  std::size_t offset = 0;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string field;  // "NetDef.op[3].arg[0].floats"
  std::string what;   // "takes 576 bytes, but only 100 are left"

  // "offset 41: NetDef.op[3]: …"
  std::string ToString() const;
};

// What a walk through every field of one message, and of the messages in it,
// finds.
struct MessageScan {
  // The structure breaks: protobuf refuses the message too. Some of it that is
  // deeper than protobuf goes counts as broken as well.
  bool broken = false;
  ModelFault fault;
  // Fields of a number or type that the message does not have. protobuf keeps
  // them aside.
  uint64_t unknown_fields = 0;
  ModelFault first_unknown;
  // Bytes up to the first thing that makes this message an unlikely one: an
  // unknown field, a name with control characters, the fault.
  std::size_t likely = 0;
};

// `base_offset` is where the bytes stand in the file, `field` what faults call
// the message.
MessageScan ScanMessage(const MessageSchema& message, const std::string& field,
                        const void* bytes, std::size_t size,
                        std::size_t base_offset = 0);

// Which of the four messages the bytes are, by the one that stays likely for
// longest; kUnknown when none does even at the start. *scan is that one's.
ModelForm DetectMessage(const void* bytes, std::size_t size, MessageScan* scan);

// Whether bytes are a minidb, or were one before they were cut or changed: the
// first record has a printable key, and its value begins as a BlobProto or
// TensorProtos does.
bool LooksLikeMinidb(const void* bytes, std::size_t size);

// Whether bytes are text: no control characters but those of white space. A
// message of ours in binary form has them in its tags and lengths, but for a
// few very short ones.
bool LooksLikeText(const void* bytes, std::size_t size);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_H_
