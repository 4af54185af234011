// Finds the scale and zero point that leave the least squared error among all
// scales and zero points.
//
// The codes stand for scale * j, j a whole number from -below to
// levels - 1 - below; below is zero_point - qmin. A value is represented by the
// nearest of these, so that the sum of squared errors is
//
//   E(s, below) = sum x^2 - 2 s P(s, below)
//   P = sum over 0 <= j < levels - 1 - below of U((j + 1/2) s)
//     + sum over 0 <= j < below of V((j + 1/2) s)
//   U(t) = sum max(0, x - t),   V(t) = sum max(0, -x - t)
//
// since a value that moves from code j to j + 1 gains
// (x - s j)^2 - (x - s (j + 1))^2 = 2 s (x - (j + 1/2) s). U and V are convex,
// hence so is P in s, and between two scales it lies below the chord through
// its values there. Of [s1, s2] that gives a lower bound of E in closed form,
// which is exact where no value changes its code. MinimizeSquaredError() splits
// the interval whose bound is least until no bound lies below the best E found:
// branch and bound, over all scales and all zero points at once.
//
// Thread rule: values; the functions are pure.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_LEAST_SQUARES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_LEAST_SQUARES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace caffe2_quantization {

// Numbers on one side of 0, by magnitude: points, or spread evenly over bins.
class OneSide {
 public:
  OneSide() = default;
  // Magnitudes, all finite and 0 or more, in any order.
  explicit OneSide(std::vector<float> magnitudes);
  // Bin i has densities[i] numbers per unit from edges[i] to edges[i + 1];
  // edges ascend from 0 or more.
  OneSide(std::vector<double> edges, std::vector<double> densities);

  double largest() const { return largest_; }
  double sum() const { return sums_.empty() ? 0 : sums_.front(); }
  double squares() const { return squares_; }
  // Returns how many numbers lie beyond t, which is 0 or more.
  double CountBeyond(double t) const;
  // gains[n] = sum over 0 <= j < n of the sum of max(0, x - (j + 1/2) * scale),
  // for n from 0 to most. scale > 0.
  void Gains(double scale, int most, double* gains) const;
  // Returns gains[most] of these, up to rounding.
  double Gain(double scale, int most) const;

 private:
  void GroupPoints(std::vector<float> magnitudes);
  std::size_t Bucket(double t) const;

  double largest_ = 0;
  double squares_ = 0;
  // In ascending order. For a t from knot i - 1 up to knot i, the numbers
  // beyond t are counts_[i] numbers of sum sums_[i] and, if there are
  // densities, those that densities_[i - 1] puts between t and knot i.
  std::vector<double> knots_;
  std::vector<double> counts_;
  std::vector<double> sums_;
  std::vector<double> densities_;

  // Used instead for many points: they are grouped by the leading bits of the
  // float, in ascending buckets. Bucket b begins at begins_[b], and sums_[b] is
  // the sum from there on.
  std::vector<float> points_;
  std::vector<std::size_t> begins_;
  uint32_t first_bucket_ = 0;
  int shift_ = 0;
};

struct TwoSides {
  OneSide above;  // of 0
  OneSide below;
  double squares() const { return above.squares() + below.squares(); }
  double largest() const;
};

// Returns E(scale, below). Its rounding error is a few times 2^-53 of sum x^2,
// and at most levels times that.
double SquaredErrorOf(const TwoSides& values, int levels, double scale,
                      int below);

struct LeastSquares {
  double scale = 0;
  int below = 0;
  double error = 0;
  int evaluated = 0;  // scales at which P was computed
};

struct LeastSquaresOptions {
  int levels = 256;
  // Both of these are tried, and all values between them.
  int least_below = 0;
  int most_below = 255;
  double smallest_scale = 0;
  bool power_of_two = false;  // scales must be powers of two
  // A scale to begin with; 0: none. A good one saves work.
  double first_scale = 0;
  // Ends the search after this many scales, with the best of them.
  int most_evaluated = 1 << 20;
};

// Unless the search ended early, the result's error exceeds the least E, over
// all scales from smallest_scale on and all allowed values of below, by at most
// kLeastSquaresGap of itself, or by 2^-46 of sum x^2, which is the effect of
// rounding. If no value changes its code within the last interval, as in small
// arrays, it is that least E. Precondition: values are not all 0, and sum x^2
// is finite.
constexpr double kLeastSquaresGap = 1e-6;
LeastSquares MinimizeSquaredError(const TwoSides& values,
                                  const LeastSquaresOptions& options);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_LEAST_SQUARES_H_
