#include "quantization/quantization_params_json.h"

#include <charconv>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

// Numbers with a point are read as floats at once: through double some would be
// rounded twice.
using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool,
                                  int64_t, uint64_t, float>;

constexpr std::size_t kMostBytes = std::size_t{256} << 20;
constexpr const char* kMembers[] = {
    "format_version", "type",   "symmetry",    "granularity", "axis",
    "block_size",     "scales", "zero_points", "min",         "max"};

Status Wrong(const std::string& what) {
  return Status::Corruption("quantization parameters: " + what);
}

// Of what stands where something else is expected; not all of a large one.
std::string Shown(const Json& json) {
  constexpr std::size_t kMost = 40;
  if (json.is_structured()) return json.is_array() ? "an array" : "an object";
  const std::string text =
      json.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kMost ? text : text.substr(0, kMost) + "...";
}

void Append(float value, std::string* text) {
  char digits[32];
  text->append(digits, std::to_chars(digits, std::end(digits), value).ptr);
}

template <typename Number>
Status Read(const Json& json, const std::string& name, Number* number) {
  if constexpr (std::is_same_v<Number, float>) {
    if (json.is_number()) {
      *number = json.get<float>();
      return Status::Ok();
    }
    return Wrong(name + " is " + Shown(json) + ", expected a number");
  } else {
    // Unsigned ones beyond int64_t are beyond Number too.
    constexpr int64_t kMost = std::numeric_limits<Number>::max();
    if (json.is_number_unsigned()
            ? json.get<uint64_t>() <= static_cast<uint64_t>(kMost)
            : json.is_number_integer() &&
                  json.get<int64_t>() >= std::numeric_limits<Number>::min()) {
      *number = json.get<Number>();
      return Status::Ok();
    }
    return Wrong(name + " is " + Shown(json) + ", expected an integer of " +
                 std::to_string(8 * sizeof(Number)) + " bits");
  }
}

template <typename Number>
Status Read(const Json& json, const std::string& name,
            std::vector<Number>* numbers) {
  if (!json.is_array()) {
    return Wrong(name + " is " + Shown(json) + ", expected an array");
  }
  numbers->resize(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    RETURN_IF_ERROR(
        Read(json[i], name + "[" + std::to_string(i) + "]", &(*numbers)[i]));
  }
  return Status::Ok();
}

template <typename Enum>
Status Read(const Json& json, const char* name,
            std::initializer_list<Enum> values, Enum* value) {
  std::string expected;
  for (const Enum each : values) {
    if (json.is_string() && json.get_ref<const std::string&>() == Name(each)) {
      *value = each;
      return Status::Ok();
    }
    expected += std::string(expected.empty() ? "" : ", ") + Name(each);
  }
  return Wrong(std::string(name) + " is " + Shown(json) +
               ", expected one of: " + expected);
}

// Nothing is nested deeper than an array in the object, and no member of it
// stands twice; checked while parsing, before memory is taken.
struct Shape {
  std::set<std::string> seen;
  std::string error;

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    const bool begins = event == Json::parse_event_t::object_start ||
                        event == Json::parse_event_t::array_start;
    if (begins && depth > 1 && error.empty()) {
      error = "an array or object within another, expected numbers";
    }
    if (event == Json::parse_event_t::key && depth == 1 && error.empty()) {
      const std::string& name = parsed.get_ref<const std::string&>();
      if (!seen.insert(name).second) {
        error = "member " + Shown(parsed) + " is given twice";
      }
    }
    return error.empty();
  }
};

}  // namespace

Status QuantizationParamsToJson(const QuantizationParams& params,
                                std::string* json) {
  RETURN_IF_ERROR(params.Validate());
  std::string text =
      "{\n  \"format_version\": " +
      std::to_string(QuantizationParams::kFormatVersion) + ",\n  \"type\": \"" +
      params.type.Name() + "\",\n  \"symmetry\": \"" + Name(params.symmetry) +
      "\",\n  \"granularity\": \"" + Name(params.granularity) +
      "\",\n  \"axis\": " + std::to_string(params.axis) +
      ",\n  \"block_size\": " + std::to_string(params.block_size) +
      ",\n  \"scales\": [";
  for (std::size_t i = 0; i < params.scales.size(); ++i) {
    if (i > 0) text += ", ";
    Append(params.scales[i], &text);
  }
  text += "],\n  \"zero_points\": [";
  for (std::size_t i = 0; i < params.zero_points.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(params.zero_points[i]);
  }
  text += "]";
  if (params.min.has_value()) {
    text += ",\n  \"min\": ";
    Append(*params.min, &text);
    text += ",\n  \"max\": ";
    Append(*params.max, &text);
  }
  text += "\n}\n";
  *json = std::move(text);
  return Status::Ok();
}

Status QuantizationParamsFromJson(const std::string& json,
                                  QuantizationParams* params) {
  if (json.size() > kMostBytes) {
    return Status::OutOfRange(
        "quantization parameters: JSON of " + std::to_string(json.size()) +
        " bytes, expected " + std::to_string(kMostBytes) + " at most");
  }
  Json parsed;
  Shape shape;
  try {
    parsed = Json::parse(json, std::ref(shape));
  } catch (const nlohmann::detail::exception& error) {
    return Wrong(std::string("not JSON: ") + error.what());
  }
  if (!shape.error.empty()) return Wrong(shape.error);
  if (!parsed.is_object()) {
    return Wrong(Shown(parsed) + ", expected a JSON object");
  }
  int32_t version = 0;
  if (!parsed.contains("format_version")) {
    return Wrong("no format_version, expected quantization parameters");
  }
  RETURN_IF_ERROR(Read(parsed["format_version"], "format_version", &version));
  if (version != QuantizationParams::kFormatVersion) {
    return Wrong("format version " + std::to_string(version) +
                 ", this program reads " +
                 std::to_string(QuantizationParams::kFormatVersion));
  }
  std::size_t known = 0;
  for (const std::string name : kMembers) {
    if (parsed.contains(name)) {
      ++known;
    } else if (name != "min" && name != "max") {
      return Wrong("no member " + name);
    }
  }
  if (known != parsed.size()) {
    for (const auto& [name, value] : parsed.items()) {
      if (std::find(std::begin(kMembers), std::end(kMembers), name) ==
          std::end(kMembers)) {
        return Wrong("member " + Shown(Json(name)) + " is unknown");
      }
    }
  }

  QuantizationParams made;
  const Json& type = parsed["type"];
  if (!type.is_string()) {
    return Wrong("type is " + Shown(type) + ", expected a name, such as int8");
  }
  const Status status =
      QuantizedType::FromName(type.get_ref<const std::string&>(), &made.type);
  if (!status.ok()) {
    return Wrong("type is " + Shown(type) +
                 ", expected int1 to int16, uint1 to uint16, or int32");
  }
  RETURN_IF_ERROR(Read(parsed["symmetry"], "symmetry",
                       {Symmetry::kSymmetric, Symmetry::kAsymmetric},
                       &made.symmetry));
  RETURN_IF_ERROR(Read(parsed["granularity"], "granularity",
                       {Granularity::kTensor, Granularity::kChannel,
                        Granularity::kBlock, Granularity::kChannelBlock},
                       &made.granularity));
  RETURN_IF_ERROR(Read(parsed["axis"], "axis", &made.axis));
  RETURN_IF_ERROR(Read(parsed["block_size"], "block_size", &made.block_size));
  RETURN_IF_ERROR(Read(parsed["scales"], "scales", &made.scales));
  RETURN_IF_ERROR(
      Read(parsed["zero_points"], "zero_points", &made.zero_points));
  for (const auto& [name, value] :
       {std::pair<const char*, std::optional<float>*>("min", &made.min),
        {"max", &made.max}}) {
    if (!parsed.contains(name)) continue;
    RETURN_IF_ERROR(Read(parsed[name], name, &value->emplace()));
  }
  const Status valid = made.Validate();
  if (!valid.ok()) return Status::Corruption(valid.message());
  *params = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
