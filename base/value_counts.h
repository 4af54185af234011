// How many values there were, and how many of them were zero or no finite
// number.
#ifndef CAFFE2_QUANTIZATION_BASE_VALUE_COUNTS_H_
#define CAFFE2_QUANTIZATION_BASE_VALUE_COUNTS_H_

#include <cstdint>

namespace caffe2_quantization {

// Whatever reports values has these counts as its base, so that they are added
// and copied as one.
struct ValueCounts {
  uint64_t count = 0;  // of all, and of these:
  uint64_t zero_count = 0;
  uint64_t nan_count = 0;
  uint64_t positive_infinity_count = 0;
  uint64_t negative_infinity_count = 0;

  uint64_t infinity_count() const {
    return positive_infinity_count + negative_infinity_count;
  }

  void AddCounts(const ValueCounts& other) {
    count += other.count;
    zero_count += other.zero_count;
    nan_count += other.nan_count;
    positive_infinity_count += other.positive_infinity_count;
    negative_infinity_count += other.negative_infinity_count;
  }

  ValueCounts& counts() { return *this; }
  const ValueCounts& counts() const { return *this; }
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_VALUE_COUNTS_H_
