// Where an operator of the engine ONEDNN finds the quantization parameters of
// an output: in its arguments, as DNNLOWP's operators do.
//
//   Y_scale, Y_zero_point   the parameters; without Y_zero_point it is 0
//   followed_by             the only operator that reads the output. "Relu":
//                           parameters for [0, max], where max is the largest
//                           number that Y_scale and Y_zero_point represent;
//                           without these, nothing. "Sigmoid", "Tanh": where
//                           their 8-bit forms end, -6 to 6 and -3 to 3, 127
//                           codes on either side of 128; it overrules Y_scale.
//
// (caffe2/quantization/server/caffe2_dnnlowp_utils.cc, sigmoid.cc and tanh.cc
// of Caffe2.) An operator reads its definition when it runs first, not when it
// is made: until then a net's observer may have given it parameters.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_OUTPUT_PARAMETERS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_OUTPUT_PARAMETERS_H_

#include <optional>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// The options of activations by arguments and flags (dnnlowp_settings.h), of
// an engine that stores codes in storage_bits bits: 8 or 16. An error names
// the argument or flag.
Status ActivationOptions(const caffe2::OperatorDef& definition,
                         int storage_bits, ChooseOptions* options);

// Sets *params, valid parameters of options.type, or leaves it empty when the
// arguments give none. Stricter than DNNLOWP, which takes a Y_scale that is an
// integer for none at all, a Y_zero_point without Y_scale or an unknown
// followed_by with a warning, and any scale and zero point: here each is an
// error that names the argument.
Status StaticParameters(const caffe2::OperatorDef& definition,
                        const ChooseOptions& options,
                        std::optional<QuantizationParams>* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_OUTPUT_PARAMETERS_H_
