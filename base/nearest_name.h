// Hints for errors about an unknown name: the nearest name that is known.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_BASE_NEAREST_NAME_H_
#define CAFFE2_QUANTIZATION_BASE_NEAREST_NAME_H_

#include <string>
#include <vector>

namespace caffe2_quantization {

// " (did you mean 'Conv'?)" when a known name is so near that it may have been
// meant, else "": at most a third of its letters, or one of fewer than six,
// differ, are missing, are too many or are swapped with their neighbour. Case
// does not count. Of equally near ones the first.
std::string DidYouMean(const std::string& name,
                       const std::vector<std::string>& known);

// "; there are: Conv, FC". Of many the first ones.
std::string ListOf(const std::vector<std::string>& known);

// Both: " (did you mean 'Conv'?); there are: Conv, FC".
std::string NameHint(const std::string& name,
                     const std::vector<std::string>& known);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_NEAREST_NAME_H_
