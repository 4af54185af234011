// The path of an operator: its place in a net, or in a net that an operator of
// that net runs.
//
//   path  = index { "/" argument "/" index }     index: decimal, no leading 0
//   "7"                          operator 7 of the net
//   "3/then_net/2"               operator 2 of the net in argument then_net of
//                                operator 3
//   "3/loop_net/0/step_net/4"    and so on
//
// An argument is made of letters, digits and '_', so a path reads one way
// alone. Indices are those of the NetDef that was recorded: operators that the
// host adds (rnn_internal_apply_link) have none and do not count. Paths are
// ordered by their parts, from the left: an operator, then those within it.
//
// The key of a recorded value, which tells it from every other one of a net:
//   an output             (path of its operator, output index)
//   an external input     its index in external_input, and the blob's name
// Names of blobs do not suffice: several operators may write one, and a net
// within another may have its blobs in other workspaces.
#ifndef CAFFE2_QUANTIZATION_PROFILES_OPERATOR_PATH_H_
#define CAFFE2_QUANTIZATION_PROFILES_OPERATOR_PATH_H_

#include <cstddef>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

// One step from an operator into a net that it runs.
struct InnerStep {
  std::string argument;  // that holds the net: "then_net"
  int op_index = 0;      // in that net

  friend bool operator==(const InnerStep& a, const InnerStep& b) {
    return a.op_index == b.op_index && a.argument == b.argument;
  }
  friend bool operator<(const InnerStep& a, const InnerStep& b) {
    return std::tie(a.argument, a.op_index) < std::tie(b.argument, b.op_index);
  }
};

// Nets within nets go no deeper in a file.
inline constexpr std::size_t kMaxInnerSteps = 64;

// Returns the text of a path: that of operator op_index, then of each step.
std::string PathText(int op_index, const std::vector<InnerStep>& inner);

// Reads a path. An error says what is wrong, and leaves both unchanged.
Status ParsePath(const std::string& text, int* op_index,
                 std::vector<InnerStep>* inner);

// Returns the index in its step net of an operator of a RecurrentNetwork of the
// net itself; -1 for any other.
int StepIndexOf(const std::vector<InnerStep>& inner);

// Returns whether an argument may stand in a path.
bool IsPathArgument(const std::string& argument);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_OPERATOR_PATH_H_
