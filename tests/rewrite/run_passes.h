// The passes one by one: what QuantizeNet does up to one of them.
#ifndef CAFFE2_QUANTIZATION_TESTS_REWRITE_RUN_PASSES_H_
#define CAFFE2_QUANTIZATION_TESTS_REWRITE_RUN_PASSES_H_

#include <functional>
#include <memory>
#include <string>

#include "rewrite/rewrite.h"

namespace caffe2_quantization {
namespace rewrite {

// Runs the passes of pass_list.inc up to and including one. What is read must
// live as long as *rewrite. Returns the error; "" if there is none.
std::string RunPasses(const std::string& last, const caffe2::NetDef& init,
                      const caffe2::NetDef& predict,
                      const Measurements& measurements,
                      const QuantizeOptions& options,
                      const std::function<bool(const std::string&)>& has_key,
                      Rewrite* rewrite);

// The init net with fills of the constants that passes added to the graph.
caffe2::NetDef InitOf(const caffe2::NetDef& init, const Graph& graph);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_REWRITE_RUN_PASSES_H_
