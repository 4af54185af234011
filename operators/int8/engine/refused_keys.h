// The operators that the engine ONEDNN refuses: those of refused_list.inc under
// the suffixes that operator_list.inc does not give them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_REFUSED_KEYS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_REFUSED_KEYS_H_

#include <set>
#include <string>

namespace caffe2_quantization {

// Registers them, after those of operator_list.inc. To make one is an error
// that says what to do; in a definition whose list of engines goes on with one
// that has the operator, or with DEFAULT, the host goes on to that.
void RegisterRefusedKeys();

// Returns the keys of the host's registry that are refused; those that
// RegisterRefusedKeys() has registered. Thread rule: call it after that, from
// any thread.
const std::set<std::string>& RefusedKeys();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_REFUSED_KEYS_H_
