// A run's report as JSON, for other programs.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_RUN_REPORT_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_RUN_REPORT_H_

#include <string>

#include "workflow/run_model.h"

namespace caffe2_quantization {

// Returns one JSON object, indented by two, ending in a line break. What is
// unknown is null, and so are numbers that are not finite.
std::string ToJson(const RunReport& report);

// Returns the host's version, such as "1.10.2".
std::string HostVersion();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_RUN_REPORT_H_
