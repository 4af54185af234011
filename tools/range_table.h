// Makes the table of what was seen of each output of a net.
#ifndef CAFFE2_QUANTIZATION_TOOLS_RANGE_TABLE_H_
#define CAFFE2_QUANTIZATION_TOOLS_RANGE_TABLE_H_

#include <string>

#include "profiles/output_info.h"

namespace caffe2_quantization {

// External inputs come first, with "in" in place of an operator's path.
std::string RangeTable(const NetInfo& info);

// Returns a table of what a profile holds: one line for each external input and
// each output, with its operator's path.
std::string ProfileTable(const NetInfo& info);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_RANGE_TABLE_H_
