// Reports the weights that an init net keeps in fewer bits: what is stored, and
// how far it is from the float weights of a reference.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_WEIGHT_REPORT_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_WEIGHT_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

// One blob of quantized weights.
struct StoredWeight {
  std::string blob;
  // The float blob that a dequantizing operator makes of it; "" if none does.
  std::string weight;
  std::vector<int64_t> shape;
  int64_t bytes = 0;        // of the values as stored
  int64_t float_bytes = 0;  // of the same values as floats
  // max |w - w_reference| over the weight. It is known if the reference has a
  // float tensor of that name and shape.
  bool has_largest_error = false;
  double largest_error = 0;
};

// value = scale * (x + bias), |x| < 2^precision.
struct QTensorWeight : StoredWeight {
  int precision = 0;
  bool is_signed = false;
  double scale = 0;
  double bias = 0;
};

// Returns the QTensors that `init` has made in `workspace`, in the order of its
// operators. QTensorDequantize may be in `init` or in `predict`. `reference`
// may be null.
std::vector<QTensorWeight> FindQTensorWeights(const caffe2::NetDef& init,
                                              const caffe2::NetDef& predict,
                                              caffe2::Workspace* workspace,
                                              caffe2::Workspace* reference);

// Returns the same for the inputs of ByteWeightDequant.
std::vector<StoredWeight> FindByteWeights(const caffe2::NetDef& init,
                                          const caffe2::NetDef& predict,
                                          caffe2::Workspace* workspace,
                                          caffe2::Workspace* reference);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_WEIGHT_REPORT_H_
