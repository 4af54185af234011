// The rules that every profile obeys, whether it is about to be written or was
// just read.
#ifndef CAFFE2_QUANTIZATION_PROFILES_PROFILE_RULES_H_
#define CAFFE2_QUANTIZATION_PROFILES_PROFILE_RULES_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// Sorts `names` and leaves each once.
void SortUnique(std::vector<std::string>* names);

// What a profile keeps of `info`, every list in its one order: the order of a
// profile's message.
NetInfo CanonicalProfile(const NetInfo& info);

// Puts U+FFFD in place of what is not UTF-8 in every name.
void ReplaceInvalidUtf8(NetInfo* info);

// "operator 3 (Conv)" or "operator 3, step 1 (MatMul)".
std::string OperatorText(const OperatorInfo& op);
// "operator 3 (Conv), output 0 'conv1'".
std::string OutputText(const OperatorInfo& op, const OutputInfo& output);

// Ok, or kCorruption: what contradicts what. Asks of lists that they are
// sorted and hold nothing twice, so of an unsorted NetInfo first make
// CanonicalProfile().
Status CheckProfile(const NetInfo& info);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_PROFILE_RULES_H_
