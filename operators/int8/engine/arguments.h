// Reads the arguments that operators of the engine ONEDNN have in common, as
// DNNLOWP's operators have them:
//
//   Y_scale, Y_zero_point   parameters of the output; the zero point is 0
//                           without Y_zero_point
//   Y2_scale, Y2_zero_point  those of a second output
//   followed_by             the only operator that reads the output. "Relu":
//                           parameters for [0, max], where max is the largest
//                           number that Y_scale and Y_zero_point represent;
//                           without these it has no effect. "Sigmoid", "Tanh":
//                           the range of their 8-bit forms, -6 to 6 and -3 to
//                           3, with 127 codes on either side of 128; it
//                           overrules Y_scale. An operator with two outputs
//                           refuses it: it does not say which one is meant.
//   dequantize_output       the output is a float tensor (default 0)
//   measure_quantization_error  compare every output with that of the host's
//                           float operator and log the error (default 0; slow):
//                           error_report.h
//   precisions, sparsity, kinds   netdef/dnnlowp_settings.h
//
// (Source: caffe2/quantization/server/caffe2_dnnlowp_utils.cc, sigmoid.cc and
// tanh.cc of Caffe2.) They are read in the operator's first run, not when it is
// made, because until then a net's observer may give it parameters.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ARGUMENTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ARGUMENTS_H_

#include <optional>
#include <string>

#include "base/status.h"
#include "caffe2/core/tensor.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// The outputs that are codes and have parameters of their own.
inline constexpr int kMostCodeOutputs = 2;

struct EngineArguments {
  ChooseOptions activations;  // unsigned codes of activation_precision bits
  // Unsigned too, as parameters are chosen; products/weights.h makes the codes
  // signed.
  ChooseOptions weights;
  // Of each output that is codes; empty: none were given.
  std::optional<QuantizationParams> outputs[kMostCodeOutputs];
  // The output has no negative values: the operator sets them to 0
  // (relu_fused), or the only operator that reads it does (followed_by is
  // "Relu").
  bool output_is_rectified = false;
  bool dequantize_output = false;
  bool measure_quantization_error = false;
};

// Which arguments an operator reads; the others keep their defaults, whatever
// the definition says.
struct ArgumentSet {
  bool parameters = true;  // activations, output, output_is_rectified
  bool weights = true;
  bool output_form = true;  // dequantize_output, measure_quantization_error
  int code_outputs = 1;     // up to kMostCodeOutputs
};
constexpr ArgumentSet kNoArguments{false, false, false};
constexpr ArgumentSet kParametersAlone{true, false, false};
constexpr ArgumentSet kOutputFormAlone{false, false, true};

// Reads the arguments in `set`. storage_bits: 8, or 16 for engines ending in
// _16. relu_fused: the operator sets negative outputs to 0 itself, which is
// treated as followed_by "Relu". An error names the argument or flag.
Status ReadEngineArguments(const caffe2::OperatorDef& definition,
                           int storage_bits, bool relu_fused,
                           EngineArguments* arguments,
                           const ArgumentSet& set = {});

// Reads the options of activations from arguments and flags, for an engine that
// stores codes in storage_bits bits. An error names the argument or flag.
Status ActivationOptions(const caffe2::OperatorDef& definition,
                         int storage_bits, ChooseOptions* options);

// Sets *params to valid parameters of options.type, from Y_scale, Y_zero_point
// and followed_by, or leaves it empty if these give none. This is stricter than
// DNNLOWP, which ignores a Y_scale that is an integer, only warns of a
// Y_zero_point without Y_scale or of an unknown followed_by, and takes any
// scale and zero point. Here each of these is an error that names the argument.
Status StaticParameters(const caffe2::OperatorDef& definition,
                        const ChooseOptions& options,
                        std::optional<QuantizationParams>* params);

// Reads an argument if it is there; else *value is unchanged. An error names
// the argument: it has another type or, for a bool, is not 0 or 1.
Status ReadBoolArgument(const caffe2::OperatorDef& definition,
                        const std::string& name, bool* value);
Status ReadIntArgument(const caffe2::OperatorDef& definition,
                       const std::string& name, int64_t* value);
// Reads an order of dimensions: NCHW, channels first, or NHWC. Without the
// argument it is NCHW.
Status ReadOrderArgument(const caffe2::OperatorDef& definition,
                         bool* channels_first,
                         const std::string& name = "order");

// Chooses parameters from the range of y's values, which must be finite, for an
// output without given parameters; y is null if the output is empty. If
// is_rectified, negative values count as 0. (Source:
// caffe2/quantization/server/op_wrapper.h of Caffe2, which takes min and max
// whatever the quantization kind.)
Status ChooseOutputParameters(const caffe2::Tensor* y,
                              const ChooseOptions& options, bool is_rectified,
                              QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ARGUMENTS_H_
