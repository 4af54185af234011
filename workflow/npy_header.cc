#include "workflow/npy_header.h"

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

constexpr size_t kMagicBytes = 6;
// numpy's own reader stops at 10,000.
constexpr size_t kMaxHeaderBytes = 1 << 16;
constexpr size_t kMaxDims = 32;  // numpy's too

struct KnownType {
  const char* name;
  NpyType type;
  size_t bytes;
};
constexpr KnownType kTypes[] = {
    {"f2", NpyType::kFloat16, 2}, {"f4", NpyType::kFloat32, 4},
    {"f8", NpyType::kFloat64, 8}, {"i1", NpyType::kInt8, 1},
    {"u1", NpyType::kUInt8, 1},   {"i2", NpyType::kInt16, 2},
    {"u2", NpyType::kUInt16, 2},  {"i4", NpyType::kInt32, 4},
    {"i8", NpyType::kInt64, 8},   {"b1", NpyType::kBool, 1}};

// Printable, and not long: for a message.
std::string Quoted(const std::string& text) {
  std::string shown = "'";
  for (const char c : text.substr(0, 40)) {
    shown += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return shown + (text.size() > 40 ? "...'" : "'");
}

// The literal of a Python dict, of the one sort that numpy writes:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class DictParser {
 public:
  explicit DictParser(const std::string& text) : text_(text) {}

  Status Parse(NpyHeader* header) {
    if (!Take('{')) return Broken("a dict, which begins with '{'");
    while (!Take('}')) {
      std::string key;
      if (!TakeString(&key) || !Take(':')) {
        return Broken("a key in quotes and ':', or '}'");
      }
      if (key == "descr") {
        RETURN_IF_ERROR(ParseDescr(header));
      } else if (key == "fortran_order") {
        RETURN_IF_ERROR(ParseOrder());
      } else if (key == "shape") {
        RETURN_IF_ERROR(ParseShape(header));
      } else {
        return Status::Corruption("the header has the key " + Quoted(key) +
                                  ", expected descr, fortran_order and shape");
      }
      if (!Take(',') && !Next('}')) return Broken("',' or '}'");
    }
    SkipBlanks();
    if (at_ != text_.size()) return Broken("nothing more");
    if (!has_descr_ || !has_order_ || !has_shape_) {
      return Status::Corruption(
          "the header lacks a key, expected descr, fortran_order and shape");
    }
    return Status::Ok();
  }

 private:
  Status Broken(const std::string& expected) const {
    return Status::Corruption("the header has " + Quoted(text_.substr(at_)) +
                              " at its byte " + std::to_string(at_) +
                              ", expected " + expected);
  }

  void SkipBlanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
      ++at_;
    }
  }
  bool Next(char c) {
    SkipBlanks();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool Take(char c) {
    if (!Next(c)) return false;
    ++at_;
    return true;
  }
  bool TakeWord(const std::string& word) {
    SkipBlanks();
    if (text_.compare(at_, word.size(), word) != 0) return false;
    at_ += word.size();
    return true;
  }
  bool TakeString(std::string* text) {
    if (!Next('\'') && !Next('"')) return false;
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string::npos) return false;
    *text = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }

  Status ParseDescr(NpyHeader* header) {
    if (Next('[')) {
      return Status::InvalidArgument(
          "its type is a record (structured), expected one of numbers");
    }
    std::string descr;
    if (!TakeString(&descr)) return Broken("a type in quotes");
    has_descr_ = true;
    if (!descr.empty() && descr[0] == '>') {
      return Status::InvalidArgument("its type is " + Quoted(descr) +
                                     ", big-endian; expected little-endian");
    }
    const bool has_order =
        !descr.empty() &&
        (descr[0] == '<' || descr[0] == '|' || descr[0] == '=');
    const std::string name = descr.substr(has_order ? 1 : 0);
    for (const KnownType& known : kTypes) {
      if (name != known.name) continue;
      header->type = known.type;
      header->item_bytes = known.bytes;
      return Status::Ok();
    }
    return Status::InvalidArgument(
        "its type is " + Quoted(descr) +
        ", expected f2, f4, f8, i1, i2, i4, i8, u1, u2 or b1");
  }

  Status ParseOrder() {
    has_order_ = true;
    if (TakeWord("False")) return Status::Ok();
    if (TakeWord("True")) {
      return Status::InvalidArgument(
          "its elements are in Fortran's order, expected C's "
          "(numpy.ascontiguousarray)");
    }
    return Broken("True or False");
  }

  Status ParseShape(NpyHeader* header) {
    has_shape_ = true;
    header->shape.clear();
    if (!Take('(')) return Broken("a tuple, which begins with '('");
    while (!Take(')')) {
      SkipBlanks();
      int64_t dim = 0;
      const size_t begin = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
        if (__builtin_mul_overflow(dim, int64_t{10}, &dim) ||
            __builtin_add_overflow(dim, text_[at_] - '0', &dim)) {
          return Status::Corruption(
              "the header has a dimension of more than 63 bits");
        }
        ++at_;
      }
      if (at_ == begin) return Broken("a dimension");
      Take('L');  // as Python 2 wrote them
      if (header->shape.size() == kMaxDims) {
        return Status::Corruption("the header has more than " +
                                  std::to_string(kMaxDims) + " dimensions");
      }
      header->shape.push_back(dim);
      if (!Take(',') && !Next(')')) return Broken("',' or ')'");
    }
    return Status::Ok();
  }

  const std::string& text_;
  size_t at_ = 0;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

}  // namespace

Status ReadNpyHeader(const std::function<Status(char*, size_t)>& read,
                     NpyHeader* header) {
  unsigned char prefix[kMagicBytes + 2];
  RETURN_IF_ERROR(read(reinterpret_cast<char*>(prefix), sizeof(prefix)));
  if (std::string(reinterpret_cast<char*>(prefix), kMagicBytes) !=
      "\x93NUMPY") {
    return Status::Corruption("it does not begin as an .npy array does");
  }
  const int version = prefix[kMagicBytes];
  if (version < 1 || version > 3) {
    return Status::InvalidArgument("it is .npy version " +
                                   std::to_string(version) +
                                   ", expected 1, 2 or 3");
  }
  unsigned char length[4] = {};
  const size_t length_bytes = version == 1 ? 2 : 4;
  RETURN_IF_ERROR(read(reinterpret_cast<char*>(length), length_bytes));
  const size_t size = length[0] | length[1] << 8 | length[2] << 16 |
                      static_cast<size_t>(length[3]) << 24;
  if (size > kMaxHeaderBytes) {
    return Status::Corruption("its header has " + std::to_string(size) +
                              " bytes, expected at most " +
                              std::to_string(kMaxHeaderBytes));
  }
  std::string text(size, '\0');
  RETURN_IF_ERROR(read(&text[0], size));
  NpyHeader parsed;
  RETURN_IF_ERROR(DictParser(text).Parse(&parsed));
  parsed.header_bytes =
      static_cast<int64_t>(sizeof(prefix) + length_bytes + size);
  parsed.data_bytes = static_cast<int64_t>(parsed.item_bytes);
  for (const int64_t dim : parsed.shape) {
    if (__builtin_mul_overflow(parsed.data_bytes, dim, &parsed.data_bytes)) {
      return Status::Corruption(
          "its dimensions have a product of more than 63 bits");
    }
  }
  *header = std::move(parsed);
  return Status::Ok();
}

}  // namespace caffe2_quantization
