// FC, Int8FC and Int8FCRelu under the engine ONEDNN: a fully connected layer on
// integer codes, whose sums are exact for every K up to 2^31 - 1.
//
//   X, W, b [, params] -> Y [, X codes, W codes, sums]
//
//   X       Int8TensorCPU of uint8, or uint16 (engines ending in _16); or a
//           float tensor, which becomes codes by its smallest and largest value
//           in every run. Dimensions before `axis` are M, from it on K
//   W       float tensor, Int8TensorCPU of X's type, or what Int8FCPackWeight
//           made (8 bits); [N, K] by axis_w in the same way
//   b       float tensor [N], or Int8TensorCPU of int32; W's own, if it was
//           packed with one, stands in for it
//   params  optional: an Int8QuantParamsBlob of Y (int8_quant_blobs.h)
//   Y       Int8TensorCPU of X's type, or with dequantize_output a float
//           tensor; the dimensions of M, then N
//
//   Y = X * transpose(W) + b; the equations are in product_stage.h. Int8FCRelu
//   cuts negative values.
//
// Parameters of Y come from params; else from the arguments (int8_arguments.h);
// else, in every run, of the range of what the host's float FC makes of the
// same inputs. Of W: by the arguments for weights, one set, or with
// quantize_channelwise or an engine with _ROWWISE one a row (output).
//
// constant_weight (default 1): W and b are read in the first run, and again
// when another tensor, or packed form, is in the place of one of them
// (weight_watch.h); their codes are shared with all that hold the same weights
// in the process. Values that change where they are, are not seen. With 0 both
// are read in every run, W by its smallest and largest value. So they are, by
// content, where the host's float FC runs beside it.
//
// What differs from DNNLOWP, beside errors for what it takes without a word:
//   - parameters of Y that nobody gave are chosen in every run, not in the
//     first one alone;
//   - codes of Y stay within activation_precision (the 8-bit operators of
//     DNNLOWP use all of 8 bits);
//   - a bias of codes stands for code * its scale, whatever is made of it:
//     floats (DNNLOWP takes W's scale), or codes of other units;
//   - constant_weight 0 has one set a row, too; W may be an Int8TensorCPU under
//     _ROWWISE: its one set holds for all rows;
//   - sums neither wrap nor saturate, also of 16-bit codes, and are the same
//   for
//     _ACC16; nbits_in_non_outlier has no part in it.
// Four outputs, for debugging: the last three are the codes of X [M, K] and W
// [N, K] and their products [M, N] as floats, held as Y is (8 bits alone).
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_OP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "caffe2/core/operator.h"
#include "operators/int8/fc_weights.h"
#include "operators/int8/int8_arguments.h"
#include "operators/int8/product_output.h"
#include "operators/int8/product_stage.h"
#include "operators/int8/quantized_input.h"
#include "operators/int8/weight_watch.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
class FcOp : public caffe2::Operator<caffe2::CPUContext> {
 public:
  struct Kind {
    bool relu;
    bool per_row;  // by its engine's name
  };

  FcOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace,
       Kind kind);
  bool RunOnDevice() override;

 private:
  using WeightCode = std::make_signed_t<T>;
  struct Sizes {
    int64_t m, k;
    std::vector<int64_t> y;  // the dimensions of Y, but for the last
  };

  void ReadArguments();
  Sizes CheckX(const caffe2::Tensor& x) const;
  void ReadWeights();  // and bias
  void CheckSizes(const Sizes& sizes) const;
  void SetStage(const InputCodes<T>& x, const QuantizationParams* y);
  void WriteDebugOutputs(const InputCodes<T>& x, int64_t m);
  caffe2::Tensor* OutputTensor(int index);
  // The name of an input or output, in an error's words.
  std::string Blob(int input) const;

  const Kind kind_;
  bool arguments_read_ = false;
  Int8Arguments arguments_;
  int axis_ = 1;
  bool constant_weight_ = true;
  FcWeightsOptions weights_options_;

  QuantizedInput<T> x_;
  WeightWatch weight_watch_;
  std::shared_ptr<const FcWeights<WeightCode>> weights_;
  FcBias bias_;
  ProductOutput<T> output_;

  // What the stage was made of.
  bool stage_is_set_ = false;
  float stage_x_scale_ = 0;
  int32_t stage_x_zero_point_ = 0;
  float stage_y_scale_ = 0;
  int32_t stage_y_zero_point_ = 0;
  ProductStage stage_;
  ProductBias product_bias_;
  std::vector<float> bias_values_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_OP_H_
