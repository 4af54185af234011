// Random changes to the bytes of messages, as fuzzers make them.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_MUTATED_BYTES_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_MUTATED_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace caffe2_quantization {

inline std::string Varint(uint64_t value) {
  std::string bytes;
  while (value >= 0x80) {
    bytes.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

// One change, or up to eight.
inline std::string Mutated(std::string bytes, std::mt19937_64* random) {
  const auto below = [random](std::size_t n) {
    return static_cast<std::size_t>((*random)() % std::max<std::size_t>(n, 1));
  };
  // Half of the copies have one change, and may well be whole files still.
  const std::size_t changes = below(2) == 0 ? 1 : 1 + below(8);
  for (std::size_t i = 0; i < changes && !bytes.empty(); ++i) {
    // Half of them near the start, where the small fields are.
    const std::size_t reach =
        below(2) == 0 ? std::min<std::size_t>(bytes.size(), 256) : bytes.size();
    const std::size_t at = below(reach);
    const std::size_t length = std::min(bytes.size() - at, 1 + below(64));
    switch (below(8)) {
      case 0:
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << below(8));
        break;
      case 2:
        bytes[at] = static_cast<char>((*random)());
        break;
      case 3:
        bytes.erase(at, length);
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(bytes.size()), length));
        break;
      case 5:
        bytes.resize(at);
        break;
      case 6:
        bytes.insert(at, Varint((*random)() >> below(64)));
        break;
      default:
        for (std::size_t j = 0; j < std::min<std::size_t>(length, 4); ++j) {
          bytes[at + j] = '\xFF';
        }
        break;
    }
  }
  return bytes;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_MUTATED_BYTES_H_
