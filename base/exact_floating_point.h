// ExactFloatingPoint turns flush-to-zero off for a scope.
#ifndef CAFFE2_QUANTIZATION_BASE_EXACT_FLOATING_POINT_H_
#define CAFFE2_QUANTIZATION_BASE_EXACT_FLOATING_POINT_H_

#include <cfenv>
#include <limits>

namespace caffe2_quantization {

// While it lives, denormals count as what they are on this thread. Caffe2 can
// tell the processor to take them for zeros; then they cannot be compared,
// converted or written. It costs next to nothing where Caffe2 has not.
class ExactFloatingPoint {
 public:
  ExactFloatingPoint() {
    const volatile float denormal = std::numeric_limits<float>::denorm_min();
    const volatile float normal = std::numeric_limits<float>::min();
    changed_ = denormal == 0 || normal * 0.5f == 0;
    if (!changed_) return;
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~ExactFloatingPoint() {
    if (changed_) std::fesetenv(&before_);
  }
  ExactFloatingPoint(const ExactFloatingPoint&) = delete;
  ExactFloatingPoint& operator=(const ExactFloatingPoint&) = delete;

 private:
  bool changed_;
  std::fenv_t before_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_EXACT_FLOATING_POINT_H_
