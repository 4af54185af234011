#include "quantization/least_squares.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <queue>

namespace caffe2_quantization {
namespace {

// Of sum x^2: what rounding may do to an error.
constexpr double kRounding = 0x1p-46;

// Of floats of 0 or more; ascends with them.
uint32_t Bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits & 0x7fffffffu;  // -0
}

}  // namespace

OneSide::OneSide(std::vector<float> magnitudes) {
  if (magnitudes.empty()) return;
  constexpr std::size_t kWorthGrouping = 512;
  if (magnitudes.size() >= kWorthGrouping) {
    GroupPoints(std::move(magnitudes));
    return;
  }
  std::sort(magnitudes.begin(), magnitudes.end());
  largest_ = magnitudes.back();
  knots_.assign(magnitudes.begin(), magnitudes.end());
  const std::size_t n = knots_.size();
  counts_.resize(n);
  sums_.resize(n);
  long double sum = 0;
  for (std::size_t i = n; i-- > 0;) {
    sum += knots_[i];
    squares_ += knots_[i] * knots_[i];
    counts_[i] = static_cast<double>(n - i);
    sums_[i] = static_cast<double>(sum);
  }
}

OneSide::OneSide(std::vector<double> edges, std::vector<double> densities) {
  while (!densities.empty() && densities.back() == 0) {
    densities.pop_back();
    edges.pop_back();
  }
  if (densities.empty()) return;
  largest_ = edges.back();
  knots_ = std::move(edges);
  densities_ = std::move(densities);
  counts_.resize(knots_.size());
  sums_.resize(knots_.size());
  long double count = 0;
  long double sum = 0;
  for (std::size_t i = densities_.size(); i-- > 0;) {
    const double a = knots_[i];
    const double b = knots_[i + 1];
    const double in_bin = densities_[i] * (b - a);
    count += in_bin;
    sum += in_bin * ((a + b) / 2);
    squares_ += in_bin * ((a * a + a * b + b * b) / 3);
    counts_[i] = static_cast<double>(count);
    sums_[i] = static_cast<double>(sum);
  }
}

void OneSide::GroupPoints(std::vector<float> magnitudes) {
  largest_ = *std::max_element(magnitudes.begin(), magnitudes.end());
  // Octaves below the largest that have buckets of their own. What lies below
  // is not resolved where the largest counts.
  constexpr int kOctaves = 16;
  // Buckets of an octave: some points each, some tens of the largest arrays.
  int bits = 0;
  while (bits < 13 && (std::size_t{16} << bits) < magnitudes.size()) ++bits;
  shift_ = 23 - bits;
  const uint32_t last = Bits(static_cast<float>(largest_)) >> shift_;
  const uint32_t span = static_cast<uint32_t>(kOctaves) << bits;
  first_bucket_ = last > span ? last - span : 0;
  const std::size_t num_buckets = last - first_bucket_ + 1;
  std::vector<std::size_t> at(num_buckets + 1);
  for (const float x : magnitudes) ++at[Bucket(x) + 1];
  for (std::size_t i = 0; i < num_buckets; ++i) at[i + 1] += at[i];
  begins_ = at;
  points_.resize(magnitudes.size());
  for (const float x : magnitudes) points_[at[Bucket(x)]++] = x;
  sums_.resize(num_buckets + 1);
  long double sum = 0;
  long double squares = 0;
  for (std::size_t i = num_buckets; i-- > 0;) {
    double part = 0;
    double part_squares = 0;
    for (std::size_t k = begins_[i]; k < begins_[i + 1]; ++k) {
      const double x = points_[k];
      part += x;
      part_squares += x * x;
    }
    sum += part;
    squares += part_squares;
    sums_[i] = static_cast<double>(sum);
  }
  squares_ = static_cast<double>(squares);
}

std::size_t OneSide::Bucket(double t) const {
  const uint32_t bucket = Bits(static_cast<float>(t)) >> shift_;
  return bucket > first_bucket_ ? bucket - first_bucket_ : 0;
}

double OneSide::CountBeyond(double t) const {
  if (!(t < largest_)) return 0;
  if (!points_.empty()) {
    const std::size_t bucket = Bucket(t);
    const auto beyond = std::count_if(points_.begin() + begins_[bucket],
                                      points_.begin() + begins_[bucket + 1],
                                      [t](float x) { return x > t; });
    return static_cast<double>(beyond + (points_.size() - begins_[bucket + 1]));
  }
  const std::size_t i =
      std::upper_bound(knots_.begin(), knots_.end(), t) - knots_.begin();
  if (densities_.empty() || i == 0) return counts_[i];
  return counts_[i] + densities_[i - 1] * (knots_[i] - t);
}

void OneSide::Gains(double scale, int most, double* gains) const {
  double sum = 0;
  gains[0] = 0;
  int j = 0;
  if (!points_.empty()) {
    for (; j < most; ++j) {
      const double t = (j + 0.5) * scale;
      if (!(t < largest_)) break;
      const std::size_t bucket = Bucket(t);
      const std::size_t end = begins_[bucket + 1];
      double part[2] = {0, 0};  // additions that need not wait for each other
      std::size_t k = begins_[bucket];
      for (; k + 1 < end; k += 2) {
        part[0] += std::max(0.0, points_[k] - t);
        part[1] += std::max(0.0, points_[k + 1] - t);
      }
      if (k < end) part[0] += std::max(0.0, points_[k] - t);
      sum += sums_[bucket + 1] - t * static_cast<double>(points_.size() - end) +
             part[0] + part[1];
      gains[j + 1] = sum;
    }
  } else {
    const bool step = knots_.size() < 8 * static_cast<std::size_t>(most);
    std::size_t i = 0;
    for (; j < most; ++j) {
      const double t = (j + 0.5) * scale;
      if (!(t < largest_)) break;
      if (step) {
        while (knots_[i] <= t) ++i;
      } else {
        i = std::upper_bound(knots_.begin() + i, knots_.end(), t) -
            knots_.begin();
      }
      sum += sums_[i] - t * counts_[i];
      if (!densities_.empty() && i > 0) {
        const double part = knots_[i] - t;
        sum += densities_[i - 1] * part * part / 2;
      }
      gains[j + 1] = sum;
    }
  }
  for (; j < most; ++j) gains[j + 1] = sum;
}

namespace {

// A number x that is represented by code j has passed j boundaries, from
// scale / 2 to (j - 1/2) * scale: it gains j * x - scale * j^2 / 2.
template <typename T>
double GainOfPoints(const std::vector<T>& points, double scale, int most) {
  // Added and taken away again: rounds to whole numbers.
  constexpr double kRounder = 0x1.8p52;
  constexpr std::size_t kLanes = 8;  // the compiler makes vectors of them
  const double inverse = 1 / scale;
  const double half = scale / 2;
  const double last = most;
  double sums[kLanes] = {};
  const auto add = [&](T point, double* sum) {
    const double x = point;
    double j = (x * inverse + kRounder) - kRounder;
    j = j < last ? j : last;
    *sum += j * (x - half * j);
  };
  std::size_t i = 0;
  for (; i + kLanes <= points.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      add(points[i + lane], &sums[lane]);
    }
  }
  for (; i < points.size(); ++i) add(points[i], &sums[0]);
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

double OneSide::Gain(double scale, int most) const {
  // Where there are more boundaries, points are what costs less.
  const std::size_t worthwhile = 16 * static_cast<std::size_t>(most);
  if (densities_.empty() && knots_.size() < worthwhile &&
      points_.size() < worthwhile) {
    return points_.empty() ? GainOfPoints(knots_, scale, most)
                           : GainOfPoints(points_, scale, most);
  }
  std::vector<double> gains(most + 1);
  Gains(scale, most, gains.data());
  return gains[most];
}

double TwoSides::largest() const {
  return std::max(above.largest(), below.largest());
}

namespace {

// P at one scale, for every below.
struct Point {
  double scale;
  std::vector<double> gains;  // from least_below on
};

// Between two points.
struct Interval {
  double bound;      // no error is smaller
  double candidate;  // the scale where it is reached
  std::shared_ptr<const Point> low;
  std::shared_ptr<const Point> high;
  friend bool operator<(const Interval& a, const Interval& b) {
    return a.bound > b.bound;  // the least on top
  }
};

class Search {
 public:
  Search(const TwoSides& values, const LeastSquaresOptions& options)
      : values_(values),
        options_(options),
        squares_(values.squares()),
        above_(options.levels),
        below_(options.levels) {
    best_.error = std::numeric_limits<double>::infinity();
  }

  LeastSquares Run() {
    // Beyond, every value is nearest to 0.
    const double last =
        std::max(2 * values_.largest(), 2 * options_.smallest_scale);
    if (options_.power_of_two) {
      PowersOfTwo(last);
      return best_;
    }
    std::vector<double> scales = {options_.smallest_scale, last};
    if (options_.first_scale > scales.front() && options_.first_scale < last) {
      scales.insert(scales.begin() + 1, options_.first_scale);
    }
    std::shared_ptr<const Point> previous;
    for (const double scale : scales) {
      auto point = scale == 0 ? AtZero() : Evaluate(scale);
      if (previous != nullptr) Add(previous, point);
      previous = std::move(point);
    }
    while (!intervals_.empty() && best_.evaluated < options_.most_evaluated) {
      const Interval top = intervals_.top();
      if (!IsWorthwhile(top.bound)) break;
      intervals_.pop();
      // Some way from the ends, so that both parts are smaller.
      const double low = top.low->scale;
      const double high = top.high->scale;
      const double margin = (high - low) / 16;
      const double scale =
          std::clamp(top.candidate, low + margin, high - margin);
      if (!(low < scale && scale < high)) continue;
      const auto middle = Evaluate(scale);
      Add(top.low, middle);
      Add(middle, top.high);
    }
    return best_;
  }

 private:
  bool IsWorthwhile(double bound) const {
    return bound < best_.error * (1 - kLeastSquaresGap) - kRounding * squares_;
  }

  // As the scale goes to 0.
  std::shared_ptr<const Point> AtZero() const {
    auto point = std::make_shared<Point>();
    for (int b = options_.least_below; b <= options_.most_below; ++b) {
      point->gains.push_back((options_.levels - 1 - b) * values_.above.sum() +
                             b * values_.below.sum());
    }
    point->scale = 0;
    return point;
  }

  std::shared_ptr<const Point> Evaluate(double scale) {
    ++best_.evaluated;
    auto point = std::make_shared<Point>();
    point->scale = scale;
    point->gains.resize(options_.most_below - options_.least_below + 1);
    const int most_above = options_.levels - 1 - options_.least_below;
    if (options_.least_below == options_.most_below) {
      above_[most_above] = values_.above.Gain(scale, most_above);
      below_[options_.most_below] =
          values_.below.Gain(scale, options_.most_below);
    } else {
      values_.above.Gains(scale, most_above, above_.data());
      values_.below.Gains(scale, options_.most_below, below_.data());
    }
    for (int b = options_.least_below; b <= options_.most_below; ++b) {
      const double gain = above_[options_.levels - 1 - b] + below_[b];
      point->gains[b - options_.least_below] = gain;
      const double error = squares_ - 2 * scale * gain;
      if (error < best_.error) {
        best_.error = error;
        best_.scale = scale;
        best_.below = b;
      }
    }
    return point;
  }

  void Add(const std::shared_ptr<const Point>& low,
           const std::shared_ptr<const Point>& high) {
    const double from = low->scale;
    const double to = high->scale;
    const double inverse_width = 1 / (to - from);
    double most = -1;
    double candidate = to;
    for (std::size_t i = 0; i < low->gains.size(); ++i) {
      // The largest s * chord(s).
      const double slope = (high->gains[i] - low->gains[i]) * inverse_width;
      const double at_zero = low->gains[i] - slope * from;
      double s = to;
      if (-2 * slope * to > at_zero) s = std::max(from, -at_zero / (2 * slope));
      const double product = s * (at_zero + slope * s);
      if (product > most) {
        most = product;
        candidate = s;
      }
    }
    const double bound = squares_ - 2 * most;
    if (IsWorthwhile(bound)) intervals_.push({bound, candidate, low, high});
  }

  void PowersOfTwo(double last) {
    const auto zero = AtZero();
    const double most =
        *std::max_element(zero->gains.begin(), zero->gains.end());
    int exponent;
    std::frexp(last, &exponent);
    for (;; --exponent) {
      const double scale = std::ldexp(1.0, exponent);
      if (scale < options_.smallest_scale) break;
      if (!IsWorthwhile(squares_ - 2 * scale * most)) break;
      Evaluate(scale);
    }
  }

  const TwoSides& values_;
  const LeastSquaresOptions& options_;
  const double squares_;
  LeastSquares best_;
  std::priority_queue<Interval> intervals_;
  std::vector<double> above_;
  std::vector<double> below_;
};

}  // namespace

double SquaredErrorOf(const TwoSides& values, int levels, double scale,
                      int below) {
  return values.squares() - 2 * scale *
                                (values.above.Gain(scale, levels - 1 - below) +
                                 values.below.Gain(scale, below));
}

LeastSquares MinimizeSquaredError(const TwoSides& values,
                                  const LeastSquaresOptions& options) {
  return Search(values, options).Run();
}

}  // namespace caffe2_quantization
