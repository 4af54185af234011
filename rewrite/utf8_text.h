// Texts as JSON can hold them.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_REWRITE_UTF8_TEXT_H_
#define CAFFE2_QUANTIZATION_REWRITE_UTF8_TEXT_H_

#include <string>

namespace caffe2_quantization {
namespace rewrite {

// Returns the text with U+FFFD in place of bytes that are no UTF-8.
std::string Utf8(const std::string& text);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_UTF8_TEXT_H_
