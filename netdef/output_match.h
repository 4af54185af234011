// Finds the entry, in a file of measured outputs, for an output of a net.
//
// Entries are matched by the tensor's name. An entry of another operator type
// or index is taken all the same if it is the only one of that name: a net
// whose operators were renamed (Int8...) or fused is still the same net. If the
// file has a name more than once:
//   1. entries of the operator's type (without a leading Int8) are preferred,
//   2. of several such entries, the k-th one goes to the k-th operator of the
//      net that writes the name if there are as many operators as entries; else
//      the one with the operator's own index is taken,
//   3. if no entry has that type, and only one operator of the net writes the
//      name, the last entry is taken: operators were fused.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_OUTPUT_MATCH_H_
#define CAFFE2_QUANTIZATION_NETDEF_OUTPUT_MATCH_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "profiles/measured_outputs.h"

namespace caffe2_quantization {

// An operator of a net, live or not.
struct NetOperator {
  const caffe2::OperatorDef* definition;
  bool is_int8;
};

// True for an operator whose argument dequantize_output is set.
bool DequantizesOutput(const caffe2::OperatorDef& definition);

// True for Quantize and Int8Quantize.
bool IsQuantize(const caffe2::OperatorDef& definition);

// Returns whether the operator's outputs are int8 tensors that a float net has
// under the same names.
bool NeedsParameters(const NetOperator& op);

// Matches the outputs of one net with the entries of one file. Both must
// outlive it.
class OutputMatch {
 public:
  OutputMatch(const MeasuredOutputs& measured,
              const std::vector<NetOperator>& operators);

  // Sets *output to the entry of a tensor that operator op_index writes, or to
  // null if there is none. Returns an error if the file has entries of its name
  // but does not tell which is meant.
  Status Find(const std::string& tensor_name, std::size_t op_index,
              const MeasuredOutput** output) const;

  // Sets *output to the entry of the first input of operator op_index, which
  // must have inputs: of the operator that made it, else of the external input
  // of that name, else the only one of its name.
  Status FindFirstInput(std::size_t op_index,
                        const MeasuredOutput** output) const;

 private:
  // Where the net writes a tensor.
  struct Write {
    std::size_t op_index;
    const caffe2::OperatorDef* definition;
  };

  const MeasuredOutputs& measured_;
  const std::vector<NetOperator>& operators_;
  std::map<std::string, std::vector<Write>> writes_;  // by tensor name
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_OUTPUT_MATCH_H_
