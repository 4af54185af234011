// What the int8 operators of the engine ONEDNN have in common in their
// arguments, as DNNLOWP's have it:
//
//   dequantize_output           the output is a float tensor (default 0)
//   measure_quantization_error  compare every output with the host's float
//                               operator and log how far it is (default 0;
//                               slow): quantization_error_report.h
//   Y_scale, Y_zero_point, followed_by   output_parameters.h
//   precisions, sparsity, kinds          netdef/dnnlowp_settings.h
//
// They are read when the operator runs first, not when it is made: until then a
// net's observer may have given it parameters.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_INT8_ARGUMENTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_INT8_ARGUMENTS_H_

#include <optional>
#include <string>

#include "base/status.h"
#include "caffe2/core/tensor.h"
#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/utils/proto_utils.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

struct Int8Arguments {
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

// storage_bits: 8, or 16 of engines ending in _16. relu_fused: the operator
// cuts negative outputs itself, which is as followed_by "Relu". An error names
// the argument or flag.
Status ReadInt8Arguments(const caffe2::OperatorDef& definition,
                         int storage_bits, bool relu_fused,
                         Int8Arguments* arguments);

// Reads an argument if it is there; else *value is unchanged. An error names
// it: it is of another type, or not 0 or 1.
Status ReadBoolArgument(const caffe2::OperatorDef& definition,
                        const std::string& name, bool* value);
Status ReadIntArgument(const caffe2::OperatorDef& definition,
                       const std::string& name, int64_t* value);

// Parameters of the range of y's values, which are finite: of what an operator
// gives to which nobody gave any. Rectified: negative values count as 0.
// (caffe2/quantization/server/op_wrapper.h of Caffe2: min/max, whatever the
// kind of choosing.)
Status ChooseOutputParameters(const caffe2::Tensor& y,
                              const ChooseOptions& options, bool is_rectified,
                              QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_INT8_ARGUMENTS_H_
