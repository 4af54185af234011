// Int8FCPackWeight under the engine ONEDNN: weights of FC in the form in which
// Int8FC of this engine multiplies them, made once, in an initial net.
//
//   W [, b] -> packed [, b codes]
//
//   W        float tensor or Int8TensorCPU of uint8, [N, K] by axis_w
//   b        optional: float tensor [N], or Int8TensorCPU of int32
//   packed   PackedFcWeights (fc_weights.h): ours alone, not to be mistaken for
//            what DNNLOWP's operator of the same name makes. It serves any
//            number of operators and nets
//   b codes  optional: Int8TensorCPU of int32, the bias in units of in_scale *
//            W's scale; not with a parameter set a row, for which it has no
//            scale
//
// Arguments: axis_w; quantize_channelwise, or an engine with _ROWWISE: one
// parameter set a row; in_scale: the scale of the input, which a bias needs;
// save_unpacked_weights: keep the codes too (Int8FC with outputs for debugging
// asks for them); the arguments for weights (netdef/dnnlowp_settings.h).
// nbits_in_non_outlier of _ACC16 has no part in it: sums are exact.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_PACK_WEIGHT_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_PACK_WEIGHT_OP_H_

#include "caffe2/core/operator.h"
#include "operators/int8/fc_weights.h"

namespace caffe2_quantization {

class FcPackWeightOp : public caffe2::Operator<caffe2::CPUContext> {
 public:
  // per_row: by its engine's name.
  FcPackWeightOp(const caffe2::OperatorDef& definition,
                 caffe2::Workspace* workspace, bool per_row);
  bool RunOnDevice() override;

 private:
  FcWeightsOptions ReadOptions() const;
  // The bias as codes in units of the input's scale times the weights'.
  FcBias PackBias(const FcWeights<int8_t>& weights) const;

  const bool per_row_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_PACK_WEIGHT_OP_H_
