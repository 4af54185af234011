#include "profiles/delimited_text.h"

#include <algorithm>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

// As in the "C" locale, whatever the process has.
bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' ||
         c == '\r';
}

bool IsLetterOrDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

bool IsNumber(const std::string& text) {
  double value;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ptr == end && !text.empty();
}

std::size_t SkipBlanks(const std::string& line, std::size_t i) {
  while (i < line.size() && IsBlank(line[i])) ++i;
  return i;
}

// Reads from behind the opening quote to behind the closing one.
bool ReadQuoted(const std::string& line, std::size_t* i, std::string* text) {
  for (; *i < line.size() && line[*i] != '"'; ++*i) {
    if (line[*i] == '\\' && *i + 1 < line.size()) {
      const char c = line[++*i];
      *text += c == 'n' ? '\n' : c == 'r' ? '\r' : c;
    } else {
      *text += line[*i];
    }
  }
  if (*i == line.size()) return false;
  ++*i;
  return true;
}

}  // namespace

Status CheckDelimiter(const std::string& delimiter) {
  const bool fits =
      !delimiter.empty() &&
      delimiter.find_first_of("\"\\+-.\n\r") == std::string::npos &&
      delimiter.find('\0') == std::string::npos &&
      std::none_of(delimiter.begin(), delimiter.end(), IsLetterOrDigit);
  if (fits) return Status::Ok();
  return Status::InvalidArgument(
      "the delimiter is '" + delimiter +
      "', expected one or more ASCII characters, none of them a letter, a "
      "digit, + - . \" \\ or a line break");
}

std::string QuotedName(const std::string& name, const std::string& delimiter,
                       bool quote_numbers) {
  const bool plain = !name.empty() &&
                     std::none_of(name.begin(), name.end(), IsBlank) &&
                     name.find_first_of("\"\\") == std::string::npos &&
                     // Not even a part of it, which a neighbour could complete.
                     name.find_first_of(delimiter) == std::string::npos &&
                     !(quote_numbers && IsNumber(name));
  if (plain) return name;
  std::string text = "\"";
  for (const char c : name) {
    switch (c) {
      case '"':
      case '\\':
        text += '\\';
        text += c;
        break;
      case '\n':
        text += "\\n";
        break;
      case '\r':
        text += "\\r";
        break;
      default:
        text += c;
    }
  }
  return text + '"';
}

Status SplitLine(const std::string& line, const std::string& delimiter,
                 std::vector<TextField>* fields) {
  fields->clear();
  // What stands between the blanks of the delimiter; empty if that is all.
  std::size_t first = 0, last = delimiter.size();
  while (first < last && IsBlank(delimiter[first])) ++first;
  while (last > first && IsBlank(delimiter[last - 1])) --last;
  const std::string mark = delimiter.substr(first, last - first);

  std::size_t i = SkipBlanks(line, 0);
  while (i < line.size()) {
    TextField field;
    if (line[i] == '"') {
      field.quoted = true;
      if (!ReadQuoted(line, &++i, &field.text)) {
        return Status::Corruption("a quote is left open");
      }
    } else {
      while (i < line.size() && !IsBlank(line[i]) &&
             (mark.empty() || line.compare(i, mark.size(), mark) != 0)) {
        field.text += line[i++];
      }
      if (field.text.empty()) {
        return Status::Corruption(
            "field " + std::to_string(fields->size() + 1) + " is empty");
      }
    }
    fields->push_back(std::move(field));
    const std::size_t end = i;
    i = SkipBlanks(line, i);
    if (i == line.size()) break;
    const bool parted =
        mark.empty() ? i > end : line.compare(i, mark.size(), mark) == 0;
    if (!parted) {
      return Status::Corruption("no delimiter '" + delimiter +
                                "' behind field " +
                                std::to_string(fields->size()));
    }
    // One at the line's end is no field.
    i = SkipBlanks(line, i + mark.size());
  }
  return Status::Ok();
}

Status ForEachLine(
    const std::string& text, const std::string& delimiter,
    const std::function<Status(const std::vector<TextField>&)>& parse) {
  RETURN_IF_ERROR(CheckDelimiter(delimiter));
  std::vector<TextField> fields;
  int64_t number = 1;
  for (std::size_t begin = 0; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    Status status =
        SplitLine(text.substr(begin, end - begin), delimiter, &fields);
    if (status.ok() && !fields.empty()) status = parse(fields);
    if (!status.ok()) {
      return Status::Corruption("line " + std::to_string(number) + ": " +
                                status.message());
    }
    begin = end + 1;
  }
  return Status::Ok();
}

Status InFile(const std::string& path, const Status& status) {
  if (status.kind() != Status::Kind::kCorruption) return status;
  return Status::Corruption("'" + path + "', " + status.message());
}

Status ParseIndex(const char* name, const TextField& field, int* index) {
  if (!field.quoted && ParseNumber(field.text, index)) return Status::Ok();
  return Status::Corruption(std::string(name) + " is '" + field.text +
                            "', expected an integer");
}

}  // namespace caffe2_quantization
