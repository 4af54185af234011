// QuantizationError: how far quantized values are from the original values.
//
// With a value x, the value y of its code, and sums over all values:
//
//   MSE      sum (y - x)^2 / count
//   SQNR     10 log10(sum x^2 / sum (y - x)^2) dB
//   cosine   sum x y / sqrt(sum x^2 * sum y^2)
//   maximum  max |y - x|
//   clipped  share of the values that lie more than half a scale outside what
//            the codes represent,
//            [scale * (qmin - zero_point), scale * (qmax - zero_point)]:
//            they saturate, with more than the error of rounding
//
// An error is measured on an array's values, or expected for bins in which the
// values are spread evenly. Both are kept as sums, so that the errors of
// parameter sets add up to the tensor's.
//
// NaN and infinite values, and pairs with one of them, are counted and left
// out. Without values nothing was lost: MSE is 0, SQNR is infinite, and cosine
// is 1.
//
// Thread rule: a value; the functions are pure.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_ERROR_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "quantization/choose.h"
#include "quantization/histogram.h"
#include "quantization/quantization_params.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

struct QuantizationError {
  uint64_t count = 0;  // of the values in the sums
  uint64_t nan_count = 0;
  uint64_t infinite_count = 0;
  double clipped = 0;         // values; expected ones need not be whole
  double signal = 0;          // sum x^2
  double represented = 0;     // sum y^2
  double product = 0;         // sum x y
  double squared_error = 0;   // sum (y - x)^2
  double absolute_error = 0;  // sum |y - x|
  double max_abs_error = 0;

  double Mse() const;
  double MeanAbsoluteError() const;
  // +infinity without an error, whatever the signal; else -infinity if all
  // values are zeros.
  double SqnrDb() const;
  // -1 to 1. If both sides are all zeros, 1; if only one side is, 0.
  double Cosine() const;
  double ClippedShare() const;
  // Adds another part of the values.
  void Merge(const QuantizationError& part);
};

// Returns the error between an array and what stands for it; nothing counts as
// clipped. It takes one pass, with sums in double, in an order that depends on
// count alone.
QuantizationError MeasureDifference(const float* exact,
                                    const float* approximate,
                                    std::size_t count);

// Measures the error of the values of a tensor: y is x quantized and
// dequantized by kernels/quantize.h, bit for bit. `sets`, if given, receives
// the error of each parameter set. It takes one pass, and is deterministic as
// above.
//
// values holds as many values as shape says. Errors, with nothing written:
// params are inconsistent, or have another number of sets than the shape needs.
Status MeasureQuantizationError(const float* values,
                                const std::vector<int64_t>& shape,
                                const QuantizationParams& params,
                                QuantizationError* all,
                                std::vector<QuantizationError>* sets = nullptr);

// Computes the error of values spread evenly over each bin, in closed form:
// over [a, b] within the values that round to y,
//
//   integral (y - x)^2 dx = (b - a) (d1^2 + d1 d2 + d2^2) / 3,
//   d1 = a - y, d2 = b - y,
//
// and the bin's count over its width is the density. max_abs_error is the
// largest error that a value of a bin with counts could have. A bin of width 0
// (all bins have it if min = max) is that one value. Time: O(bins + levels).
//
// Errors: limits that are not finite or not in order, no counts, a scale that
// is not positive and finite, a zero point outside the type.
Status ExpectQuantizationError(const BinCounts& counts, QuantizedType type,
                               float scale, int32_t zero_point,
                               QuantizationError* error);

// The same for a histogram. min and max are as in ChooseFromHistogram: they cut
// the outermost bins. An empty histogram has no values.
Status ExpectQuantizationError(const Histogram& histogram, float min, float max,
                               QuantizedType type, float scale,
                               int32_t zero_point, QuantizationError* error);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_ERROR_H_
