// The least that a pass over memory can do, and a way to keep its result.
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_QUANTIZATION_PLAIN_READ_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_QUANTIZATION_PLAIN_READ_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace caffe2_quantization {

// Keeps a value alive past the optimiser.
template <typename T>
void Consume(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// Each word is read once and added up. bytes: a multiple of 128.
inline uint64_t ReadAll(const void* memory, std::size_t bytes) {
  uint64_t sums[16] = {};
  const char* data = static_cast<const char*>(memory);
  for (std::size_t i = 0; i + sizeof(sums) <= bytes; i += sizeof(sums)) {
    uint64_t block[16];
    std::memcpy(block, data + i, sizeof(block));
    for (int k = 0; k < 16; ++k) sums[k] += block[k];
  }
  uint64_t sum = 0;
  for (const uint64_t each : sums) sum += each;
  return sum;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BENCHMARKS_QUANTIZATION_PLAIN_READ_H_
