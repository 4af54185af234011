#include "rewrite/utf8_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace caffe2_quantization {
namespace rewrite {

std::string Utf8(const std::string& text) {
  if (std::all_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x80;
      })) {
    return text;
  }
  const std::string valid = nlohmann::json(text).dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(valid).get<std::string>();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
