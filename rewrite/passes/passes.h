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

// What is known of a value; null: nothing. What a net within an operator writes
// is in no profile.
const Measured* MeasuredOf(const Rewrite& rewrite, const Value& value);

// Whether the operator reads images as NCHW, as far as its arguments say.
bool IsChannelsFirst(const Node& node);

// Whether NCHW2NHWC or NHWC2NCHW, as int8, only calls the same codes another
// name; where the user reads them under the float net's, they are transposed.
bool SwitchesNothing(const Rewrite& rewrite, const Node& node);

// The order in which an int8 node reads its data inputs, given the plans of the
// values that it reads.
Order InputOrder(const Rewrite& rewrite, int node);

// Makes the new nets of the int8 net's operators and the fills of its weights.
void FinishNets(caffe2::NetDef net, std::vector<caffe2::OperatorDef> fills,
                Rewrite* rewrite);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_PASSES_PASSES_H_
