// The min/max pass, beside a plain read of the same memory.
#include <cstring>

#include "benchmarks/registry.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

// Keeps a value alive past the optimiser.
template <typename T>
void Consume(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

std::vector<float> Values(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 2654435761u));
  }
  return values;
}

// The least that a pass can do: each word is read once and added up.
uint64_t ReadAll(const std::vector<float>& values) {
  uint64_t sums[16] = {};
  const std::size_t words = values.size() / 2;
  const char* data = reinterpret_cast<const char*>(values.data());
  for (std::size_t i = 0; i + 16 <= words; i += 16) {
    uint64_t block[16];
    std::memcpy(block, data + i * sizeof(uint64_t), sizeof(block));
    for (int k = 0; k < 16; ++k) sums[k] += block[k];
  }
  uint64_t sum = 0;
  for (const uint64_t each : sums) sum += each;
  return sum;
}

}  // namespace

void AddMinMaxBenchmarks() {
  for (const std::size_t count : {std::size_t{1} << 14, std::size_t{1} << 25}) {
    const std::string group =
        "MinMax/float/" + (count >= 1 << 20
                               ? std::to_string(count >> 20) + "Mi"
                               : std::to_string(count >> 10) + "Ki");
    const std::size_t bytes = count * sizeof(float);
    AddBenchmark(group, "plain read", bytes, [count] {
      return MakeRun([values = Values(count)] { Consume(ReadAll(values)); });
    });
    const auto ours = [count] {
      return MakeRun([values = Values(count)] {
        Consume(kernels::MinMax(values.data(), values.size()));
      });
    };
    AddBenchmark(group, "ours", bytes, ours);
    AddBenchmark(group, "ours, AVX2", bytes, ours, "AVX2");
    AddBenchmark(group, "ours, scalar", bytes, ours, "scalar");
  }
}

}  // namespace caffe2_quantization
