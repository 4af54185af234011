// Weights of the FC family of the engine ONEDNN, as codes, in the form that is
// multiplied; and the blob in which Int8FCPackWeight leaves them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_FC_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_FC_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "caffe2/core/blob.h"
#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/products/bias.h"
#include "operators/int8/products/weights.h"
#include "quantization/choose.h"
#include "quantization/status.h"

namespace caffe2_quantization {

// Weights [n, k] with one parameter set, or one per row. T: int8_t, or int16_t
// of engines ending in _16.
template <typename T>
using FcWeights = MatrixWeights<T>;

// How weights become codes.
struct FcWeightsOptions {
  int axis_w = 1;        // the first dimension of W that counts as K
  bool per_row = false;  // a parameter set per row
  bool keep_codes = false;
  // Once in a process for the same content; for weights that do not change.
  bool share = true;
  ChooseOptions choose;  // of weights, as DnnlowpOptions gives them
};

// Reads axis_w and quantize_channelwise, whose result is added to per_row. An
// error names the argument.
Status ReadFcWeightsOptions(const caffe2::OperatorDef& definition,
                            FcWeightsOptions* options);
// Reads an argument that is the number of a dimension.
Status ReadAxis(const caffe2::OperatorDef& definition, const char* name,
                int* axis);

// Of a blob with a float tensor or an Int8TensorCPU, whose one parameter set
// then holds for every row. Errors: another type; a dimension of K or N that is
// 0; what QuantizeWeights and PackedMatrix refuse.
template <typename T>
Status MakeFcWeights(const caffe2::Blob& w, const FcWeightsOptions& options,
                     std::shared_ptr<const FcWeights<T>>* weights);

// How many different weights of 8 bits the operators of this process hold now.
std::size_t NumSharedFcWeights();

// What Int8FCPackWeight makes of weights and, where it gets one, of a bias. A
// blob of it serves any number of operators and nets.
struct PackedFcWeights {
  std::shared_ptr<const FcWeights<int8_t>> weights;
  std::shared_ptr<const Bias> bias;  // codes; null: none
  // "int8 weights [16, 8], one parameter set, with bias, 256 bytes"
  std::string ToString() const;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_FC_WEIGHTS_H_
