#include "observers/min_max_file.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>

namespace caffe2_quantization {
namespace {

std::string Quoted(const std::string& name) {
  const bool plain = !name.empty() &&
                     name.find_first_of(" \t\n\r\v\f\"\\") == std::string::npos;
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

// Splits a line at blanks, honouring quotes. False: a quote is left open.
bool SplitLine(const std::string& line, std::vector<std::string>* fields) {
  fields->clear();
  std::size_t i = 0;
  while (true) {
    while (i < line.size() &&
           std::isspace(static_cast<unsigned char>(line[i]))) {
      ++i;
    }
    if (i == line.size()) return true;
    std::string field;
    if (line[i] == '"') {
      for (++i; i < line.size() && line[i] != '"'; ++i) {
        if (line[i] == '\\' && i + 1 < line.size()) {
          ++i;
          field += line[i] == 'n' ? '\n' : line[i] == 'r' ? '\r' : line[i];
        } else {
          field += line[i];
        }
      }
      if (i == line.size()) return false;
      ++i;
    } else {
      while (i < line.size() &&
             !std::isspace(static_cast<unsigned char>(line[i]))) {
        field += line[i++];
      }
    }
    fields->push_back(std::move(field));
  }
}

template <typename T>
bool ParseNumber(const std::string& text, T* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

Status ParseLine(const std::vector<std::string>& fields, MinMaxLine* line) {
  if (fields.size() != 5 && fields.size() != 6) {
    return Status::Corruption(std::to_string(fields.size()) +
                              " fields, expected 6 (or 5, without op_type)");
  }
  const std::size_t shift = fields.size() - 5;  // 1 with op_type
  if (!ParseNumber(fields[0], &line->op_index)) {
    return Status::Corruption("op_index is '" + fields[0] +
                              "', expected an integer");
  }
  line->op_type = shift == 1 ? fields[1] : "";
  if (!ParseNumber(fields[1 + shift], &line->output_index)) {
    return Status::Corruption("output_index is '" + fields[1 + shift] +
                              "', expected an integer");
  }
  line->tensor_name = fields[2 + shift];
  const std::string& min_text = fields[3 + shift];
  const std::string& max_text = fields[4 + shift];
  int64_t integer_min, integer_max;
  double min, max;
  if (ParseNumber(min_text, &integer_min) &&
      ParseNumber(max_text, &integer_max)) {
    line->range = ValueRange::OfIntegers(integer_min, integer_max);
  } else if (ParseNumber(min_text, &min) && ParseNumber(max_text, &max) &&
             std::isfinite(min) && std::isfinite(max)) {
    line->range = ValueRange::OfDoubles(min, max);
  } else {
    return Status::Corruption("min and max are '" + min_text + "' and '" +
                              max_text + "', expected finite numbers");
  }
  return Status::Ok();
}

}  // namespace

std::string FormatMinMax(const NetInfo& info, RangeSince since) {
  std::string text;
  for (const OperatorInfo& op : info.operators) {
    for (const OutputInfo& output : op.outputs) {
      const ValueRange& range = since == RangeSince::kAttach
                                    ? output.total.range
                                    : output.values.range;
      text += std::to_string(op.op_index) + ' ' + Quoted(op.op_type) + ' ' +
              std::to_string(output.output_index) + ' ' +
              Quoted(output.tensor_name) + ' ' + range.MinText() + ' ' +
              range.MaxText() + '\n';
    }
  }
  return text;
}

Status ParseMinMax(const std::string& text, std::vector<MinMaxLine>* lines) {
  lines->clear();
  std::istringstream stream(text);
  std::string line;
  std::vector<std::string> fields;
  for (int number = 1; std::getline(stream, line); ++number) {
    const std::string where = "line " + std::to_string(number) + ": ";
    if (!SplitLine(line, &fields)) {
      return Status::Corruption(where + "a quote is left open");
    }
    if (fields.empty()) continue;
    MinMaxLine parsed;
    const Status status = ParseLine(fields, &parsed);
    if (!status.ok()) return Status::Corruption(where + status.message());
    lines->push_back(std::move(parsed));
  }
  return Status::Ok();
}

Status ReadMinMaxFile(const std::string& path, std::vector<MinMaxLine>* lines) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rb"), std::fclose);
  std::string text;
  char block[4096];
  while (file != nullptr) {
    const std::size_t got = std::fread(block, 1, sizeof(block), file.get());
    if (got == 0) break;
    text.append(block, got);
  }
  if (file == nullptr || std::ferror(file.get()) != 0) {
    return Status::IoError("cannot read '" + path +
                           "': " + std::strerror(errno));
  }
  const Status status = ParseMinMax(text, lines);
  if (!status.ok()) {
    return Status::Corruption("'" + path + "', " + status.message());
  }
  return Status::Ok();
}

std::string NumberedPath(const std::string& path, uint64_t number) {
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  const std::size_t dot = path.rfind('.');
  const std::string suffix = "_" + std::to_string(number);
  // A dot that starts the name is part of it.
  if (dot == std::string::npos || dot <= name) return path + suffix;
  return path.substr(0, dot) + suffix + path.substr(dot);
}

}  // namespace caffe2_quantization
