// Tells a net's data from its parameters, and which of its external inputs are
// recorded.
//
// A net declares both as external_input, and nothing in it says which is which.
// So the operators that read a blob decide. A blob is a parameter if at least
// one operator reads it and each reads it as one:
//
//   Conv, Conv1D ... ConvTranspose, ChannelwiseConv3D, Int8Conv, FC,
//   FCTransposed, Int8FC ..., InstanceNorm, GroupNorm, LayerNorm,
//   AffineChannel, ElementwiseLinear                     inputs 1 and 2
//   SpatialBN                             inputs 1 to 4
//   PRelu                                 input 1
//   SparseLengths..., Gather              input 0, the table
//   RecurrentNetwork                      the inputs that its `param` names
//
// Operators of nets within If, While, Do and RecurrentNetwork count as well. A
// blob that no operator reads is neither data nor parameter.
#ifndef CAFFE2_QUANTIZATION_NETDEF_DATA_INPUTS_H_
#define CAFFE2_QUANTIZATION_NETDEF_DATA_INPUTS_H_

#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// Returns the indices in external_input of the data, in order, each blob once.
std::vector<int> DataInputs(const caffe2::NetDef& net);

// Returns the indices of those that are recorded: if the options have patterns
// of inputs, every external input that fits one, parameter or not. Else the
// data, but none if the options choose operators (op_types, op_names, outputs).
std::vector<int> RecordedInputs(const caffe2::NetDef& net,
                                const RecordingOptions& options);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_DATA_INPUTS_H_
