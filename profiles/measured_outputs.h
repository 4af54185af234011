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
  // The outputs of one net by tensor name, each list in the order of op_index.
  using ByName = std::map<std::string, std::vector<MeasuredOutput>>;

  std::string path;
  bool histogram = false;
  ByName by_name;
  // From a profile of format version 2 alone: the external inputs by name, and
  // the outputs of nets within, by the path of the net ("3/then_net").
  std::map<std::string, MeasuredOutput> inputs;
  std::map<std::string, ByName> within;

  // Returns what the file says about the net at this path alone.
  MeasuredOutputs Within(const std::string& net_path) const;
  // Returns whether a net within has an output of this name.
  bool HasWithin(const std::string& tensor_name) const;
};

// Reads a file; its first character tells the form. With `histogram` the file
// must have histograms, and outputs get their counts; else only their ranges
// are read. Of a profile of format version 1 operators of step nets are left
// out: their indices are not those of the NetDef. Errors, which name the file:
// two entries for the same output of one operator, an output without a
// histogram where histograms are asked for, and what the readers of the forms
// refuse.
Status ReadMeasuredOutputs(const std::string& path, bool histogram,
                           MeasuredOutputs* measured);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_MEASURED_OUTPUTS_H_
