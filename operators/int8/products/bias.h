// Reads a bias of FC or Conv, and converts it to the units of sums of products
// (quantization/onednn/product_bias.h).
//
// Thread rule: values, and pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BIAS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BIAS_H_

#include <cstdint>
#include <vector>

#include "caffe2/core/operator.h"
#include "quantization/onednn/product_bias.h"

namespace caffe2_quantization {

// A bias [n] as the blob holds it: values, or codes of 32 bits with their unit,
// the value of a code of 1.
struct Bias {
  std::vector<float> values;
  std::vector<int32_t> codes;
  std::vector<float> units;  // of codes: one, or one per row
  bool is_packed = false;    // with weights, for some input's scale

  // Packed codes that cannot hold all values have the values beside them.
  bool is_codes() const { return values.empty(); }
  float unit(int64_t row) const { return units[units.size() == 1 ? 0 : row]; }
};

// Whether a bias belongs to FC or to Conv. Their errors have always been worded
// differently: FC's bias must have one dimension and a valid scale, Conv's as
// many values as there are output channels.
enum class BiasOwner { kFc, kConv };

// Reads input `index` of op: n floats, or an Int8TensorCPU of int32 with zero
// point 0. Enforces the type, the shape and that floats are finite; messages
// name the operator's type and the blob.
Bias ReadBias(caffe2::OperatorBase* op, int index, int64_t n, BiasOwner owner);

// Returns the bias, input `index` of op, in units of
// x_scale * weight_scales[i * sets / n], rounded half to even. With check_unit
// it enforces, as DNNLOWP does, that the unit of codes equals that of the
// products within 1e-4, for every set.
onednn::ProductBias BiasInUnits(const caffe2::OperatorBase& op, int index,
                                const Bias& bias, float x_scale,
                                const std::vector<float>& weight_scales,
                                bool check_unit, BiasOwner owner);

// Returns the bias as floats: codes times their unit.
std::vector<float> BiasValues(const Bias& bias);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BIAS_H_
