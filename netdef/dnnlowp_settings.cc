#include "netdef/dnnlowp_settings.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/return_if_error.h"
#include "c10/util/Flags.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/read_argument.h"

C10_DECLARE_int32(caffe2_dnnlowp_activation_quantization_precision);
C10_DECLARE_int32(caffe2_dnnlowp_weight_quantization_precision);
C10_DECLARE_bool(caffe2_dnnlowp_preserve_activation_sparsity);
C10_DECLARE_bool(caffe2_dnnlowp_preserve_weight_sparsity);
C10_DECLARE_bool(caffe2_dnnlowp_force_scale_power_of_two);
C10_DECLARE_string(caffe2_dnnlowp_activation_quantization_kind);
C10_DECLARE_string(caffe2_dnnlowp_weight_quantization_kind);
C10_DECLARE_double(caffe2_dnnlowp_activation_p99_threshold);
C10_DECLARE_double(caffe2_dnnlowp_weight_p99_threshold);

namespace caffe2_quantization {
namespace {

struct Kind {
  const char* name;
  const char* long_name;
};

constexpr Kind kHostsKinds[] = {
    {"min_max", "MIN_MAX_QUANTIZATION"},
    {"l1", "L1_MIN_QUANTIZATION"},
    {"l2", "L2_MIN_QUANTIZATION"},
    {"l2_approx", "L2_MIN_QUANTIZATION_APPROX"},
    {"kl", "KL_MIN_QUANTIZATION"},
    {"p99", "P99_QUANTIZATION"},
};

std::string Lower(std::string text) {
  for (char& each : text) {
    if (each >= 'A' && each <= 'Z') each = static_cast<char>(each - 'A' + 'a');
  }
  return text;
}

// Settings as they were given, each by the argument or the flag.
struct Given {
  int64_t precision;
  bool preserve_sparsity;
  bool force_scale_power_of_two;
  std::string kind;
  double percentile;
};

Given OfFlags(bool is_weight) {
  if (is_weight) {
    return {FLAGS_caffe2_dnnlowp_weight_quantization_precision,
            FLAGS_caffe2_dnnlowp_preserve_weight_sparsity,
            FLAGS_caffe2_dnnlowp_force_scale_power_of_two,
            FLAGS_caffe2_dnnlowp_weight_quantization_kind,
            FLAGS_caffe2_dnnlowp_weight_p99_threshold};
  }
  return {FLAGS_caffe2_dnnlowp_activation_quantization_precision,
          FLAGS_caffe2_dnnlowp_preserve_activation_sparsity,
          FLAGS_caffe2_dnnlowp_force_scale_power_of_two,
          FLAGS_caffe2_dnnlowp_activation_quantization_kind,
          FLAGS_caffe2_dnnlowp_activation_p99_threshold};
}

// precision_name: the argument or flag, as a message names it.
Status ToOptions(const Given& given, const std::string& precision_name,
                 ChooseOptions* options) {
  ChooseOptions result;
  result.percentile = given.percentile;
  RETURN_IF_ERROR(
      ChooseMethodFromName(given.kind, &result.method, &result.percentile));
  if (result.method == ChooseMethod::kL2Approx &&
      (FLAGS_caffe2_dnnlowp_preserve_weight_sparsity ||
       FLAGS_caffe2_dnnlowp_preserve_activation_sparsity)) {
    result.method = ChooseMethod::kL2;
  }
  if (given.precision < QuantizedType::kSmallestPrecision ||
      given.precision > QuantizedType::kLargestPrecision) {
    return Status::InvalidArgument(precision_name + " is " +
                                   std::to_string(given.precision) +
                                   ", expected 1 to 16 bits");
  }
  result.type = {static_cast<int>(given.precision), false};
  result.preserve_sparsity = given.preserve_sparsity;
  result.force_scale_power_of_two = given.force_scale_power_of_two;
  RETURN_IF_ERROR(result.Validate());
  *options = result;
  return Status::Ok();
}

Status Of(const char* what, const Status& status) {
  return status.ok()
             ? status
             : Status::InvalidArgument(std::string(what) + status.message());
}

void SetArgument(const caffe2::Argument& argument,
                 caffe2::OperatorDef* definition) {
  auto* all = definition->mutable_arg();
  for (int i = all->size() - 1; i >= 0; --i) {
    if (all->Get(i).name() == argument.name()) all->DeleteSubrange(i, 1);
  }
  *all->Add() = argument;
}

}  // namespace

bool HostKnowsKind(const std::string& name) {
  const std::string lower = Lower(name);
  return std::any_of(std::begin(kHostsKinds), std::end(kHostsKinds),
                     [&](const Kind& each) {
                       return lower == each.name || name == each.long_name;
                     });
}

Status DnnlowpOptions(bool is_weight, ChooseOptions* options) {
  const std::string what = is_weight ? "weight" : "activation";
  return Of(
      "flags caffe2_dnnlowp_*: ",
      ToOptions(OfFlags(is_weight), what + "_quantization_precision", options));
}

Status DnnlowpOptions(const caffe2::OperatorDef& definition, bool is_weight,
                      ChooseOptions* options) {
  const caffe2::ArgumentHelper arguments(definition);
  const std::string what = is_weight ? "weight" : "activation";
  Given given = OfFlags(is_weight);
  RETURN_IF_ERROR(ReadArgument(arguments, what + "_precision", "an integer",
                               &given.precision));
  RETURN_IF_ERROR(ReadBoolArgument(arguments, "preserve_" + what + "_sparsity",
                                   &given.preserve_sparsity));
  RETURN_IF_ERROR(ReadBoolArgument(arguments, "force_scale_power_of_two",
                                   &given.force_scale_power_of_two));
  RETURN_IF_ERROR(ReadArgument(arguments, what + "_quantization_kind",
                               "a string", &given.kind));
  return Of("arguments and flags caffe2_dnnlowp_*: ",
            ToOptions(given, what + "_precision", options));
}

bool IsInt8Engine(const std::string& engine) {
  for (std::size_t begin = 0; begin <= engine.size();) {
    for (const char* prefix : {"DNNLOWP", "ONEDNN"}) {
      if (engine.compare(begin, std::string(prefix).size(), prefix) == 0) {
        return true;
      }
    }
    const std::size_t comma = engine.find(',', begin);
    if (comma == std::string::npos) break;
    begin = comma + 1;
  }
  return false;
}

void SetStaticParameters(int output_index, float scale, int32_t zero_point,
                         caffe2::OperatorDef* definition) {
  const std::string y =
      output_index == 0 ? "Y" : "Y" + std::to_string(output_index + 1);
  SetArgument(caffe2::MakeArgument<float>(y + "_scale", scale), definition);
  SetArgument(caffe2::MakeArgument<int>(y + "_zero_point", zero_point),
              definition);
}

}  // namespace caffe2_quantization
