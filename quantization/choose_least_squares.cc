#include "quantization/choose_least_squares.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/return_if_error.h"
#include "quantization/choose_internal.h"
#include "quantization/least_squares.h"

namespace caffe2_quantization {
namespace {

// Values by sign; bin i lies between edges[i] and edges[i + 1].
TwoSides SidesOfBins(const std::vector<double>& edges,
                     const std::vector<uint64_t>& counts) {
  std::vector<double> knots[2];
  std::vector<double> densities[2];
  const auto add = [&](int side, double from, double to, double density) {
    if (!(from < to)) return;
    if (knots[side].empty()) knots[side].push_back(from);
    knots[side].push_back(to);
    densities[side].push_back(density);
  };
  const auto density = [&](std::size_t i) {
    return static_cast<double>(counts[i]) / (edges[i + 1] - edges[i]);
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    add(0, std::max(edges[i], 0.0), edges[i + 1], density(i));
  }
  for (std::size_t i = counts.size(); i-- > 0;) {
    add(1, std::max(-edges[i + 1], 0.0), -edges[i], density(i));
  }
  return {OneSide(std::move(knots[0]), std::move(densities[0])),
          OneSide(std::move(knots[1]), std::move(densities[1]))};
}

TwoSides SidesOfValues(const float* values, std::size_t count) {
  std::vector<float> sides[2];
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] != 0) sides[values[i] < 0].push_back(std::fabs(values[i]));
  }
  return {OneSide(std::move(sides[0])), OneSide(std::move(sides[1]))};
}

// Of `count` values between min and max, which are in order and finite.
Status ChooseLeastSquares(const TwoSides& values, double count, float min,
                          float max, const ChooseOptions& options,
                          Choice* choice) {
  // Its zero point is the symmetric one, and its error is not exceeded.
  Choice whole;
  RETURN_IF_ERROR(ChooseFromRange(min, max, options, &whole));
  if (values.squares() == 0 || std::isinf(values.squares())) {
    *choice = whole;
    return Status::Ok();
  }
  const QuantizedType codes = options.Codes();
  LeastSquaresOptions search;
  search.levels = Levels(options);
  search.least_below = search.most_below = whole.zero_point - codes.qmin();
  if (!options.preserve_sparsity && codes.precision <= 8) {
    search.least_below = 0;
    search.most_below = search.levels - 1;
  }
  search.smallest_scale =
      std::max(options.smallest_scale, std::numeric_limits<float>::min());
  search.power_of_two = options.force_scale_power_of_two;
  search.first_scale = whole.scale;
  if (codes.precision > 8) {
    search.most_evaluated = std::max(64, (1 << 22) / search.levels);
  }
  const LeastSquares found = MinimizeSquaredError(values, search);
  Choice result = whole;
  result.scale = ToFloat(found.scale);
  result.zero_point = found.below + codes.qmin();
  const auto error = [&](const Choice& each) {
    return SquaredErrorOf(values, search.levels, each.scale,
                          each.zero_point - codes.qmin());
  };
  result.objective = error(result);
  whole.objective = error(whole);
  if (!(result.objective < whole.objective) ||
      std::isinf(result.RepresentedMin(codes)) ||
      std::isinf(result.RepresentedMax(codes))) {
    result = whole;
  }
  result.min = result.RepresentedMin(codes);
  result.max = result.RepresentedMax(codes);
  const double half_step = result.scale / 2.0;
  result.clipped_share = (values.above.CountBeyond(result.max + half_step) +
                          values.below.CountBeyond(half_step - result.min)) /
                         count;
  WarnOfClipping(options, {min, max}, &result);
  *choice = std::move(result);
  return Status::Ok();
}

}  // namespace

Status ChooseLeastSquaresOfArray(const float* values, std::size_t count,
                                 ValueRange extremes,
                                 const ChooseOptions& options, Choice* choice) {
  return ChooseLeastSquares(SidesOfValues(values, count),
                            static_cast<double>(count), extremes.min,
                            extremes.max, options, choice);
}

Status ChooseLeastSquaresOfBins(const std::vector<double>& edges,
                                const std::vector<uint64_t>& counts,
                                const ChooseOptions& options, Choice* choice) {
  double total = 0;
  for (const uint64_t count : counts) total += static_cast<double>(count);
  return ChooseLeastSquares(SidesOfBins(edges, counts), total,
                            ToFloat(edges.front()), ToFloat(edges.back()),
                            options, choice);
}

}  // namespace caffe2_quantization
