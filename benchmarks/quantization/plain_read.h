// The least that a pass over memory can do, and a way to keep its result.
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_QUANTIZATION_PLAIN_READ_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_QUANTIZATION_PLAIN_READ_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {

// Keeps a value alive past the optimiser.
template <typename T>
void Consume(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// Each word of 8 bytes is read once and added up, in the widest vectors that
// the processor has.
uint64_t ReadAll(const void* memory, std::size_t bytes);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BENCHMARKS_QUANTIZATION_PLAIN_READ_H_
