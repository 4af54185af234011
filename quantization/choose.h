// Chooses scale and zero point from a range, an array, bin counts or a
// Histogram.
//
// A method chooses a range [min, max] to represent; ChooseFromRange turns the
// range into scale and zero point. Values outside are clipped to its ends.
//
//   kMinMax      the whole range; nothing is clipped
//   kMse         the scale and zero point with the smallest sum of squared
//                errors
//   kL2          DNNLOWP's search for that, among ranges of whole bins
//   kL1          the same for the sum of absolute errors
//   kL2Approx    a descent towards kL2's range from both ends, by quantiles
//   kKl          the range with the smallest Kullback-Leibler divergence of the
//                values' distribution from the quantized values'
//   kPercentile  the range that leaves out the same share of the values at
//                either end: exactly for an array, to within a bin for counts
//                (percentile.h)
//   kPercentileInBins  the same as DNNLOWP computes it: in bins of the whole
//                range, for an array too
//
// kMse counts the errors that quantization makes: values are rounded to the
// nearest code and saturated. For an array these are the errors of its values;
// for bins, those of values spread evenly within each bin (for a Histogram the
// extremes cut the outermost bins). Up to 8 bits, no scale and zero point that
// the options allow leave less than 1 - 1e-6 of kMse's error, apart from
// rounding, which is 2^-46 of the sum of squares. Above 8 bits that is true for
// the zero point of kMinMax, as far as 2^22 / levels scales show. It never
// leaves more error than kMinMax. least_squares.h has the equations.
//
// All methods but kMse and kPercentile are DNNLOWP's
// (caffe2/quantization/server/dnnlowp.h of Caffe2): the same bins, the same
// candidates, the same objective, the same zero points. What differs: kL2 and
// kL1 add up without float's rounding and so find the least of nearly equal
// sums; all methods represent the whole range if every value is the same.
// norm_minimization.h and kl_minimization.h have the equations. kL2 does not
// find the least squared error, because its ranges consist of whole bins and
// its cells are not those that remain after the zero point is rounded: at 8
// bits it often leaves more error than kMinMax.
//
// With preserve_sparsity a method that searches ranges considers those that are
// symmetric around 0, or that begin at 0 if all values lie on one side of it.
// DNNLOWP's are no wider than the values' own range, so values far off on one
// side are always clipped; kL2 and kL1 here take a wider range if that has less
// than 99 % of the error. kKl searches DNNLOWP's ranges, and its zero point
// still follows the range: it may lie next to the middle.
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

// The smallest scale that is chosen unless the options say otherwise, 2^-63:
// the smallest that the arithmetic of requantization can handle. A range that
// would need a smaller scale gets this one. The limit s of every chosen scale
// follows from these needs:
//   - 1 / s, by which values are quantized, and s, by which codes are
//     dequantized, are normal floats: 2^-126 <= s
//     (QuantizationParams::kSmallestScale). A processor may treat denormals as
//     zeros, and they lose bits anyway.
//   - x_scale * w_scale, the unit of a sum of products, is a normal float too,
//     and so is its reciprocal, by which a bias becomes codes:
//     2^-126 <= s * s. This is the strictest need, s >= 2^-63; floats of a
//     dequantized output are that unit times a sum, and need no more.
//   - The multiplier x_scale * w_scale / y_scale may then have any value: it
//     overflows only if x_scale * w_scale exceeds 2^65, which is refused, and a
//     multiplier below 2^-126 makes less than 2^-95 codes of any 32-bit sum.
//   - A bias sets no limit: a bias of 2^31 units or more stays a float
//     (kernels/output_stage.h, bias).
constexpr float kSmallestChosenScale = 0x1p-63f;
// DNNLOWP's smallest scale, nearly the smallest normal half (FBGEMM's
// SMALL_SCALE_THRESHOLD, include/fbgemm/QuantUtils.h). With it, weights of
// standard deviation 1e-4 have only a dozen codes.
constexpr float kDnnlowpSmallestScale = 6.1e-5f;

// "MIN_MAX", "L2", "L2_APPROX", "L1", "KL", "P99" (kPercentile), "P99_DNNLOWP"
// (kPercentileInBins), "MSE". Names are read in upper or lower case, and
// DNNLOWP's names are read too ("L2_MIN_QUANTIZATION_APPROX"). "P99.9" and so
// on, with or without "_DNNLOWP", set *percentile (0.999); P99 leaves it
// unchanged, since an option may say which. `percentile` may be null.
std::string Name(ChooseMethod method);
Status ChooseMethodFromName(const std::string& name, ChooseMethod* method,
                            double* percentile);

struct ChooseOptions {
  ChooseMethod method = ChooseMethod::kMinMax;
  QuantizedType type = QuantizedType::UInt8();
  // Symmetric: 0 becomes the middle code (0 if signed) if the range has values
  // on both sides of it, else the first or last code.
  bool preserve_sparsity = false;
  bool force_scale_power_of_two = false;  // rounds the scale up to one
  // One bit of the codes stays unused: on processors without VNNI the sum of
  // two products of 8 by 8 bits saturates at 16 bits.
  bool reduced_range = false;
  double percentile = 0.99;  // kPercentile…: share of values to represent
  // A smaller scale becomes this one. 0: no limit.
  float smallest_scale = kSmallestChosenScale;
  // A choice that clips a larger share of the values carries a warning.
  double clipped_share_limit = 0.001;

  // The codes that may be used: `type`, or one bit less in a reduced range.
  QuantizedType Codes() const {
    return {type.precision - (reduced_range ? 1 : 0), type.is_signed};
  }
  Status Validate() const;
};

// Changes options so that DNNLOWP's own parameters are chosen: its smallest
// scale (2^-14 with force_scale_power_of_two), and percentiles in bins.
void ChooseLikeDnnlowp(ChooseOptions* options);

struct Choice {
  float scale = 1;
  int32_t zero_point = 0;
  // The range that the method chose, before it was widened to hold 0 and the
  // zero point was rounded. For kMse, what the codes represent.
  float min = 0;
  float max = 0;
  // The share of the counted values, 0 to 1, that lie more than half a scale
  // beyond what the codes represent; of a bin that is cut, the part beyond
  // counts.
  double clipped_share = 0;
  // The method's objective at [min, max], summed over all values; 0 for kMinMax
  // and percentiles. Squares and absolute values are in the values' own unit,
  // the divergence is in nats.
  double objective = 0;
  // If it is not empty, the choice is usable but suspect; it says why.
  std::string warning;

  // What the codes from qmin to qmax represent; type is the options' Codes().
  float RepresentedMin(QuantizedType type) const;
  float RepresentedMax(QuantizedType type) const;
};

// Counts of bins of equal width between min and max, min <= max.
struct BinCounts {
  float min = 0;
  float max = 0;
  std::vector<uint64_t> counts;
};

// Chooses the affine parameters of a range as FBGEMM does
// (fbgemm/src/QuantUtils.cc, ChooseQuantizationParams): the range is widened to
// hold 0, scale = (max - min) / (qmax - qmin), and the zero point is rounded
// half to even, so that 0 is represented exactly. Errors: NaN or infinite
// limits, min > max. It ignores options.method and percentile.
Status ChooseFromRange(float min, float max, const ChooseOptions& options,
                       Choice* choice);

// Errors: those of ChooseFromRange, and no bins. If all bins are 0, the range
// alone decides. If there are more than kMostBins bins, neighbours are merged
// first, except for kPercentile, whose choice carries a warning if bins are too
// wide to tell.
constexpr std::size_t kMostBins = 4096;
Status ChooseFromCounts(const BinCounts& counts, const ChooseOptions& options,
                        Choice* choice);

// Values must be finite, else an error says how many are not. kPercentile uses
// the values themselves; for other methods they are counted into
// 2^(precision + 3) bins as DNNLOWP does, but into at least 2^11 and at most
// kMostBins. An empty array is treated as the range [0, 0].
Status ChooseFromArray(const float* values, std::size_t count,
                       const ChooseOptions& options, Choice* choice);

// min and max: the extremes of what the histogram counted, if they are known
// more exactly than its edges; else pass its edges.
Status ChooseFromHistogram(const Histogram& histogram, float min, float max,
                           const ChooseOptions& options, Choice* choice);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_H_
