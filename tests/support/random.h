// Random input for tests: a seed that changes from run to run, is printed when
// a test fails, and can be given again by CAFFE2_QUANTIZATION_TEST_SEED.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_RANDOM_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_RANDOM_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace caffe2_quantization {

// Declare one at the top of a test body; every failure below then shows the
// seed.
class TestRandom {
 public:
  TestRandom()
      : seed_(ChooseSeed()),
        generator_(seed_),
        trace_(__FILE__, __LINE__,
               "CAFFE2_QUANTIZATION_TEST_SEED=" + std::to_string(seed_)) {}

  std::mt19937_64& generator() { return generator_; }

  // A whole number from low to high, both included.
  int64_t Integer(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator_);
  }
  float Float(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(generator_);
  }
  uint8_t Byte() { return static_cast<uint8_t>(generator_()); }
  bool OneIn(int n) { return Integer(1, n) == 1; }

 private:
  static uint64_t ChooseSeed() {
    const char* given = std::getenv("CAFFE2_QUANTIZATION_TEST_SEED");
    if (given != nullptr) return std::strtoull(given, nullptr, 10);
    return std::random_device{}();
  }

  const uint64_t seed_;
  std::mt19937_64 generator_;
  testing::ScopedTrace trace_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_RANDOM_H_
