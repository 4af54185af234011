// Pools codes: the maximum, or the rounded average, of the windows of a tensor.
//
//   MaxPool      dst = max(least, codes of the window)
//   AveragePool  dst = RoundedCode(scale * (sum - n * zero_point) /
//                                  (divisor * y_scale), range)
//
// where sum adds up the window's n codes, which lie inside the input, exactly;
// the numerator is a double that is exact up to 2^29 for the integer, and the
// quotient is rounded once (rounded_code.h).
//
// Shapes: src is [batch, channels, input...] with channels_first, else [batch,
// input..., channels]; dst has output in the place of input. Windows o of a
// dimension take the inputs from o * stride - pad to o * stride - pad + kernel,
// of those that are there.
//
// The output is made of lines: of one position in all dimensions but the last,
// and with channels_first of one channel. A call computes lines begin to end of
// it; dst is where line `begin` goes. src and dst do not overlap.
//
// Every target gives the same bits. Thread rule: pure functions; call from any
// thread, and at the same time for lines of one output.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_POOL_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_POOL_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "quantization/kernels/rounded_code.h"

namespace caffe2_quantization {
namespace kernels {

// Preconditions: sizes, kernels and strides are 1 or more, batch may be 0, and
// every window has an input (HasInputs).
struct PoolShape {
  using Sizes = std::array<int64_t, 3>;  // 1 in dimensions that are not there

  int64_t batch = 1, channels = 1;
  bool channels_first = false;
  Sizes input{1, 1, 1}, output{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1};
  Sizes pad{0, 0, 0};  // before the input; may be negative

  // The inputs of window `o` of a dimension.
  int64_t Begin(int dim, int64_t o) const {
    return std::max<int64_t>(o * stride[dim] - pad[dim], 0);
  }
  int64_t End(int dim, int64_t o) const {
    return std::min(o * stride[dim] - pad[dim] + kernel[dim], input[dim]);
  }
  // Whether no window lies outside of the input.
  bool HasInputs() const;

  int64_t lines() const {
    return batch * (channels_first ? channels : 1) * output[0] * output[1];
  }
  int64_t line_size() const {
    return output[2] * (channels_first ? 1 : channels);
  }
  int64_t input_size() const { return input[0] * input[1] * input[2]; }
};

// The same pool with fewer dimensions: a last dimension that one window covers
// becomes a part of the one before it. Results and their order are the same,
// lines are not.
PoolShape MergedShape(PoolShape shape);

struct AverageRounding {
  float scale;  // of src
  int32_t zero_point;
  float y_scale;
  CodeRange range;  // of dst
  // What sums are divided by; 0: the number of the window's codes.
  int64_t divisor = 0;
};

// Defined for uint8_t and uint16_t.
template <typename T>
void MaxPool(const PoolShape& shape, const T* src, T least, int64_t begin,
             int64_t end, T* dst);
template <typename T>
void AveragePool(const PoolShape& shape, const T* src,
                 const AverageRounding& rounding, int64_t begin, int64_t end,
                 T* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
template <typename T>
void MaxPool(const PoolShape& shape, const T* src, T least, int64_t begin,
             int64_t end, T* dst);
template <typename T>
void AveragePool(const PoolShape& shape, const T* src,
                 const AverageRounding& rounding, int64_t begin, int64_t end,
                 T* dst);

// The code of one average: `sum` adds up n codes.
inline int32_t RoundedAverage(const AverageRounding& rounding, int64_t sum,
                              int64_t n) {
  const int64_t centred = sum - n * rounding.zero_point;
  const int64_t divisor = rounding.divisor == 0 ? n : rounding.divisor;
  return RoundedCode(
      double{rounding.scale} * static_cast<double>(centred) /
          (static_cast<double>(divisor) * double{rounding.y_scale}),
      rounding.range);
}
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_POOL_H_
