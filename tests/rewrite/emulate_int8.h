// What an int8 operator of a net should give, from the host's float operators.
#ifndef CAFFE2_QUANTIZATION_TESTS_REWRITE_EMULATE_INT8_H_
#define CAFFE2_QUANTIZATION_TESTS_REWRITE_EMULATE_INT8_H_

#include <map>
#include <string>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {
namespace rewrite {

// Runs a net operator by operator. Each int8 operator's inputs are taken from
// the workspace as real numbers, the host's float operator computes, and each
// code of the output must be within one of the result's, saturated; an operator
// that only moves codes must give equal ones. `init` has the fills of weights.
// Returns what is wrong; "" if nothing is. *operators counts those compared, by
// type.
std::string RunAndCompare(const caffe2::NetDef& init,
                          const caffe2::NetDef& predict,
                          caffe2::Workspace* workspace,
                          std::map<std::string, int>* operators);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_REWRITE_EMULATE_INT8_H_
