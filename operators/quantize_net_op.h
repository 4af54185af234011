// Makes an int8 net of a float net, so that any front end that can run an
// operator can, without a compiled binding (rewrite/quantize_net.h).
//
//   QuantizeNet   init, predict, profile, recipe -> init, predict, recipe,
//   report
//
// Each input and output is one string. What the operators of `init` make other
// than in constant fills is no constant here: nothing is run. Shapes are no
// input: a profile and a recipe have them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_QUANTIZE_NET_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_QUANTIZE_NET_OP_H_

#include <string>

#include "caffe2/core/operator.h"
#include "rewrite/quantize_net.h"

namespace caffe2_quantization {

class QuantizeNetOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  QuantizeNetOp(const caffe2::OperatorDef& definition,
                caffe2::Workspace* workspace);

  bool RunOnDevice() override;

 private:
  // An input: a blob that is a string, or a tensor of one.
  const std::string& Text(int index);
  Status Quantize(const caffe2::NetDef& init, const caffe2::NetDef& predict,
                  rewrite::QuantizedNets* nets);
  void Write(int index, std::string text);

  rewrite::QuantizeOptions options_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_QUANTIZE_NET_OP_H_
