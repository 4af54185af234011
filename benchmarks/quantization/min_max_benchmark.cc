// The min/max pass, beside a plain read of the same memory.
#include "benchmarks/quantization/plain_read.h"
#include "benchmarks/registry.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kInCache = std::size_t{32} << 10;
constexpr std::size_t kOutside = std::size_t{64} << 20;

template <typename T>
std::vector<T> Values(std::size_t bytes) {
  std::vector<T> values(bytes / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    // Non-negative, and as a half finite.
    values[i] = static_cast<T>(static_cast<uint32_t>(i * 2654435761u) >> 18);
  }
  return values;
}

kernels::FloatExtremes<float> MinMaxHalves(const uint16_t* src,
                                           std::size_t count) {
  return kernels::MinMaxHalf(src, count);
}

template <typename T, typename Kernel>
void AddType(const std::string& type, Kernel kernel) {
  for (const std::size_t bytes : {kInCache, kOutside}) {
    const std::string group =
        "MinMax/" + type + (bytes == kInCache ? "/32 KiB" : "/64 MiB");
    AddBenchmark(group, "plain read", bytes, [bytes] {
      return MakeRun([values = Values<T>(bytes)] {
        Consume(ReadAll(values.data(), values.size() * sizeof(T)));
      });
    });
    const auto ours = [bytes, kernel] {
      return MakeRun([values = Values<T>(bytes), kernel] {
        Consume(kernel(values.data(), values.size()));
      });
    };
    AddBenchmark(group, "ours", bytes, ours);
    AddBenchmark(group, "ours, AVX2", bytes, ours, "AVX2");
    if (bytes == kInCache) {
      AddBenchmark(group, "ours, scalar", bytes, ours, "scalar");
    }
  }
}

template <typename T>
void AddNumbers(const std::string& type) {
  AddType<T>(type, [](const T* src, std::size_t count) {
    return kernels::MinMax(src, count);
  });
}

// A matrix of 1024 columns, and one as narrow as an image.
void AddColumns(std::size_t columns) {
  const std::size_t rows = (std::size_t{4} << 20) / sizeof(float) / columns;
  const std::string group =
      "MinMaxColumns/" + std::to_string(rows) + "x" + std::to_string(columns);
  const std::size_t bytes = rows * columns * sizeof(float);
  AddBenchmark(group, "plain read", bytes, [bytes] {
    return MakeRun([values = Values<float>(bytes)] {
      Consume(ReadAll(values.data(), values.size() * sizeof(float)));
    });
  });
  const auto ours = [=] {
    return MakeRun([=, values = Values<float>(bytes),
                    min = std::vector<float>(columns),
                    max = std::vector<float>(columns)]() mutable {
      Consume(kernels::MinMaxColumns(values.data(), rows, columns, min.data(),
                                     max.data()));
    });
  };
  AddBenchmark(group, "ours", bytes, ours);
  AddBenchmark(group, "ours, AVX2", bytes, ours, "AVX2");
}

}  // namespace

void AddMinMaxBenchmarks() {
  AddNumbers<float>("float");
  AddNumbers<int8_t>("int8");
  AddNumbers<int32_t>("int32");
  AddType<uint16_t>("half", MinMaxHalves);
  AddColumns(1024);
  AddColumns(3);
}

}  // namespace caffe2_quantization
