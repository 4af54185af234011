// GivenQTensorFill and QTensorDequantize: QTensors that a NetDef carries, and
// their values as floats. Together they make an init net of bit planes:
//
//   op { type: "GivenQTensorFill" output: "w_q" arg { name: "qtensors" … } }
//   op { type: "QTensorDequantize" input: "w_q" output: "w" }
#ifndef CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_OP_H_

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// Output i is the i-th QTensorProto of the argument `qtensors`. All of them are
// checked before the first output changes; docs/formats.md lists the checks.
class GivenQTensorFillOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

// Input 0   QTensor blob.
// Output 0  float tensor of the same dims: float(scale * (x + bias)), with the
//           channel's own scale and bias if the QTensor has them.
class QTensorDequantizeOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_OP_H_
