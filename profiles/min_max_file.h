// The .minmax text format: one line per output tensor,
//   op_index op_type output_index tensor_name min max
// and the older five-field form without op_type. A delimiter separates the
// fields; it is a blank by default, and CheckDelimiter() says what else it may
// be. docs/formats.md has the whole grammar.
#ifndef CAFFE2_QUANTIZATION_PROFILES_MIN_MAX_FILE_H_
#define CAFFE2_QUANTIZATION_PROFILES_MIN_MAX_FILE_H_

#include <string>
#include <vector>

#include "base/export.h"
#include "base/status.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

struct MinMaxLine {
  int op_index = 0;
  std::string op_type;  // empty when read from the five-field form
  int output_index = 0;
  std::string tensor_name;
  ValueRange range;  // empty if the line's min is larger than its max
};

// Which of an output's ranges a dump shows.
enum class RangeSince { kReset, kAttach };

// Returns the file's text. A name that holds a blank, a quote, a line break or
// the delimiter is put in double quotes with backslash escapes.
std::string FormatMinMax(const NetInfo& info, RangeSince since,
                         const std::string& delimiter = " ");

// Parses a file's text. An error names the line's number and what is wrong.
// Numbers without point or exponent become integers, all others doubles.
Status ParseMinMax(const std::string& text, std::vector<MinMaxLine>* lines,
                   const std::string& delimiter = " ");

// Reads and parses a file of 1 GiB at most.
CAFFE2_QUANTIZATION_API Status
ReadMinMaxFile(const std::string& path, std::vector<MinMaxLine>* lines,
               const std::string& delimiter = " ");

// Returns "name_K.ext" for "name.ext", the path of the K-th periodic dump.
std::string NumberedPath(const std::string& path, uint64_t number);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_MIN_MAX_FILE_H_
