// The text formats of histograms: one line per output tensor (.hist files),
//   op_index op_type output_index tensor_name min max nbins count…
// or the older form without op_type, and one line per column of the tensor,
//   op_index output_index tensor_name column min max nbins count…
// The counts are those of nbins bins of equal width between min and max. The
// delimiter is as in a .minmax file. docs/formats.md has the whole grammar.
#ifndef CAFFE2_QUANTIZATION_PROFILES_HISTOGRAM_FILE_H_
#define CAFFE2_QUANTIZATION_PROFILES_HISTOGRAM_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "profiles/min_max_file.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

struct HistogramLine {
  int op_index = 0;
  std::string op_type;  // empty when read from the older form
  int output_index = 0;
  std::string tensor_name;
  double min = 0;  // the edges: every counted value v has min <= v < max, or,
  double max = 0;  // in a file of another program, v <= max
  std::vector<uint64_t> counts;
};

struct ColumnMaxLine {
  int op_index = 0;
  int output_index = 0;
  std::string tensor_name;
  int column = 0;
  double min = 0;
  double max = 0;
  std::vector<uint64_t> counts;
};

// Return the files' texts. The bins from the first to the last that counted
// anything are written. So min and max, the histogram's lower_edge() and
// upper_edge(), are less than a bin beyond the smallest and the largest value,
// and so is a range chosen from the line. Both are exact: numpy.histogram(x,
// nbins, (min, max)) gives the same counts. Only an edge beyond all doubles is
// replaced by the largest double. An output or a column that saw no value has
// no line.
std::string FormatHistograms(const NetInfo& info, RangeSince since,
                             const std::string& delimiter = " ");
std::string FormatColumnMax(const NetInfo& info, RangeSince since,
                            const std::string& delimiter = " ");

// Parse such a text. An error names the line's number and what is wrong.
Status ParseHistograms(const std::string& text,
                       std::vector<HistogramLine>* lines,
                       const std::string& delimiter = " ");
Status ParseColumnMax(const std::string& text,
                      std::vector<ColumnMaxLine>* lines,
                      const std::string& delimiter = " ");

// Read and parse a file of 1 GiB at most.
Status ReadHistogramFile(const std::string& path,
                         std::vector<HistogramLine>* lines,
                         const std::string& delimiter = " ");
Status ReadColumnMaxFile(const std::string& path,
                         std::vector<ColumnMaxLine>* lines,
                         const std::string& delimiter = " ");

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_HISTOGRAM_FILE_H_
