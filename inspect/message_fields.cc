#include "inspect/message_fields.h"

#include <limits>

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMaxDims = 64;

// A varint that is known to be whole; moves past it.
uint64_t TakeVarint(const uint8_t** at, const uint8_t* end) {
  uint64_t value = 0;
  for (int shift = 0; *at < end; shift += 7) {
    const uint8_t byte = *(*at)++;
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

}  // namespace

bool IsVarint(const WireField& field) {
  return field.type == WireType::kVarint;
}
bool IsBytes(const WireField& field) { return field.type == WireType::kBytes; }

MessageBytes BytesOf(const WireReader& reader, const WireField& field) {
  return {field.begin, field.size(), reader.OffsetOf(field.begin)};
}

std::string TextOf(const WireField& field) {
  return std::string(reinterpret_cast<const char*>(field.begin), field.size());
}

int64_t IntegerOf(const WireField& field) {
  const uint8_t* at = field.begin;
  return static_cast<int64_t>(TakeVarint(&at, field.end));
}

double DoubleOf(const WireField& field) { return Load<double>(field.begin); }
double FloatOf(const WireField& field) {
  return static_cast<double>(Load<float>(field.begin));
}

void ForEachInteger(const WireField& field,
                    const std::function<void(int64_t)>& visit) {
  if (!IsVarint(field) && !IsBytes(field)) return;
  for (const uint8_t* at = field.begin; at < field.end;) {
    visit(static_cast<int64_t>(TakeVarint(&at, field.end)));
  }
}

void AddNumbers(const WireField& field, FieldKind kind, InspectedRange* range) {
  const bool packed = IsBytes(field);
  if (kind == FieldKind::kFloat || kind == FieldKind::kDouble) {
    const bool is_float = kind == FieldKind::kFloat;
    if (!packed &&
        field.type != (is_float ? WireType::kFixed32 : WireType::kFixed64)) {
      return;
    }
    const std::size_t width = is_float ? sizeof(float) : sizeof(double);
    for (std::size_t i = 0; i + width <= field.size(); i += width) {
      const uint8_t* const from = field.begin + i;
      range->Add(is_float ? static_cast<double>(Load<float>(from))
                          : Load<double>(from));
    }
  } else {
    ForEachInteger(field, [kind, range](int64_t value) {
      range->Add(static_cast<double>(
          kind == FieldKind::kInt32 ? static_cast<int32_t>(value) : value));
    });
  }
}

bool AddDims(const WireField& field, std::vector<int64_t>* dims) {
  bool good = true;
  ForEachInteger(field, [dims, &good](int64_t dim) {
    good = good && dims->size() < kMaxDims;
    if (good) dims->push_back(dim);
  });
  return good;
}

bool CountElements(const std::vector<int64_t>& dims, uint64_t* elements) {
  int64_t product = 1;
  bool empty = false;
  bool overflow = false;
  for (const int64_t dim : dims) {
    if (dim < 0) {
      *elements = 0;
      return false;
    }
    empty |= dim == 0;
    overflow |= dim > 0 && __builtin_mul_overflow(product, dim, &product);
  }
  *elements = empty      ? 0
              : overflow ? std::numeric_limits<uint64_t>::max()
                         : static_cast<uint64_t>(product);
  return true;
}

std::string TooManyDims() {
  return "has more than " + std::to_string(kMaxDims) + " dims";
}

}  // namespace caffe2_quantization
