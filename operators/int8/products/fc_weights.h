// Makes the weights of the FC family of the engine ONEDNN, as codes in the form
// that is multiplied, and defines the blob that Int8FCPackWeight and
// Int8GivenPackedWeightFill make.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_FC_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_FC_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "caffe2/core/blob.h"
#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/products/bias.h"
#include "operators/int8/products/weights.h"
#include "quantization/choose.h"

namespace caffe2_quantization {

// Weights [n, k] with one parameter set, or one per row. T: int8_t, or int16_t
// for engines ending in _16.
template <typename T>
using FcWeights = MatrixWeights<T>;

// Options that say how weights become codes.
struct FcWeightsOptions {
  int axis_w = 1;        // the first dimension of W that counts as K
  bool per_row = false;  // one parameter set per row
  bool keep_codes = false;
  // Makes the weights once in a process for the same content. Only for weights
  // that do not change.
  bool share = true;
  ChooseOptions choose;  // of weights, as DnnlowpOptions gives them
};

// Reads axis_w, and quantize_channelwise, which sets per_row but does not clear
// it. An error names the argument.
Status ReadFcWeightsOptions(const caffe2::OperatorDef& definition,
                            FcWeightsOptions* options);
// Reads an argument that is the number of a dimension.
Status ReadAxis(const caffe2::OperatorDef& definition, const char* name,
                int* axis);

// Makes the weights of a blob that holds a float tensor or an Int8TensorCPU,
// whose one parameter set then applies to every row. Errors: another type; K or
// N is 0; what QuantizeWeights and PackedMatrix refuse.
template <typename T>
Status MakeFcWeights(const caffe2::Blob& w, const FcWeightsOptions& options,
                     std::shared_ptr<const FcWeights<T>>* weights);

// Returns how many different 8-bit weights the operators of this process hold
// now.
std::size_t NumSharedFcWeights();

// What Int8FCPackWeight and Int8GivenPackedWeightFill make of weights and of a
// bias, if they get one. Any number of operators and nets may use such a blob.
struct PackedFcWeights {
  std::shared_ptr<const FcWeights<int8_t>> weights;
  std::shared_ptr<const Bias> bias;  // codes; null: none
  // "int8 weights [16, 8], one parameter set, with bias, 256 bytes"
  std::string ToString() const;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_FC_WEIGHTS_H_
