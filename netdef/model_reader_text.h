// Converts protobuf's text form to its wire form, by tables of Caffe2's
// messages.
//
// It accepts what protobuf's own parser accepts for these messages, and tells
// where a text is wrong. It exists because that parser prints its complaints to
// the terminal, and recurses as deep as a text tells it to.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_TEXT_H_
#define CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "netdef/model_reader.h"

namespace caffe2_quantization {

// Returns false if the text is no such message; then *fault says why, and
// *fault_at is the offset of the place. *wire is replaced; it is never much
// larger than the text. Fields that protobuf calls required may be missing.
bool TextToWire(const MessageSchema& message, std::string_view text,
                std::string* wire, ModelFault* fault, std::size_t* fault_at);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_TEXT_H_
