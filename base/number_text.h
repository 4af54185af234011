// Numbers as error messages show them.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_BASE_NUMBER_TEXT_H_
#define CAFFE2_QUANTIZATION_BASE_NUMBER_TEXT_H_

#include <charconv>
#include <cstdio>
#include <iterator>
#include <string>

namespace caffe2_quantization {

// The fewest digits that read back as the same float.
inline std::string ShortestText(float value) {
  char text[32];
  return std::string(text, std::to_chars(text, std::end(text), value).ptr);
}

// Nine digits: enough for any float, and for what was computed in double.
inline std::string NineDigits(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_NUMBER_TEXT_H_
