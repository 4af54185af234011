// The arguments that operators of the engine ONEDNN have in common, as
// DNNLOWP's have them:
//
//   Y_scale, Y_zero_point   parameters of the output; without Y_zero_point it
//   is
//                           0
//   followed_by             the only operator that reads the output. "Relu":
//                           parameters for [0, max], where max is the largest
//                           number that Y_scale and Y_zero_point represent;
//                           without these, nothing. "Sigmoid", "Tanh": where
//                           their 8-bit forms end, -6 to 6 and -3 to 3, 127
//                           codes on either side of 128; it overrules Y_scale.
//   dequantize_output       the output is a float tensor (default 0)
//   measure_quantization_error  compare every output with the host's float
//                           operator and log how far it is (default 0; slow):
//                           error_report.h
//   precisions, sparsity, kinds   observers/dnnlowp_settings.h
//
// (caffe2/quantization/server/caffe2_dnnlowp_utils.cc, sigmoid.cc and tanh.cc
// of Caffe2.) They are read when the operator runs first, not when it is made:
// until then a net's observer may have given it parameters.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ARGUMENTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ARGUMENTS_H_

#include <optional>
#include <string>

#include "caffe2/core/tensor.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"
#include "quantization/status.h"

namespace caffe2_quantization {

struct EngineArguments {
  ChooseOptions activations;  // unsigned codes of activation_precision bits
  // Unsigned too, as parameters are chosen; quantized_weights.h makes the codes
  // signed.
  ChooseOptions weights;
  std::optional<QuantizationParams> output;  // empty: none are given
  // The output has no negative values: the operator cuts them (relu_fused), or
  // the only one that reads it does (followed_by is "Relu").
  bool output_is_rectified = false;
  bool dequantize_output = false;
  bool measure_quantization_error = false;
};

// Which of them an operator reads; the others keep their defaults, whatever the
// definition says.
struct ArgumentSet {
  bool parameters = true;  // activations, output, output_is_rectified
  bool weights = true;
  bool output_form = true;  // dequantize_output, measure_quantization_error
};
constexpr ArgumentSet kNoArguments{false, false, false};
constexpr ArgumentSet kParametersAlone{true, false, false};
constexpr ArgumentSet kOutputFormAlone{false, false, true};

// storage_bits: 8, or 16 of engines ending in _16. relu_fused: the operator
// cuts negative outputs itself, which is as followed_by "Relu". An error names
// the argument or flag.
Status ReadEngineArguments(const caffe2::OperatorDef& definition,
                           int storage_bits, bool relu_fused,
                           EngineArguments* arguments,
                           const ArgumentSet& set = {});

// The options of activations by arguments and flags, of an engine that stores
// codes in storage_bits bits. An error names the argument or flag.
Status ActivationOptions(const caffe2::OperatorDef& definition,
                         int storage_bits, ChooseOptions* options);

// Sets *params, valid parameters of options.type, by Y_scale, Y_zero_point and
// followed_by, or leaves it empty when they give none. Stricter than DNNLOWP,
// which takes a Y_scale that is an integer for none at all, a Y_zero_point
// without Y_scale or an unknown followed_by with a warning, and any scale and
// zero point: here each is an error that names the argument.
Status StaticParameters(const caffe2::OperatorDef& definition,
                        const ChooseOptions& options,
                        std::optional<QuantizationParams>* params);

// Reads an argument if it is there; else *value is unchanged. An error names
// it: it is of another type, or not 0 or 1.
Status ReadBoolArgument(const caffe2::OperatorDef& definition,
                        const std::string& name, bool* value);
Status ReadIntArgument(const caffe2::OperatorDef& definition,
                       const std::string& name, int64_t* value);

// Chooses parameters by the range of y's values, which are finite, for an
// output without given parameters; null: it is empty. Rectified: negative
// values count as 0. (caffe2/quantization/server/op_wrapper.h of Caffe2:
// min/max, whatever the kind of choosing.)
Status ChooseOutputParameters(const caffe2::Tensor* y,
                              const ChooseOptions& options, bool is_rectified,
                              QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ARGUMENTS_H_
