// Operators on the host's two blob types of int8 quantization
// (operators/int8_quant_blobs.h): the two that the host's wheel left out, and
// those by which a front end without a compiled binding makes and reads such
// blobs.
//
//   Int8QuantSchemeBlobFill   quantization_kind (MIN_MAX_QUANTIZATION),
//                             preserve_sparsity (0)  -> scheme
//   Int8QuantSchemeBlobInfo   scheme -> quantization_kind, a string [1];
//                             preserve_sparsity, bool [1]
//   Int8QuantParamsBlobFill   scale, zero_point  -> parameters
//   Int8QuantParamsBlobInfo   parameters -> scale, float [1];
//                             zero_point, int32 [1]
//   Int8GenQuantParamsMinMax  min, max, [scheme] -> parameters: those of 8-bit
//                             unsigned codes for the range [min, max]
//   FreezeQuantizationParams  net_def, the bytes of a NetDef -> its bytes, a
//                             string [1], with the values of parameter blobs as
//                             arguments in place of the input
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANT_BLOBS_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANT_BLOBS_OP_H_

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// No inputs. The kind is one that the host knows (HostKnowsKind).
class Int8QuantSchemeBlobFillOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

class Int8QuantSchemeBlobInfoOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

// No inputs. Both arguments are required; the scale is finite and positive.
class Int8QuantParamsBlobFillOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

class Int8QuantParamsBlobInfoOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

// Inputs 0 and 1: float tensors of one value, min <= max, both finite. Input 2,
// optional: the scheme, of which only preserve_sparsity is used (0 if absent).
// The flag caffe2_dnnlowp_force_scale_power_of_two is obeyed.
class Int8GenQuantParamsMinMaxOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

// No inputs. For Int8Quantize and Quantize with two inputs, and Int8FC with
// four, it drops the last input and sets Y_scale and Y_zero_point to what that
// input's blob holds now. If the blob does not exist or holds no parameters,
// the operator is left as it is, with a warning, as upstream.
class FreezeQuantizationParamsOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  FreezeQuantizationParamsOp(const caffe2::OperatorDef& definition,
                             caffe2::Workspace* workspace)
      : Operator(definition, workspace), workspace_(workspace) {}
  bool RunOnDevice() override;

 private:
  caffe2::Workspace* const workspace_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANT_BLOBS_OP_H_
