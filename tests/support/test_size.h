// How many cases a random test runs: a subset in CI, all with script/test
// --long.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_TEST_SIZE_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_TEST_SIZE_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace caffe2_quantization {

// Returns in_long where CAFFE2_QUANTIZATION_LONG_TESTS is 1, as script/test
// --long sets it, else in_ci. A test whose long form takes over a minute asks
// here; both forms draw their cases from TestRandom's seed.
inline int64_t CaseCount(int64_t in_ci, int64_t in_long) {
  const char* const is_long = std::getenv("CAFFE2_QUANTIZATION_LONG_TESTS");
  return is_long != nullptr && std::strcmp(is_long, "1") == 0 ? in_long : in_ci;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_TEST_SIZE_H_
