// Convolutions under the engine ONEDNN: codes to codes, by exact sums that
// become codes as DNNLOWP's do (quantization/onednn/convolution.h and
// quantization/kernels/output_stage.h have the equations; of engines ending in
// _16 wide_convolution.h).
//
//   X, filter [, bias] -> Y          Conv, Int8Conv; ConvRelu, Int8ConvRelu
//   X, filter [, bias], S -> Y       Int8ConvSum; Int8ConvSumRelu
//
//   X        Int8TensorCPU of uint8, or uint16 (engines ending in _16); or
//            floats, which become codes by their smallest and largest value.
//            [N, C, in...] or, with the order NHWC, [N, in..., C], of 1 to 3
//            dimensions; N may be 0
//   filter   floats, an Int8TensorCPU of codes, or what Int8ConvPackWeight
//            makes (order NHWC alone): [M, C / group, kernel...] or [M,
//            kernel..., C / group]
//   bias     M floats, or an Int8TensorCPU of int32 with the scale of X times
//            the filter's; a packed filter's own goes before it
//   S        Int8TensorCPU or floats of Y's shape, added to Y before it is
//            rounded and rectified; Y may be the same blob
//   Y        Int8TensorCPU with its scale and zero point
//
// Arguments: conv_geometry.h, int8_arguments.h; quantize_groupwise,
// quantize_channelwise (conv_weights.h); constant_weight (default 1): filter
// and bias are read in the first run, and again when another tensor, or packed
// form, is in the place of one of them (weight_watch.h), while values that
// change where they are, are not seen. With 0 both are read in every run, the
// filter by its smallest and largest value. So they are, by content, where the
// host's float Conv runs beside it. Without Y_scale the host's float Conv
// runs first, in every run, and its range is the output's. dequantize_output
// must be 0, as in DNNLOWP. Where padding reaches, the input is its zero point.
//
// Errors name the operator, the blob or argument, its value and what was
// expected; Y is as it was then.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_OP_H_

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/conv_geometry.h"
#include "operators/int8/conv_weights.h"
#include "operators/int8/float_reference.h"
#include "operators/int8/int8_arguments.h"
#include "operators/int8/quantization_error_report.h"
#include "operators/int8/quantized_input.h"
#include "operators/int8/weight_watch.h"
#include "quantization/onednn/column_offsets.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
class Int8ConvOp : public caffe2::Operator<caffe2::CPUContext> {
 public:
  bool RunOnDevice() override;

 protected:
  Int8ConvOp(const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace, bool relu, bool sum);
  ~Int8ConvOp() override;

 private:
  using Weights = ConvWeights<std::make_signed_t<T>>;

  bool HasBiasInput() const { return InputSize() == (sum_ ? 4 : 3); }
  void ReadArguments();
  bool RunsReference() const {
    return !arguments_.output.has_value() ||
           arguments_.measure_quantization_error;
  }
  // Reads filter and bias, if they must be, and sets shape_.
  void UpdateWeights(const caffe2::Tensor& x);
  void ReadWeights(const caffe2::Tensor& x);
  void ReadFilter(const caffe2::Tensor& x, const PackedConvWeights* packed);
  const PackedConvWeights* PackedInput() const;  // null: it is not packed
  void UpdateShape(const caffe2::Tensor& x, at::IntArrayRef filter);
  void UpdateBias(float x_scale);
  InputCodes<T> Addend();
  // The output in floats, without relu.
  caffe2::Tensor& RunReference(const InputCodes<T>& x,
                               const InputCodes<T>& addend);
  void SetReferenceFilter();
  // What turns sums into codes.
  void UpdateStage(const InputCodes<T>& x, const InputCodes<T>& addend,
                   const QuantizationParams& y);
  void Convolve(const InputCodes<T>& x, const InputCodes<T>& addend,
                const QuantizationParams& y, T* codes);

  const bool relu_;
  const bool sum_;
  ConvGeometry geometry_;
  ConvGranularity granularity_ = ConvGranularity::kTensor;
  bool arguments_read_ = false;
  Int8Arguments arguments_;

  QuantizedInput<T> x_, addend_;
  // The sizes of input and filter that shape_ is of, and the output's.
  std::vector<int64_t> x_sizes_, filter_sizes_, y_sizes_;
  onednn::ConvolutionShape shape_{};
  bool constant_weight_ = true;
  WeightWatch weight_watch_;
  std::shared_ptr<const Weights> weights_;
  ConvBias given_bias_;  // of input kBias, if packed_bias_ is null
  std::shared_ptr<const ProductBias> packed_bias_;
  ProductBias bias_;                  // of this run
  QuantizationParams chosen_output_;  // of this run, when none are given

  // One of each output channel.
  std::vector<float> multipliers_;
  std::vector<float> large_bias_;  // in codes; empty: none
  onednn::ColumnOffsets column_offsets_;

  std::unique_ptr<FloatReference> reference_;
  caffe2::Tensor reference_filter_{caffe2::CPU}, reference_bias_{caffe2::CPU};
  QuantizationErrorReport report_;
};

// One of the seven, as the registry makes it.
template <typename T, bool kRelu, bool kSum = false>
class Int8ConvForm final : public Int8ConvOp<T> {
 public:
  Int8ConvForm(const caffe2::OperatorDef& definition,
               caffe2::Workspace* workspace)
      : Int8ConvOp<T>(definition, workspace, kRelu, kSum) {}
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_OP_H_
