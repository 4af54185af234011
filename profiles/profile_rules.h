// Checks the rules that every profile obeys, whether it is about to be written
// or was just read.
#ifndef CAFFE2_QUANTIZATION_PROFILES_PROFILE_RULES_H_
#define CAFFE2_QUANTIZATION_PROFILES_PROFILE_RULES_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// Sorts `names` and leaves each once.
void SortUnique(std::vector<std::string>* names);

// Returns what a profile keeps of `info`, with every list in its one order,
// that of a profile's message.
NetInfo CanonicalProfile(const NetInfo& info);

// Replaces what is not UTF-8 by U+FFFD in every name.
void ReplaceInvalidUtf8(NetInfo* info);

// Returns "operator 3 (Conv)", "operator 3/then_net/1 (MatMul)", or in format
// version 1 "operator 3, step 1 (MatMul)".
std::string OperatorText(const OperatorInfo& op);
// Returns "operator 3 (Conv), output 0 'conv1'".
std::string OutputText(const OperatorInfo& op, const OutputInfo& output);
// Returns "input 0 'data'".
std::string InputText(const OutputInfo& input);
// Returns "operator 3/then_net/1", or "operator 3, step 1".
std::string PlaceText(const OperatorInfo& op);

// Returns OK, or kCorruption with what contradicts what. Lists must be sorted
// and hold nothing twice, so pass an unsorted NetInfo through
// CanonicalProfile() first.
Status CheckProfile(const NetInfo& info);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_PROFILE_RULES_H_
