#include "netdef/model_reader_text.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

// The binary form ends there, too.
constexpr int kMaxDepth = 100;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsOctal(char c) { return c >= '0' && c <= '7'; }
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
// The value of a hexadecimal digit; -1 of anything else.
int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct Token {
  enum class Kind { kEnd, kName, kInteger, kFloat, kString, kSymbol };
  Kind kind = Kind::kEnd;
  std::size_t begin = 0;
  std::string_view text;  // of a string with its quotes

  bool Is(char symbol) const {
    return kind == Kind::kSymbol && text[0] == symbol;
  }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  // False on what is no token: error() says why, at position().
  bool Next(Token* token) {
    SkipSpace();
    token->begin = at_;
    if (AtEnd()) {
      token->kind = Token::Kind::kEnd;
      token->text = {};
      return true;
    }
    const char c = text_[at_];
    bool good = true;
    if (IsLetter(c)) {
      token->kind = Token::Kind::kName;
      while (IsLetter(Peek()) || IsDigit(Peek())) ++at_;
    } else if (IsDigit(c) || (c == '.' && IsDigit(Peek(1)))) {
      good = Number(token);
    } else if (c == '"' || c == '\'') {
      token->kind = Token::Kind::kString;
      good = String(c);
    } else if (static_cast<unsigned char>(c) < 0x20 ||
               static_cast<unsigned char>(c) >= 0x7F) {
      good = Fail("a character that has no place in a text");
    } else {
      token->kind = Token::Kind::kSymbol;
      ++at_;
    }
    token->text = text_.substr(token->begin, at_ - token->begin);
    return good;
  }

  std::size_t position() const { return at_; }
  const char* error() const { return error_; }

 private:
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool Fail(const char* error) {
    error_ = error;
    return false;
  }

  void SkipSpace() {
    while (!AtEnd()) {
      if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (IsSpace(text_[at_])) {
        ++at_;
      } else {
        return;
      }
    }
  }

  bool Number(Token* token) {
    token->kind = Token::Kind::kInteger;
    if (Peek() == '0' && (Peek(1) == 'x' || Peek(1) == 'X')) {
      at_ += 2;
      if (HexValue(Peek()) < 0) return Fail("0x without a digit");
      while (HexValue(Peek()) >= 0) ++at_;
    } else if (Peek() == '0' && IsDigit(Peek(1))) {
      while (IsOctal(Peek())) ++at_;
      if (IsDigit(Peek())) return Fail("a digit that is not octal");
    } else {
      while (IsDigit(Peek())) ++at_;
      if (Peek() == '.') {
        token->kind = Token::Kind::kFloat;
        ++at_;
        while (IsDigit(Peek())) ++at_;
      }
      if (Peek() == 'e' || Peek() == 'E') {
        token->kind = Token::Kind::kFloat;
        ++at_;
        if (Peek() == '+' || Peek() == '-') ++at_;
        if (!IsDigit(Peek())) return Fail("an exponent without a digit");
        while (IsDigit(Peek())) ++at_;
      }
      if (Peek() == 'f' || Peek() == 'F') {
        token->kind = Token::Kind::kFloat;
        ++at_;
      }
    }
    if (IsLetter(Peek()) || Peek() == '.') {
      return Fail("a number that goes on as something else");
    }
    return true;
  }

  bool String(char quote) {
    const std::size_t begin = at_++;
    for (;;) {
      if (AtEnd() || Peek() == '\0' || Peek() == '\n') {
        at_ = begin;
        return Fail("a string without its closing quote");
      }
      const char c = text_[at_++];
      if (c == quote) return true;
      if (c == '\\' && !Escape()) return Fail("an unknown escape sequence");
    }
  }

  // Whether what follows a backslash makes sense, up to its first digits.
  bool Escape() {
    const char c = Peek();
    if (c == '\0') return false;
    if (std::strchr("abfnrtv\\?'\"", c) != nullptr || IsOctal(c)) {
      ++at_;
      return true;
    }
    if (c != 'x' && c != 'u' && c != 'U') return false;
    const int digits = c == 'u' ? 4 : c == 'U' ? 8 : 1;
    ++at_;
    uint32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      if (HexValue(Peek()) < 0) return false;
      value = value << 4 | static_cast<uint32_t>(HexValue(Peek()));
    }
    return value <= 0x10FFFF;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  const char* error_ = "";
};

void AppendUtf8(uint32_t code, std::string* out) {
  const auto put = [out](uint32_t byte) {
    out->push_back(static_cast<char>(byte));
  };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// `count` hexadecimal digits, which are there.
uint32_t HexNumber(std::string_view text, std::size_t at, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    value = value << 4 |
            static_cast<uint32_t>(HexValue(text[at + static_cast<size_t>(i)]));
  }
  return value;
}

// A \u that ends at `at` and began a surrogate pair: its second half, if it
// follows; else 0.
uint32_t LowSurrogate(std::string_view text, std::size_t at) {
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return 0;
  for (std::size_t i = at + 2; i < at + 6; ++i) {
    if (HexValue(text[i]) < 0) return 0;
  }
  const uint32_t low = HexNumber(text, at + 2, 4);
  return low >= 0xDC00 && low < 0xE000 ? low : 0;
}

// What a string token means. It has passed the lexer.
void AppendUnescaped(std::string_view token, std::string* out) {
  const std::string_view text = token.substr(1, token.size() - 2);
  std::size_t i = 0;
  while (i < text.size()) {
    const char c = text[i++];
    if (c != '\\') {
      out->push_back(c);
      continue;
    }
    const char kind = text[i];
    if (IsOctal(kind)) {
      int value = 0;
      for (int n = 0; n < 3 && i < text.size() && IsOctal(text[i]); ++n) {
        value = value * 8 + (text[i++] - '0');
      }
      out->push_back(static_cast<char>(value));
      continue;
    }
    ++i;
    if (kind == 'x') {
      int value = 0;
      for (int n = 0; n < 2 && i < text.size() && HexValue(text[i]) >= 0; ++n) {
        value = value * 16 + HexValue(text[i++]);
      }
      out->push_back(static_cast<char>(value));
    } else if (kind == 'u' || kind == 'U') {
      const int digits = kind == 'u' ? 4 : 8;
      uint32_t code = HexNumber(text, i, digits);
      i += static_cast<std::size_t>(digits);
      if (code >= 0xD800 && code < 0xDC00) {
        if (const uint32_t low = LowSurrogate(text, i)) {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          i += 6;
        }
      }
      AppendUtf8(code, out);
    } else {
      constexpr char kNames[] = "abfnrtv";
      constexpr char kValues[] = "\a\b\f\n\r\t\v";
      const char* const named = std::strchr(kNames, kind);
      out->push_back(named == nullptr ? kind : kValues[named - kNames]);
    }
  }
}

class FieldWriter {
 public:
  explicit FieldWriter(std::string* out) : out_(out) {}

  void Varint(uint64_t value) {
    while (value >= 0x80) {
      out_->push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_->push_back(static_cast<char>(value));
  }
  void Tag(uint32_t number, WireType type) {
    Varint(uint64_t{number} << 3 | static_cast<uint64_t>(type));
  }
  void Integer(uint32_t number, uint64_t value) {
    Tag(number, WireType::kVarint);
    Varint(value);
  }
  template <typename T>
  void Fixed(uint32_t number, T value) {
    Tag(number, sizeof(T) == 4 ? WireType::kFixed32 : WireType::kFixed64);
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_->append(bytes, sizeof(T));
  }
  void Bytes(uint32_t number, std::string_view value) {
    Tag(number, WireType::kBytes);
    Varint(value.size());
    out_->append(value);
  }

 private:
  std::string* out_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  bool Message(const MessageSchema& message, std::string* wire) {
    field_ = message.name;
    return Advance() && Fields(message, '\0', 0, wire);
  }

  const std::string& what() const { return what_; }
  const std::string& field() const { return field_; }
  std::size_t fault_at() const { return fault_at_; }

 private:
  using Kind = Token::Kind;

  bool Fail(std::string what) {
    fault_at_ = token_.begin;
    what_ = std::move(what);
    return false;
  }
  bool FailExpecting(const char* expected) {
    if (token_.kind == Kind::kEnd) {
      return Fail(std::string("the text ends, expected ") + expected);
    }
    constexpr std::size_t kLongest = 40;
    return Fail("found " + std::string(token_.text.substr(0, kLongest)) +
                (token_.text.size() > kLongest ? "…" : "") + ", expected " +
                expected);
  }

  bool Advance() {
    if (lexer_.Next(&token_)) return true;
    fault_at_ = lexer_.position();
    what_ = std::string("found ") + lexer_.error();
    return false;
  }
  // Moves past a symbol if it is there.
  bool Take(char symbol, bool* taken) {
    *taken = token_.Is(symbol);
    return !*taken || Advance();
  }
  bool Expect(char symbol) {
    if (token_.Is(symbol)) return Advance();
    const char expected[] = {'\'', symbol, '\'', '\0'};
    return FailExpecting(expected);
  }

  // Fields up to `close`, which is taken; '\0' is the end of the text.
  bool Fields(const MessageSchema& message, char close, int depth,
              std::string* wire) {
    uint32_t seen = 0;  // a bit for each field of the table
    std::size_t counts[kMaxFieldsOfMessage] = {};
    for (;;) {
      if (close == '\0' ? token_.kind == Kind::kEnd : token_.Is(close)) {
        return close == '\0' || Advance();
      }
      if (token_.kind != Kind::kName) {
        return FailExpecting("the name of a field");
      }
      const FieldSchema* field = message.Find(token_.text);
      if (field == nullptr) {
        return FailExpecting(
            (std::string("a field of ") + message.name).data());
      }
      const auto index = static_cast<std::size_t>(field - message.fields);
      const std::size_t outer_length = field_.size();
      field_ += std::string(".") + field->name;
      if (!field->repeated && (seen >> index & 1) != 0) {
        return Fail("is there twice");
      }
      seen |= uint32_t{1} << index;
      if (!Advance() || !Field(*field, depth, &counts[index], wire)) {
        return false;
      }
      field_.resize(outer_length);
      bool taken = false;
      if (!Take(';', &taken) || (!taken && !Take(',', &taken))) return false;
    }
  }

  // What follows a name: a value, or several in brackets.
  bool Field(const FieldSchema& field, int depth, std::size_t* count,
             std::string* wire) {
    bool taken = false;
    if (field.kind != FieldKind::kMessage) {
      if (!Expect(':')) return false;
    } else if (!Take(':', &taken)) {
      return false;
    }
    if (!field.repeated) return Value(field, depth, wire);
    if (!Take('[', &taken)) return false;
    if (!taken) return Element(field, depth, count, wire);
    if (!Take(']', &taken)) return false;
    while (!taken) {
      if (!Element(field, depth, count, wire)) return false;
      if (!Take(']', &taken)) return false;
      if (!taken && !Expect(',')) return false;
    }
    return true;
  }

  bool Element(const FieldSchema& field, int depth, std::size_t* count,
               std::string* wire) {
    const std::size_t outer_length = field_.size();
    field_ += '[' + std::to_string((*count)++) + ']';
    if (!Value(field, depth, wire)) return false;
    field_.resize(outer_length);
    return true;
  }

  bool Value(const FieldSchema& field, int depth, std::string* wire) {
    FieldWriter writer(wire);
    uint64_t integer = 0;
    double real = 0;
    switch (field.kind) {
      case FieldKind::kInt32:
        if (!Signed(std::numeric_limits<int32_t>::max(), &integer)) {
          return false;
        }
        writer.Integer(field.number, integer);
        return true;
      case FieldKind::kInt64:
        if (!Signed(std::numeric_limits<int64_t>::max(), &integer)) {
          return false;
        }
        writer.Integer(field.number, integer);
        return true;
      case FieldKind::kUint32:
        if (!Unsigned(std::numeric_limits<uint32_t>::max(), &integer)) {
          return false;
        }
        writer.Integer(field.number, integer);
        return true;
      case FieldKind::kBool:
        if (!Bool(&integer)) return false;
        writer.Integer(field.number, integer);
        return true;
      case FieldKind::kEnum:
        if (!Enum(*field.values, &integer)) return false;
        writer.Integer(field.number, integer);
        return true;
      case FieldKind::kFloat:
        if (!Real(&real)) return false;
        writer.Fixed(field.number, static_cast<float>(real));
        return true;
      case FieldKind::kDouble:
        if (!Real(&real)) return false;
        writer.Fixed(field.number, real);
        return true;
      case FieldKind::kString:
      case FieldKind::kBytes: {
        std::string value;
        if (!Strings(&value)) return false;
        writer.Bytes(field.number, value);
        return true;
      }
      case FieldKind::kMessage:
        break;
    }
    if (depth == kMaxDepth) {
      return Fail("is a message more than " + std::to_string(kMaxDepth) +
                  " deep");
    }
    const bool angle = token_.Is('<');
    if (!angle && !token_.Is('{')) return FailExpecting("'{'");
    std::string inner;
    if (!Advance() ||
        !Fields(*field.message, angle ? '>' : '}', depth + 1, &inner)) {
      return false;
    }
    writer.Bytes(field.number, inner);
    return true;
  }

  // An integer token's value, unless it is above `most`.
  bool Unsigned(uint64_t most, uint64_t* value) {
    if (token_.kind != Kind::kInteger) return FailExpecting("an integer");
    std::string_view digits = token_.text;
    uint64_t base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
      const bool hex = digits[1] == 'x' || digits[1] == 'X';
      base = hex ? 16 : 8;
      digits.remove_prefix(hex ? 2 : 1);
    }
    *value = 0;
    for (const char c : digits) {
      const auto digit = static_cast<uint64_t>(HexValue(c));
      if (*value > (most - digit) / base || digit > most) {
        return Fail("found " + std::string(token_.text.substr(0, 40)) +
                    ", expected an integer of at most " + std::to_string(most));
      }
      *value = *value * base + digit;
    }
    return Advance();
  }

  // As the wire has it: a negative one in 64 bits of two's complement.
  bool Signed(uint64_t most, uint64_t* value) {
    bool negative = false;
    if (!Take('-', &negative) || !Unsigned(most + negative, value)) {
      return false;
    }
    if (negative) *value = ~*value + 1;
    return true;
  }

  bool Bool(uint64_t* value) {
    if (token_.kind == Kind::kInteger) return Unsigned(1, value);
    const std::string_view name =
        token_.kind == Kind::kName ? token_.text : std::string_view();
    *value = name == "true" || name == "True" || name == "t";
    if (*value == 0 && name != "false" && name != "False" && name != "f") {
      return FailExpecting("true or false");
    }
    return Advance();
  }

  bool Enum(const EnumSchema& values, uint64_t* value) {
    const EnumSchema::Value* found = nullptr;
    const std::size_t begin = token_.begin;
    if (token_.kind == Kind::kName) {
      found = values.Find(token_.text);
      if (found != nullptr && !Advance()) return false;
    } else {
      if (!Signed(std::numeric_limits<int32_t>::max(), value)) return false;
      found = values.Find(static_cast<int64_t>(*value));
      if (found == nullptr) token_.begin = begin;
    }
    if (found == nullptr) return Fail("has a value that its type has not");
    *value = static_cast<uint64_t>(found->number);
    return true;
  }

  bool Real(double* value) {
    bool negative = false;
    if (!Take('-', &negative)) return false;
    const std::string text(token_.text);
    if (token_.kind == Kind::kName) {
      std::string name = text;
      std::transform(name.begin(), name.end(), name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      if (name == "inf" || name == "infinity") {
        *value = std::numeric_limits<double>::infinity();
      } else if (name == "nan") {
        *value = std::numeric_limits<double>::quiet_NaN();
      } else {
        return FailExpecting("a number");
      }
    } else if (token_.kind == Kind::kFloat ||
               (token_.kind == Kind::kInteger &&
                (text.size() == 1 || text[0] != '0'))) {
      *value = std::strtod(text.c_str(), nullptr);
    } else {
      return FailExpecting("a decimal number");
    }
    if (negative) *value = -*value;
    return Advance();
  }

  // One string or more, which are then one.
  bool Strings(std::string* value) {
    if (token_.kind != Kind::kString) return FailExpecting("a string");
    while (token_.kind == Kind::kString) {
      AppendUnescaped(token_.text, value);
      if (!Advance()) return false;
    }
    return true;
  }

  Lexer lexer_;
  Token token_;
  std::string field_;
  std::string what_;
  std::size_t fault_at_ = 0;
};

}  // namespace

bool TextToWire(const MessageSchema& message, std::string_view text,
                std::string* wire, ModelFault* fault, std::size_t* fault_at) {
  wire->clear();
  Parser parser(text);
  if (parser.Message(message, wire)) return true;
  *fault_at = parser.fault_at();
  const std::string_view before = text.substr(0, *fault_at);
  const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  fault->has_offset = false;
  fault->line = 1 + static_cast<std::size_t>(
                        std::count(before.begin(), before.end(), '\n'));
  fault->column = *fault_at - line_begin + 1;
  fault->field = parser.field();
  fault->what = parser.what();
  return false;
}

}  // namespace caffe2_quantization
