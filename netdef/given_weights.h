// GivenWeights: what an operator Int8GivenPackedWeightFill of a NetDef says,
// int8 weights of FC or of a convolution by their codes; read with care, and
// written.
//
//   argument               holds
//   order                  "FC", "NHWC" or "NCHW"
//   shape                  [N, K...]; [M, kernel..., C / group]; [M, C / group,
//                          kernel...]
//   group                  of a convolution (default 1)
//   values                 a string, one byte for each code, row major
//   is_signed              1: the bytes are int8; 0: they are uint8
//   scales, zero_points    one pair for all, one per group, or one per output
//                          (N, M); w = scale * (code - zero_point)
//   bias, in_scale         optional: codes of 32 bits, one per output, in units
//                          of in_scale * the output's scale
//   save_unpacked_weights  1: keep the codes beside the packed form (0)
//
// Whoever makes such a net from floats gets the numbers from
// quantization/quantize_weights.h.
//
// Thread rule: a value, and pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_GIVEN_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_NETDEF_GIVEN_WEIGHTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

inline constexpr char kGivenWeightsType[] = "Int8GivenPackedWeightFill";

struct GivenWeights {
  enum class Order { kFc, kNhwc, kNchw };

  Order order = Order::kFc;
  std::vector<int64_t> shape;
  int64_t groups = 1;
  std::string_view values;  // whoever has the string keeps it
  bool is_signed = true;
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  std::vector<int32_t> bias;  // empty: none
  float in_scale = 0;
  bool save_unpacked_weights = false;

  int64_t outputs() const { return shape[0]; }
};

// Sets *order to that of a name; an error says which names there are.
Status OrderFromName(std::string_view name, GivenWeights::Order* order);

// Reads a definition; result->values stands in it. Nothing is allocated but
// the numbers that it holds: no size of a hostile definition asks for memory.
// Errors, which leave *result unchanged and name the argument, what it is and
// what was expected: an argument that is missing or of another type; another
// order; dimensions below 1 or too few or too many of them; as many bytes of
// values as the shape does not ask for; numbers of scales, zero points or
// biases that do not fit the shape; a scale that QuantizationParams refuses; a
// zero point that is no code; groups that do not divide the outputs, or of FC;
// one of bias and in_scale without the other; a unit of the bias, in_scale *
// scale, that is no normal float.
Status ReadGivenWeights(const caffe2::OperatorDef& definition,
                        GivenWeights* result);

// Returns the operator that fills blob `output`. What it says is not checked.
caffe2::OperatorDef GivenWeightsFill(const std::string& output,
                                     const GivenWeights& weights);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_GIVEN_WEIGHTS_H_
