// Numbers, shapes and lists of names as messages and files show them.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_BASE_TEXT_H_
#define CAFFE2_QUANTIZATION_BASE_TEXT_H_

#include <charconv>
#include <cstdio>
#include <iterator>
#include <string>

namespace caffe2_quantization {

// The fewest digits that read back as the same number of the same type.
template <typename Number>
std::string ShortestText(Number value) {
  char text[64];
  return std::string(text, std::to_chars(text, std::end(text), value).ptr);
}

// Nine digits: enough for any float, and for what was computed in double.
inline std::string NineDigits(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

// "a, b, c". `Strings` is any container of strings.
template <typename Strings>
std::string Join(const Strings& strings, const char* separator = ", ") {
  std::string text;
  for (const auto& each : strings) {
    if (!text.empty()) text += separator;
    text += each;
  }
  return text;
}

// "[16, 1, 3, 3]". `Dims` is any container of integers.
template <typename Dims>
std::string DimsText(const Dims& dims) {
  std::string text = "[";
  for (const auto dim : dims) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim);
  }
  return text + "]";
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_TEXT_H_
