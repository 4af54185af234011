// Chooses scale and zero point from a range, an array, counts of bins, or a
// Histogram.
//
// A method chooses a range [min, max] to represent; ChooseFromRange turns the
// range into scale and zero point. Values outside are clipped to its ends.
//
//   kMinMax      all of it, nothing is clipped
//   kMse         the scale and zero point with the smallest sum of squared
//                errors
//   kL2          DNNLOWP's search for it, among ranges of whole bins
//   kL1          the same for the sum of absolute errors
//   kL2Approx    a descent towards kL2's range from both ends, by quantiles
//   kKl          the range with the smallest Kullback-Leibler divergence of the
//                values' distribution from the quantized values'
//   kPercentile  the range that leaves out the same share of the values at
//                either end: exact of an array, to a bin of counts
//                (percentile.h)
//   kPercentileInBins  the same as DNNLOWP takes it: in bins of the whole
//                range, of an array too
//
// kMse takes the errors that quantization makes: values are rounded to the
// nearest code and saturated. Of an array they are those of its values; of bins
// those of values spread evenly within each (of a Histogram the extremes cut
// the outermost bins). Up to 8 bits no scale and zero point that the options
// allow leave less than 1 - 1e-6 of its error, or of rounding 2^-46 of the sum
// of squares; above, that holds of the zero point of kMinMax, for as many
// scales as 2^22 / levels show. It never leaves more than kMinMax.
// least_squares.h has the equations.
//
// All but kMse and kPercentile are DNNLOWP's
// (caffe2/quantization/server/dnnlowp.h of Caffe2): the same bins, the same
// candidates, the same objective, the same zero points. What differs: kL2 and
// kL1 add up without float's rounding and so find the least of near-equal sums;
// all methods represent everything where every value is the same.
// norm_minimization.h and kl_minimization.h have the equations. The ranges of
// kL2 are of whole bins and its cells not those that rounding the zero point
// leaves, so that it is no least squared error: at 8 bits it often leaves more
// than kMinMax.
//
// With preserve_sparsity a method that searches ranges looks at those around 0;
// from 0 on, where all values lie on one side of it. DNNLOWP's are no wider
// than the values' own range, so that what lies far off on one side is always
// clipped; kL2 and kL1 here take a wider one that has less than 99 % of the
// error. For kKl they are DNNLOWP's, and the zero point still follows the
// range: it may lie next to the middle.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "quantization/histogram.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

enum class ChooseMethod {
  kMinMax,
  kL2,
  kL2Approx,
  kL1,
  kKl,
  kPercentile,
  kPercentileInBins,
  kMse,
};

// The smallest scale that is chosen where the options say nothing else, 2^-63:
// as small as the arithmetic of a requantization carries. A range that would
// need less gets this one. It follows from, with s the limit of every chosen
// scale:
//   - 1 / s, by which values are quantized, and s, by which codes are
//     dequantized, are normal floats: 2^-126 <= s
//     (QuantizationParams::kSmallestScale). A processor may take denormals for
//     zeros, and they lose bits anyhow.
//   - x_scale * w_scale, what a sum of products counts in, is one too, and so
//   is
//     its reciprocal, by which a bias becomes codes: 2^-126 <= s * s. This is
//     the narrowest of all, s >= 2^-63; floats of a dequantized output are that
//     unit times a sum, and need no more.
//   - The multiplier x_scale * w_scale / y_scale may be anything then: it
//     overflows only where the first two are beyond 2^65 together, which is
//     refused, and one below 2^-126 makes less than 2^-95 codes of any sum of
//     32 bits.
//   - A bias is no limit: one of 2^31 units and more stays a float
//     (kernels/output_stage.h, code_bias).
constexpr float kSmallestChosenScale = 0x1p-63f;
// DNNLOWP's, nearly the smallest normal half (FBGEMM's SMALL_SCALE_THRESHOLD,
// include/fbgemm/QuantUtils.h). It leaves weights of standard deviation 1e-4 a
// dozen codes.
constexpr float kDnnlowpSmallestScale = 6.1e-5f;

// "MIN_MAX", "L2", "L2_APPROX", "L1", "KL", "P99" (kPercentile), "P99_DNNLOWP"
// (kPercentileInBins), "MSE". Read in either case, and by DNNLOWP's names too
// ("L2_MIN_QUANTIZATION_APPROX"). "P99.9" and so on, with "_DNNLOWP" or not,
// set *percentile (0.999); P99 leaves it, for an option may say which. It may
// be null.
std::string Name(ChooseMethod method);
Status ChooseMethodFromName(const std::string& name, ChooseMethod* method,
                            double* percentile);

struct ChooseOptions {
  ChooseMethod method = ChooseMethod::kMinMax;
  QuantizedType type = QuantizedType::UInt8();
  // Symmetric: 0 becomes the middle code (0, if signed) when the range has
  // values on both sides of it, else the end of the codes.
  bool preserve_sparsity = false;
  bool force_scale_power_of_two = false;  // the next larger one
  // One bit of the codes stays unused: on processors without VNNI the sum of
  // two products of 8 and 8 bits saturates 16.
  bool reduced_range = false;
  double percentile = 0.99;  // kPercentile…: share of values to represent
  // A scale below becomes this one. 0: none.
  float smallest_scale = kSmallestChosenScale;
  // A choice that clips a larger share of the values carries a warning.
  double clipped_share_limit = 0.001;

  // The codes that may be used: type, with a bit less in a reduced range.
  QuantizedType Codes() const {
    return {type.precision - (reduced_range ? 1 : 0), type.is_signed};
  }
  Status Validate() const;
};

// Changes options so that DNNLOWP's own parameters are chosen, where they
// differ: its smallest scale (with force_scale_power_of_two 2^-14), percentiles
// in bins.
void ChooseLikeDnnlowp(ChooseOptions* options);

struct Choice {
  float scale = 1;
  int32_t zero_point = 0;
  // The range the method chose, before it was widened to hold 0 and
  // the zero point was rounded. Of kMse what the codes represent.
  float min = 0;
  float max = 0;
  // Share of the counted values, 0 to 1, that lie more than half a scale beyond
  // what the codes represent; of a bin that is cut, the part beyond.
  double clipped_share = 0;
  // The method's own sum over all values, at [min, max]; 0 for kMinMax and
  // percentiles. Squares and absolute values in the values' own unit,
  // divergence in nats.
  double objective = 0;
  // Not empty: the choice is usable and suspect; says why.
  std::string warning;

  // What the codes from qmin to qmax represent; type is the options' Codes().
  float RepresentedMin(QuantizedType type) const;
  float RepresentedMax(QuantizedType type) const;
};

// Counts of bins of one width between min and max, min <= max.
struct BinCounts {
  float min = 0;
  float max = 0;
  std::vector<uint64_t> counts;
};

// The affine parameters of a range, as FBGEMM chooses them
// (fbgemm/src/QuantUtils.cc, ChooseQuantizationParams): the range is widened to
// hold 0, scale = (max - min) / (qmax - qmin), the zero point is rounded half
// to even, so that 0 is represented exactly. An error: NaN or infinite limits,
// min > max. Ignores options.method and percentile.
Status ChooseFromRange(float min, float max, const ChooseOptions& options,
                       Choice* choice);

// Errors are those of ChooseFromRange, and having no bins. If all bins are 0,
// the range alone decides. More bins than kMostBins are merged with their
// neighbours first, except for kPercentile, whose choice carries a warning
// where bins are too wide to tell.
constexpr std::size_t kMostBins = 4096;
Status ChooseFromCounts(const BinCounts& counts, const ChooseOptions& options,
                        Choice* choice);

// Values are finite, else an error says how many are not. kPercentile takes the
// values themselves; for other methods they are counted into 2^(precision + 3)
// bins as DNNLOWP does, but 2^11 at least and kMostBins at most. An empty array
// is the range [0, 0].
Status ChooseFromArray(const float* values, std::size_t count,
                       const ChooseOptions& options, Choice* choice);

// min and max: the extremes of what the histogram counted, if they are known
// more closely than its edges; else pass its edges.
Status ChooseFromHistogram(const Histogram& histogram, float min, float max,
                           const ChooseOptions& options, Choice* choice);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_H_
