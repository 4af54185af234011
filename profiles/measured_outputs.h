// Reads what a file says about each output of a net, whatever the file's form:
// .minmax or .hist, each in both its forms, or a profile, binary or JSON.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_PROFILES_MEASURED_OUTPUTS_H_
#define CAFFE2_QUANTIZATION_PROFILES_MEASURED_OUTPUTS_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "quantization/histogram.h"

namespace caffe2_quantization {

// What a file says about one output. If no value was seen, min > max.
struct MeasuredOutput {
  int op_index = 0;
  std::string op_type;  // empty in an older form
  int output_index = 0;
  std::string tensor_name;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  // At most one of these is set: a .hist file has counts, a profile has a
  // histogram.
  std::vector<uint64_t> counts;
  Histogram histogram;
};

// What a file says about all outputs.
struct MeasuredOutputs {
  std::string path;
  bool histogram = false;
  // The outputs by tensor name, each list in the order of op_index.
  std::map<std::string, std::vector<MeasuredOutput>> by_name;
};

// Reads a file; its first character tells the form. With `histogram` the file
// must have histograms, and outputs get their counts; else only their ranges
// are read. Errors, which name the file: two entries for the same output of one
// operator, an output without a histogram where histograms are asked for, and
// what the readers of the forms refuse.
Status ReadMeasuredOutputs(const std::string& path, bool histogram,
                           MeasuredOutputs* measured);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_MEASURED_OUTPUTS_H_
