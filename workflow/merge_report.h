// The report of `caffe2-quantize merge` as JSON, for other programs.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_MERGE_REPORT_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_MERGE_REPORT_H_

#include <string>
#include <vector>

#include "profiles/profile.h"

namespace caffe2_quantization {

// Takes the summaries of MergeProfileFiles(), the last of which is the
// output's. Returns {"inputs": […], "output": {…}}, indented by two, ending in
// a line break.
std::string MergeReportToJson(const std::vector<ProfileSummary>& summaries);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_MERGE_REPORT_H_
