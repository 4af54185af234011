// protobuf's text form to its wire form, by the tables of Caffe2's messages.
//
// It takes what protobuf's own parser takes of these messages, and tells where
// a text is wrong. That parser prints its complaints to the terminal, and goes
// as deep as a text tells it to.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_TEXT_H_
#define CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "netdef/model_reader.h"

namespace caffe2_quantization {

// False when the text is no such message: *fault says why, and *fault_at is the
// offset of the place. *wire is replaced; it is never much larger than the
// text. Fields that protobuf calls required may be missing.
bool TextToWire(const MessageSchema& message, std::string_view text,
                std::string* wire, ModelFault* fault, std::size_t* fault_at);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_READER_TEXT_H_
