// Texts as JSON and protobuf's strings can hold them.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_BASE_UTF8_TEXT_H_
#define CAFFE2_QUANTIZATION_BASE_UTF8_TEXT_H_

#include <string>

namespace caffe2_quantization {

// Returns the text with U+FFFD in place of each byte that is part of no
// character of UTF-8.
std::string ValidUtf8(const std::string& text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_UTF8_TEXT_H_
