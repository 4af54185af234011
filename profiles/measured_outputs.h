// What a file says of each output of a net, whatever its form: .minmax, .hist,
// each in both its forms, or a profile, binary or JSON.
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

// What a file says of one output. No value was seen: min > max.
struct MeasuredOutput {
  int op_index = 0;
  std::string op_type;  // empty: of an older form
  int output_index = 0;
  std::string tensor_name;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  // At most one of them is set: a .hist file has counts, a profile a histogram.
  std::vector<uint64_t> counts;
  Histogram histogram;
};

// What a file says of all outputs.
struct MeasuredOutputs {
  std::string path;
  bool histogram = false;
  // By tensor name, in the order of op_index.
  std::map<std::string, std::vector<MeasuredOutput>> by_name;
};

// Reads a file, whose form is told by its first character. With `histogram` it
// must have histograms, and outputs their counts, else their ranges alone
// count. An error names the file: two entries for the same output of one
// operator, an output without a histogram where they are asked for, and what
// the readers of the forms refuse.
Status ReadMeasuredOutputs(const std::string& path, bool histogram,
                           MeasuredOutputs* measured);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_MEASURED_OUTPUTS_H_
