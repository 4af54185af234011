// A scope in which the processor takes denormals for zeros and flushes results
// to zero, as a host may have set it.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_DENORMALS_ARE_ZEROS_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_DENORMALS_ARE_ZEROS_H_

#include <xmmintrin.h>

namespace caffe2_quantization {

class DenormalsAreZeros {
 public:
  DenormalsAreZeros() : before_(_mm_getcsr()) {
    constexpr unsigned kFlushToZero = 1u << 15;
    constexpr unsigned kDenormalsAreZeros = 1u << 6;
    _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZeros);
  }
  ~DenormalsAreZeros() { _mm_setcsr(before_); }
  DenormalsAreZeros(const DenormalsAreZeros&) = delete;
  DenormalsAreZeros& operator=(const DenormalsAreZeros&) = delete;

 private:
  const unsigned before_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_DENORMALS_ARE_ZEROS_H_
