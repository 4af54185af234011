// The order of images' dimensions, and what becomes of their sizes when
// channels move from the first place to the last, or back.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_SWITCHED_ORDER_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_SWITCHED_ORDER_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/core/operator_schema.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2_quantization {

// Returns the sizes, of at least two dimensions, [N, C, ...] as [N, ..., C] if
// channels_last; else [N, ..., C] as [N, C, ...].
inline std::vector<int64_t> SwitchedSizes(std::vector<int64_t> sizes,
                                          bool channels_last) {
  if (channels_last) {
    std::rotate(sizes.begin() + 1, sizes.begin() + 2, sizes.end());
  } else {
    std::rotate(sizes.begin() + 1, sizes.end() - 1, sizes.end());
  }
  return sizes;
}

// The same for a shape that a schema infers; of fewer than three dimensions, or
// unknown, it stays.
inline void SwitchShape(bool channels_last, caffe2::TensorShape* shape) {
  if (shape->unknown_shape() || shape->dims_size() < 3) return;
  const std::vector<int64_t> sizes = SwitchedSizes(
      {shape->dims().begin(), shape->dims().end()}, channels_last);
  for (int i = 0; i < shape->dims_size(); ++i) shape->set_dims(i, sizes[i]);
}

// The same if the operator's argument is NCHW.
inline void SwitchByArgument(const caffe2::OperatorDef& definition,
                             const char* argument, bool channels_last,
                             caffe2::TensorShape* shape) {
  bool is_nchw = false;
  if (caffe2::ArgumentHelper::HasArgument(definition, argument) &&
      ReadOrderArgument(definition, &is_nchw, argument).ok() && is_nchw) {
    SwitchShape(channels_last, shape);
  }
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_SWITCHED_ORDER_H_
