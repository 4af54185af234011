// Chooses scale and zero point of each set of values: from the union of their
// histograms, which merge exactly, or as a recipe says.
#include <algorithm>
#include <cmath>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/kernels/min_max.h"
#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// Whether the value's range is that of another value of its set.
bool IsMoved(const Rewrite& rewrite, const Value& value) {
  if (value.producer == kNone ||
      !rewrite.nodes[static_cast<std::size_t>(value.producer)].is_int8) {
    return false;
  }
  const Int8Form* const form =
      FindInt8Form(rewrite.graph.node(value.producer).type());
  return form->parameters == Parameters::kKept;
}

// Takes the parameters that a recipe gives a tensor.
Status TakeGiven(const Measured& given, const std::string& name,
                 const QuantizeOptions& options, ParameterSet* set) {
  const Parameters8& parameters = given.parameters;
  const int most = (1 << options.activation_bits) - 1;
  if (!(parameters.scale > 0) || !std::isfinite(parameters.scale) ||
      parameters.zero_point < 0 || parameters.zero_point > most) {
    return Status::InvalidArgument(
        "the recipe gives tensor '" + name + "' the scale " +
        ShortestText(parameters.scale) + " and zero point " +
        std::to_string(parameters.zero_point) +
        ", expected a finite scale above 0 and a zero point from 0 to " +
        std::to_string(most));
  }
  set->parameters = parameters;
  set->is_chosen = true;
  return Status::Ok();
}

Status ChooseSet(const Rewrite& rewrite, ParameterSet* set) {
  const Graph& graph = rewrite.graph;
  const QuantizeOptions& options = rewrite.options;
  for (const int id : set->values) {
    const int producer = graph.value(id).producer;
    if (producer == kNone ||
        !rewrite.nodes[static_cast<std::size_t>(producer)].is_int8) {
      continue;
    }
    const Int8Form* const form = FindInt8Form(graph.node(producer).type());
    if (FixedParameters(form->parameters, &set->parameters.scale,
                        &set->parameters.zero_point)) {
      set->is_fixed = set->is_chosen = true;
      return Status::Ok();
    }
  }
  ValueRange range;
  Histogram histogram;
  bool has_histogram = true, is_first = true;
  const Measured* last_resort = nullptr;
  float top = 0;
  const std::string& name = graph.value(set->values[0]).name;
  for (const int id : set->values) {
    const Value& value = graph.value(id);
    if (value.constant.has_value()) {
      const auto extremes =
          kernels::MinMax(value.constant->floats,
                          static_cast<std::size_t>(value.constant->count()));
      if (value.constant->count() > 0) {
        range.Merge(ValueRange::OfFloats(extremes.min, extremes.max));
      }
      has_histogram = false;
      continue;
    }
    if (IsMoved(rewrite, value)) {
      const Measured* const moved = MeasuredOf(rewrite, value);
      if (moved != nullptr && moved->has_parameters) last_resort = moved;
      continue;
    }
    if (value.producer != kNone) {
      const NodePlan& plan =
          rewrite.nodes[static_cast<std::size_t>(value.producer)];
      if (plan.is_int8) top = std::max(top, plan.clip_top);
    }
    const Measured* const measured = MeasuredOf(rewrite, value);
    if (measured == nullptr) continue;
    if (measured->has_parameters) {
      return TakeGiven(*measured, value.name, options, set);
    }
    range.Merge(measured->range);
    if (measured->histogram.empty()) {
      has_histogram = false;
    } else if (is_first) {
      histogram = measured->histogram;
      is_first = false;
    } else {
      RETURN_IF_ERROR(histogram.Merge(measured->histogram));
    }
  }
  // A constant that is only moved has no parameters of its own there.
  if (last_resort != nullptr) {
    return TakeGiven(*last_resort, name, options, set);
  }
  if (rewrite.recipe != nullptr) {
    const bool is_constant = std::all_of(
        set->values.begin(), set->values.end(),
        [&](int id) { return graph.value(id).constant.has_value(); });
    if (!is_constant) {
      return Status::InvalidArgument(
          "the recipe has no scale and zero point of tensor '" + name +
          "', which is int8");
    }
  }
  ChooseOptions choose;
  choose.method = options.activation_method;
  choose.percentile = options.activation_percentile;
  choose.type = {options.activation_bits, false};
  double min = std::min(0.0, range.min()), max = std::max(0.0, range.max());
  if (range.empty()) min = max = 0;
  if (top > 0) max = std::min(max, static_cast<double>(top));
  Choice choice;
  Status status;
  if (choose.method == ChooseMethod::kMinMax || range.empty() ||
      (!has_histogram && graph.value(set->values[0]).constant.has_value())) {
    status = ChooseFromRange(static_cast<float>(min), static_cast<float>(max),
                             choose, &choice);
  } else if (!has_histogram || histogram.empty()) {
    return Status::InvalidArgument(
        "the profile has no histogram of tensor '" + name +
        "', expected one for the method " + Name(choose.method) +
        "; calibrate with histograms, or take MIN_MAX");
  } else {
    status =
        ChooseFromHistogram(histogram, static_cast<float>(range.min()),
                            static_cast<float>(range.max()), choose, &choice);
  }
  if (!status.ok()) {
    return Status::InvalidArgument("tensor '" + name +
                                   "': " + status.message());
  }
  set->is_chosen = true;
  set->parameters = {choice.scale, choice.zero_point};
  set->min = range.empty() ? 0 : range.min();
  set->max = range.empty() ? 0 : range.max();
  set->clipped_share = choice.clipped_share;
  set->warning = choice.warning;
  return Status::Ok();
}

}  // namespace

Status ChooseParameters(Rewrite* rewrite) {
  for (ParameterSet& set : rewrite->sets) {
    RETURN_IF_ERROR(ChooseSet(*rewrite, &set));
    if (!set.warning.empty()) {
      rewrite->warnings.push_back("tensor '" +
                                  rewrite->graph.value(set.values[0]).name +
                                  "': " + set.warning);
    }
  }
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
