// A bias of FC and Conv as it comes, and what becomes of it beside sums of
// products (quantization/onednn/product_bias.h).
//
// Thread rule: values, and pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BIAS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BIAS_H_

#include <cstdint>
#include <vector>

#include "caffe2/core/operator.h"
#include "quantization/onednn/product_bias.h"

namespace caffe2_quantization {

// A bias [n] as it came: values, or codes of 32 bits with what 1 of them is
// worth.
struct Bias {
  std::vector<float> values;
  std::vector<int32_t> codes;
  std::vector<float> units;  // of codes: one, or one a row
  bool is_packed = false;    // with weights, for some input's scale

  // Codes that were packed and do not hold all values have these beside them.
  bool is_codes() const { return values.empty(); }
  float unit(int64_t row) const { return units[units.size() == 1 ? 0 : row]; }
};

// What a bias belongs to. The two say differently what they refuse, as their
// errors always did; FC's has one dimension and a valid scale, Conv's as many
// values as there are output channels.
enum class BiasOwner { kFc, kConv };

// Reads input `index` of op, n floats or an Int8TensorCPU of int32 with the
// zero point 0. Enforces the type, the shape and that floats are finite;
// messages name the operator's type and the blob.
Bias ReadBias(caffe2::OperatorBase* op, int index, int64_t n, BiasOwner owner);

// The bias, input `index` of op, in units of x_scale * weight_scales[i * sets /
// n], rounded half to even. Enforces, of codes and with check_unit, that their
// unit is the products' own, of every set, within 1e-4, as DNNLOWP does.
onednn::ProductBias BiasInUnits(const caffe2::OperatorBase& op, int index,
                                const Bias& bias, float x_scale,
                                const std::vector<float>& weight_scales,
                                bool check_unit, BiasOwner owner);

// The bias as floats: codes times their unit.
std::vector<float> BiasValues(const Bias& bias);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BIAS_H_
