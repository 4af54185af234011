#include "benchmarks/quantization/plain_read.h"

#include <cstring>

namespace caffe2_quantization {

__attribute__((target_clones("avx512f", "avx2", "default"))) uint64_t ReadAll(
    const void* memory, std::size_t bytes) {
  // Four sums: a chain of additions alone would be slower than the cache.
  constexpr std::size_t kVector = 8;
  uint64_t sums[4][kVector] = {};
  const char* data = static_cast<const char*>(memory);
  for (std::size_t i = 0; i + sizeof(sums) <= bytes; i += sizeof(sums)) {
    for (std::size_t s = 0; s < 4; ++s) {
      for (std::size_t k = 0; k < kVector; ++k) {
        uint64_t word;
        std::memcpy(&word, data + i + (s * kVector + k) * sizeof(word),
                    sizeof(word));
        sums[s][k] += word;
      }
    }
  }
  uint64_t sum = 0;
  for (const auto& vector : sums) {
    for (const uint64_t each : vector) sum += each;
  }
  return sum;
}

}  // namespace caffe2_quantization
