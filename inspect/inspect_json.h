// Writes the report of an inspection as JSON, for other programs.
#ifndef CAFFE2_QUANTIZATION_INSPECT_INSPECT_JSON_H_
#define CAFFE2_QUANTIZATION_INSPECT_INSPECT_JSON_H_

#include <string>
#include <vector>

#include "inspect/inspect.h"

namespace caffe2_quantization {

// Returns {"files": […]}, indented by two, ending in a line break. What is
// unknown is null, and so are numbers that are not finite.
std::string ToJson(const std::vector<InspectReport>& reports);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_INSPECT_JSON_H_
