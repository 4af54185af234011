// Which entry of a file of measured outputs is meant by an output of a net.
//
// What is matched is the tensor's name. An entry of another operator type or
// index is taken all the same when it is the only one of that name: a net whose
// operators were renamed (Int8...) or fused is no other net. Of a name that the
// file has more than once:
//   1. entries of the operator's type (an Int8 before it left out) come first,
//   2. of several, the k-th one goes to the k-th operator of the net that
//      writes it, if there are as many, else the one of the operator's own
//      index,
//   3. with no entry of that type, and only one operator in the net that writes
//      the name, the last entry: operators were fused.
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

// Whether its outputs are int8 tensors that a float net has under these names.
bool NeedsParameters(const NetOperator& op);

// The outputs of one net beside those of one file. Both must outlive it.
class OutputMatch {
 public:
  OutputMatch(const MeasuredOutputs& measured,
              const std::vector<NetOperator>& operators);

  // The entry of a tensor that operator op_index writes; null: none. An error
  // when the file has entries of its name and does not tell which is meant.
  Status Find(const std::string& tensor_name, std::size_t op_index,
              const MeasuredOutput** output) const;

  // The entry of what operator op_index, which has inputs, reads first.
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
