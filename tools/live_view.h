// Draws a table of what observers have seen so far, over itself, on a terminal
// while a net runs: one line per output, for as many as there is room.
//
//   float  128/540 images
//   op  type  tensor  runs        min       max  NaN  inf  histogram
//    0  Conv  conv1      2  -1.702780  1.581133    0    0  [.:-=+*#%@#+=-..  ]
#ifndef CAFFE2_QUANTIZATION_TOOLS_LIVE_VIEW_H_
#define CAFFE2_QUANTIZATION_TOOLS_LIVE_VIEW_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

#include "profiles/output_info.h"

namespace caffe2_quantization {

// Returns the number of lines of the terminal behind a file descriptor; 0 if it
// is no terminal.
int TerminalLines(int file);

// Shows how the counts are spread between the ends, in `width` characters, by
// their logarithm: the fullest part is '@', a part that holds anything is at
// least '.', an empty part is blank.
std::string HistogramBar(const Histogram& histogram, int width);

// Thread rule: one thread at a time.
class LiveView {
 public:
  // Seconds of a clock that never goes back.
  using Clock = std::function<double()>;

  // Draws on `out`, within the terminal's columns and lines. An empty clock
  // means the system's.
  LiveView(std::ostream* out, int columns, int lines, Clock clock = {});

  // Reports that `done` of `total` images are done for what `label` names. At
  // most four calls per second are drawn, and the last one; `info` is called
  // only for those that are drawn.
  void Update(const std::string& label, int64_t done, int64_t total,
              const std::function<NetInfo()>& info);

 private:
  void Draw(const std::string& text);

  std::ostream* const out_;
  const int columns_;
  const int lines_;
  const Clock clock_;
  bool drawn_ = false;
  double last_draw_ = 0;
  std::string label_;
  int height_ = 0;  // of what stands on the screen, in lines
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_LIVE_VIEW_H_
