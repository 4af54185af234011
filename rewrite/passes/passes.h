// Declares the passes of pass_list.inc and what several of them ask.
#ifndef CAFFE2_QUANTIZATION_REWRITE_PASSES_PASSES_H_
#define CAFFE2_QUANTIZATION_REWRITE_PASSES_PASSES_H_

#include <vector>

#include "base/status.h"
#include "rewrite/rewrite.h"

namespace caffe2_quantization {
namespace rewrite {

#define PASS(function, name, what, keeps_values) \
  Status function(Rewrite* rewrite);
#include "rewrite/pass_list.inc"
#undef PASS

// The inputs of an operator with an int8 form that are quantized values; the
// others are weights, indices, shapes and parameters in floats.
std::vector<int> DataSlots(const Node& node);

// How many of its outputs are quantized values, from the first one on.
int NumDataOutputs(const Node& node);

// Whether the operator reads images as NCHW, as far as its arguments say.
bool IsChannelsFirst(const Node& node);

// The order in which an int8 node reads its data inputs, given the plans of the
// values that it reads.
Order InputOrder(const Rewrite& rewrite, int node);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_PASSES_PASSES_H_
