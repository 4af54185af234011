// Selects operators of a net by name, output, type or regular expression.
#ifndef CAFFE2_QUANTIZATION_REWRITE_SELECTOR_H_
#define CAFFE2_QUANTIZATION_REWRITE_SELECTOR_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {
namespace rewrite {

// Sets *selected[i] for each operator that a selector matches: by its name, its
// first output or its type, or a regular expression (ECMAScript) that one of
// them matches as a whole. `option` is how messages call the selectors. Errors:
// one that matches nothing, with the nearest names; no regular expression.
Status SelectOperators(const caffe2::NetDef& net, const std::string& option,
                       const std::vector<std::string>& selectors,
                       std::vector<bool>* selected);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_SELECTOR_H_
