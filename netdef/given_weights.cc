#include "netdef/given_weights.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

using Order = GivenWeights::Order;

constexpr std::pair<const char*, Order> kOrders[] = {
    {"FC", Order::kFc}, {"NHWC", Order::kNhwc}, {"NCHW", Order::kNchw}};

Status Refuse(const std::string& message) {
  return Status::InvalidArgument(message);
}

// The arguments of a definition. The host's ArgumentHelper would copy them, the
// values too.
class Arguments {
 public:
  explicit Arguments(const caffe2::OperatorDef& definition)
      : definition_(definition) {}

  const caffe2::Argument* Find(const char* name) const {
    for (const caffe2::Argument& argument : definition_.arg()) {
      if (argument.name() == name) return &argument;
    }
    return nullptr;
  }

  Status String(const char* name, const char* expected,
                std::string_view* value) const {
    const caffe2::Argument* const argument = Find(name);
    if (argument == nullptr || !argument->has_s()) {
      return Wrong(name, argument, expected);
    }
    *value = argument->s();
    return Status::Ok();
  }

  // *value is unchanged if it is not there and not required.
  Status Int(const char* name, const char* expected, bool required,
             int64_t* value) const {
    const caffe2::Argument* const argument = Find(name);
    if (argument == nullptr && !required) return Status::Ok();
    if (argument == nullptr || !argument->has_i()) {
      return Wrong(name, argument, expected);
    }
    *value = argument->i();
    return Status::Ok();
  }

  Status Bool(const char* name, const char* expected, bool required,
              bool* value) const {
    int64_t number = *value ? 1 : 0;
    RETURN_IF_ERROR(Int(name, expected, required, &number));
    if (number != 0 && number != 1) {
      return Refuse(std::string("argument ") + name + " is " +
                    std::to_string(number) + ", expected " + expected);
    }
    *value = number == 1;
    return Status::Ok();
  }

  // One number, or a list.
  Status Floats(const char* name, std::vector<float>* values) const {
    const caffe2::Argument* const argument = Find(name);
    if (argument == nullptr ||
        (argument->floats_size() == 0 && !argument->has_f())) {
      return Wrong(name, argument, "a list of floats");
    }
    if (argument->floats_size() == 0) {
      values->assign(1, argument->f());
    } else {
      values->assign(argument->floats().begin(), argument->floats().end());
    }
    return Status::Ok();
  }

  Status Ints(const char* name, std::vector<int64_t>* values) const {
    const caffe2::Argument* const argument = Find(name);
    if (argument == nullptr ||
        (argument->ints_size() == 0 && !argument->has_i())) {
      return Wrong(name, argument, "a list of integers");
    }
    if (argument->ints_size() == 0) {
      values->assign(1, argument->i());
    } else {
      values->assign(argument->ints().begin(), argument->ints().end());
    }
    return Status::Ok();
  }

 private:
  static Status Wrong(const char* name, const caffe2::Argument* argument,
                      const char* expected) {
    return Refuse(std::string("argument ") + name +
                  (argument == nullptr ? " is missing" : " is something else") +
                  ", expected " + expected);
  }

  const caffe2::OperatorDef& definition_;
};

Status ReadShape(const Arguments& arguments, GivenWeights* weights) {
  std::vector<int64_t>& shape = weights->shape;
  RETURN_IF_ERROR(arguments.Ints("shape", &shape));
  const bool is_fc = weights->order == Order::kFc;
  // N and K, however many dimensions K has; a kernel of 1 to 3.
  constexpr std::size_t kMostFcDims = 8;
  const std::size_t least = is_fc ? 2 : 3, most = is_fc ? kMostFcDims : 5;
  if (shape.size() < least || shape.size() > most) {
    return Refuse("argument shape has " + std::to_string(shape.size()) +
                  " dimensions, expected " +
                  (is_fc ? "[N, K...], 2 to 8"
                         : "those of a filter of 1 to 3 dimensions, 3 to 5"));
  }
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 1) {
      return Refuse("argument shape is " + DimsText(shape) +
                    ", expected dimensions of 1 or more");
    }
    if (count > std::numeric_limits<int64_t>::max() / dim) {
      return Refuse("argument shape is " + DimsText(shape) +
                    ", expected at most 2^63 - 1 values");
    }
    count *= dim;
  }
  RETURN_IF_ERROR(arguments.String(
      "values", "a string of one byte for each code", &weights->values));
  if (weights->values.size() != static_cast<uint64_t>(count)) {
    return Refuse("argument values has " +
                  std::to_string(weights->values.size()) + " bytes, expected " +
                  std::to_string(count) + ", one for each code of shape " +
                  DimsText(shape));
  }
  return Status::Ok();
}

Status ReadGroups(const Arguments& arguments, GivenWeights* weights) {
  if (weights->order == Order::kFc) {
    if (arguments.Find("group") == nullptr) return Status::Ok();
    return Refuse("argument group is given, expected none for the order FC");
  }
  RETURN_IF_ERROR(
      arguments.Int("group", "an integer", false, &weights->groups));
  if (weights->groups >= 1 && weights->outputs() % weights->groups == 0) {
    return Status::Ok();
  }
  return Refuse("argument group is " + std::to_string(weights->groups) +
                ", expected a number that divides the " +
                std::to_string(weights->outputs()) + " output channels");
}

Status ReadParameters(const Arguments& arguments, GivenWeights* weights) {
  RETURN_IF_ERROR(arguments.Bool("is_signed",
                                 "1 for values that are int8, 0 for uint8",
                                 true, &weights->is_signed));
  QuantizationParams params;
  params.type = {8, weights->is_signed};
  params.granularity = Granularity::kChannel;
  RETURN_IF_ERROR(arguments.Floats("scales", &params.scales));
  const auto sets = static_cast<int64_t>(params.scales.size());
  const int64_t outputs = weights->outputs();
  if (sets != 1 && sets != weights->groups && sets != outputs) {
    return Refuse("argument scales has " + std::to_string(sets) +
                  " numbers, expected 1, " +
                  (weights->groups > 1
                       ? std::to_string(weights->groups) + " (groups) "
                       : std::string()) +
                  "or " + std::to_string(outputs) + " (outputs)");
  }
  std::vector<int64_t> zero_points;
  RETURN_IF_ERROR(arguments.Ints("zero_points", &zero_points));
  if (zero_points.size() != params.scales.size()) {
    return Refuse("argument zero_points has " +
                  std::to_string(zero_points.size()) + " numbers, expected " +
                  std::to_string(sets) + ", as many as scales");
  }
  params.zero_points.clear();
  for (std::size_t set = 0; set < zero_points.size(); ++set) {
    const int64_t zero_point = zero_points[set];
    if (zero_point < params.type.qmin() || zero_point > params.type.qmax()) {
      return Refuse("argument zero_points[" + std::to_string(set) + "] is " +
                    std::to_string(zero_point) + ", expected " +
                    std::to_string(params.type.qmin()) + " to " +
                    std::to_string(params.type.qmax()) + ", the codes of " +
                    (weights->is_signed ? "int8" : "uint8"));
    }
    params.zero_points.push_back(static_cast<int32_t>(zero_point));
  }
  const Status status = params.Validate();
  if (!status.ok()) return Refuse("argument scales: " + status.message());
  weights->scales = std::move(params.scales);
  weights->zero_points = std::move(params.zero_points);
  return Status::Ok();
}

Status ReadBias(const Arguments& arguments, GivenWeights* weights) {
  const bool has_bias = arguments.Find("bias") != nullptr;
  const bool has_scale = arguments.Find("in_scale") != nullptr;
  if (has_bias != has_scale) {
    return Refuse(std::string("argument ") + (has_bias ? "bias" : "in_scale") +
                  " is given without " + (has_bias ? "in_scale" : "bias") +
                  ", expected both or none");
  }
  if (!has_bias) return Status::Ok();
  std::vector<int64_t> bias;
  std::vector<float> in_scale;
  RETURN_IF_ERROR(arguments.Ints("bias", &bias));
  RETURN_IF_ERROR(arguments.Floats("in_scale", &in_scale));
  if (static_cast<int64_t>(bias.size()) != weights->outputs()) {
    return Refuse("argument bias has " + std::to_string(bias.size()) +
                  " numbers, expected " + std::to_string(weights->outputs()) +
                  ", one for each output");
  }
  for (std::size_t i = 0; i < bias.size(); ++i) {
    const auto code = static_cast<int32_t>(bias[i]);
    if (code != bias[i]) {
      return Refuse("argument bias[" + std::to_string(i) + "] is " +
                    std::to_string(bias[i]) +
                    ", expected -2147483648 to 2147483647");
    }
    weights->bias.push_back(code);
  }
  Status status =
      in_scale.size() == 1
          ? QuantizationParams(QuantizedType::UInt8(), in_scale[0], 0)
                .Validate()
          : Refuse(std::to_string(in_scale.size()) + " numbers, expected one");
  if (!status.ok()) return Refuse("argument in_scale: " + status.message());
  weights->in_scale = in_scale[0];
  for (std::size_t set = 0; set < weights->scales.size(); ++set) {
    if (std::isnormal(weights->in_scale * weights->scales[set])) continue;
    return Refuse("argument in_scale is " + ShortestText(weights->in_scale) +
                  " and scales[" + std::to_string(set) + "] is " +
                  ShortestText(weights->scales[set]) +
                  ", expected a product, the unit of the bias, that a float "
                  "holds");
  }
  return Status::Ok();
}

template <typename T>
void AddList(const char* name, const std::vector<T>& values,
             caffe2::OperatorDef* op) {
  caffe2::Argument* const argument = op->add_arg();
  argument->set_name(name);
  for (const T value : values) {
    if constexpr (std::is_same_v<T, float>) {
      argument->add_floats(value);
    } else {
      argument->add_ints(value);
    }
  }
}

}  // namespace

Status OrderFromName(std::string_view name, Order* order) {
  for (const auto& [known, value] : kOrders) {
    if (name != known) continue;
    *order = value;
    return Status::Ok();
  }
  return Refuse("argument order is '" + std::string(name.substr(0, 32)) +
                "', expected FC, NHWC or NCHW");
}

Status ReadGivenWeights(const caffe2::OperatorDef& definition,
                        GivenWeights* result) {
  const Arguments arguments(definition);
  GivenWeights weights;
  std::string_view order;
  RETURN_IF_ERROR(arguments.String("order", "FC, NHWC or NCHW", &order));
  RETURN_IF_ERROR(OrderFromName(order, &weights.order));
  RETURN_IF_ERROR(ReadShape(arguments, &weights));
  RETURN_IF_ERROR(ReadGroups(arguments, &weights));
  RETURN_IF_ERROR(ReadParameters(arguments, &weights));
  RETURN_IF_ERROR(ReadBias(arguments, &weights));
  RETURN_IF_ERROR(arguments.Bool("save_unpacked_weights", "0 or 1", false,
                                 &weights.save_unpacked_weights));
  *result = std::move(weights);
  return Status::Ok();
}

caffe2::OperatorDef GivenWeightsFill(const std::string& output,
                                     const GivenWeights& weights) {
  caffe2::OperatorDef op;
  op.set_type(kGivenWeightsType);
  op.add_output(output);
  const auto add = [&](const char* name) {
    caffe2::Argument* const argument = op.add_arg();
    argument->set_name(name);
    return argument;
  };
  const auto* const order = std::find_if(
      std::begin(kOrders), std::end(kOrders),
      [&](const auto& each) { return each.second == weights.order; });
  add("order")->set_s(order->first);
  AddList("shape", weights.shape, &op);
  if (weights.groups != 1) add("group")->set_i(weights.groups);
  add("values")->set_s(std::string(weights.values));
  add("is_signed")->set_i(weights.is_signed ? 1 : 0);
  AddList("scales", weights.scales, &op);
  AddList("zero_points", weights.zero_points, &op);
  if (!weights.bias.empty()) {
    AddList("bias", weights.bias, &op);
    add("in_scale")->set_f(weights.in_scale);
  }
  if (weights.save_unpacked_weights) add("save_unpacked_weights")->set_i(1);
  return op;
}

}  // namespace caffe2_quantization
