// The text form that .minmax and .hist files share: fields between delimiters,
// and names that are quoted where they would otherwise not be one field.
#ifndef CAFFE2_QUANTIZATION_PROFILES_DELIMITED_TEXT_H_
#define CAFFE2_QUANTIZATION_PROFILES_DELIMITED_TEXT_H_

#include <charconv>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

// A larger text file is refused.
constexpr int64_t kMaxTextFileBytes = int64_t{1} << 30;

// Returns OK for a text of at least one character that holds no letter, digit,
// sign, point, quote, backslash or line break: " ", ",", "\t", " | ".
Status CheckDelimiter(const std::string& delimiter);

// Returns a name as one field. It is put in double quotes with backslash
// escapes if it is empty, holds a blank, a quote, a backslash, a line break or
// the delimiter, or, with `quote_numbers`, if it would read as a number.
std::string QuotedName(const std::string& name, const std::string& delimiter,
                       bool quote_numbers = false);

struct TextField {
  std::string text;
  bool quoted = false;
};

// Splits a line at the delimiter, which may have blanks around it; a blank
// delimiter splits at any number of blanks. An error says what is wrong with
// the line.
Status SplitLine(const std::string& line, const std::string& delimiter,
                 std::vector<TextField>* fields);

// Reads the whole of `text` as a number of type T; returns false if it is none.
template <typename T>
bool ParseNumber(const std::string& text, T* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

// Calls `parse` for each line that is not blank. An error begins with the
// line's number, counted from 1.
Status ForEachLine(
    const std::string& text, const std::string& delimiter,
    const std::function<Status(const std::vector<TextField>&)>& parse);

// Turns an error about a file's text into one that names the file.
Status InFile(const std::string& path, const Status& status);

// Reads a field that must be an integer.
Status ParseIndex(const char* name, const TextField& field, int* index);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_DELIMITED_TEXT_H_
