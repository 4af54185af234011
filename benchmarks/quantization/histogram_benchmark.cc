// Histograms of 2048 bins: values as layers put them out, beside a plain read
// and the min/max pass over the same memory.
#include <algorithm>
#include <cmath>
#include <random>

#include "benchmarks/quantization/plain_read.h"
#include "benchmarks/registry.h"
#include "quantization/histogram.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

template <typename T>
struct State {
  std::vector<T> values;
  Histogram histogram = Histogram();
};

template <typename T>
void AddCase(const std::string& group, const std::string& variant,
             std::vector<T> (*make)(std::size_t), std::size_t count,
             const std::string& target = "") {
  AddBenchmark(
      group, variant, count * sizeof(T),
      [=] {
        return MakeRun([state = State<T>{make(count)}]() mutable {
          state.histogram.Add(state.values.data(), state.values.size());
          Consume(state.histogram);
        });
      },
      target);
}

std::vector<float> Normal(std::size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

std::vector<float> Rectified(std::size_t count) {
  std::vector<float> values = Normal(count);
  for (float& value : values) value = std::max(value, 0.0f);
  return values;
}

// One value but for a few: every counter but one is idle.
std::vector<float> NearlyConstant(std::size_t count) {
  std::vector<float> values(count, 1);
  for (std::size_t i = 0; i < count; i += 100) values[i] = 0.5f;
  return values;
}

std::vector<float> Constant(std::size_t count) {
  return std::vector<float>(count, 1);
}

std::vector<double> NormalDoubles(std::size_t count) {
  const std::vector<float> values = Normal(count);
  return std::vector<double>(values.begin(), values.end());
}

template <typename T>
std::vector<T> NormalIntegers(std::size_t count) {
  std::vector<T> values;
  for (const float value : Normal(count)) {
    values.push_back(static_cast<T>(std::lround(value * 25)));
  }
  return values;
}

}  // namespace

void AddHistogramBenchmarks() {
  struct Size {
    const char* name;
    std::size_t count;
  };
  for (const Size& size : {Size{"8Ki", std::size_t{8} << 10},
                           Size{"200Ki", std::size_t{200} << 10},
                           Size{"16Mi", std::size_t{16} << 20}}) {
    const std::string group = std::string("Histogram/") + size.name;
    const std::size_t count = size.count;
    AddBenchmark(group, "plain read", count * sizeof(float), [count] {
      return MakeRun([values = Normal(count)] {
        Consume(ReadAll(values.data(), values.size() * sizeof(float)));
      });
    });
    AddBenchmark(group, "min/max alone", count * sizeof(float), [count] {
      return MakeRun([values = Normal(count)] {
        Consume(kernels::MinMax(values.data(), values.size()));
      });
    });
    AddCase(group, "normal", Normal, count);
    AddCase(group, "rectified", Rectified, count);
    AddCase(group, "nearly constant", NearlyConstant, count);
    AddCase(group, "constant", Constant, count);
    AddCase(group, "double", NormalDoubles, count);
    AddCase(group, "int8", NormalIntegers<int8_t>, count);
    AddCase(group, "int32", NormalIntegers<int32_t>, count);
    AddCase(group, "normal, AVX2", Normal, count, "AVX2");
  }
}

}  // namespace caffe2_quantization
