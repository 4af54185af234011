// Reads DNNLOWP's settings, which say how its operators choose quantization
// parameters: by their arguments or, where those say nothing, by the host's
// flags.
//
//   argument                       flag caffe2_dnnlowp_…
//   activation_precision           activation_quantization_precision
//   weight_precision               weight_quantization_precision
//   preserve_activation_sparsity   preserve_activation_sparsity
//   preserve_weight_sparsity       preserve_weight_sparsity
//   force_scale_power_of_two       force_scale_power_of_two
//   activation_quantization_kind   activation_quantization_kind
//   weight_quantization_kind       weight_quantization_kind
//   (none)                         activation_p99_threshold
//   (none)                         weight_p99_threshold
//
// A kind may also be mse, in upper or lower case: the least squared error,
// which DNNLOWP does not have. DNNLOWP's own operators silently take it for
// min_max, like any name that they do not know.
//
// Codes are unsigned. (Source: caffe2/quantization/server/dnnlowp.cc and
// caffe2_dnnlowp_utils.cc of Caffe2. There the thresholds apply to the process
// but not to operators; here they apply to both.)
//
// Thread rule: any thread, while no flag is being set.
#ifndef CAFFE2_QUANTIZATION_NETDEF_DNNLOWP_SETTINGS_H_
#define CAFFE2_QUANTIZATION_NETDEF_DNNLOWP_SETTINGS_H_

#include <string>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/choose.h"

namespace caffe2_quantization {

// True for a kind that the host knows too: min_max, l1, l2, l2_approx, kl, p99
// in any case, or MIN_MAX_QUANTIZATION, L1_MIN_QUANTIZATION,
// L2_MIN_QUANTIZATION, L2_MIN_QUANTIZATION_APPROX, KL_MIN_QUANTIZATION,
// P99_QUANTIZATION in exactly this spelling. The host silently takes any other
// name for min_max.
bool HostKnowsKind(const std::string& name);

// A kind is any method that ChooseMethodFromName of quantization/choose.h
// knows, p99.99 and mse too. p99 represents the share of the values that the
// threshold says. DNNLOWP itself reads an operator's kind for weights, so that
// one must be a kind that HostKnowsKind accepts.
//
// Reads the options of activations or, with is_weight, of weights. As in
// DNNLOWP, l2_approx is l2 while a flag asks for sparsity. An error names the
// argument or flag.
Status DnnlowpOptions(bool is_weight, ChooseOptions* options);
Status DnnlowpOptions(const caffe2::OperatorDef& definition, bool is_weight,
                      ChooseOptions* options);

// True for an engine that quantizes to 8 or 16 bits: DNNLOWP or ONEDNN, with or
// without a suffix, alone or in a comma-separated list.
bool IsInt8Engine(const std::string& engine);

// Sets the arguments Y_scale and Y_zero_point (for a later output Y2_…, Y3_…),
// in place of any that are there.
void SetStaticParameters(int output_index, float scale, int32_t zero_point,
                         caffe2::OperatorDef* definition);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_DNNLOWP_SETTINGS_H_
