// A table of what observers have seen so far, drawn over itself on a terminal
// while a net runs: one line an output, as many as there is room for.
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

// Lines of the terminal behind a file descriptor; 0 when it is none.
int TerminalLines(int file);

// How the counts lie between the ends, in `width` characters, by their
// logarithm: the fullest is '@', one that holds anything at least '.', an empty
// one blank.
std::string HistogramBar(const Histogram& histogram, int width);

// Thread rule: one thread at a time.
class LiveView {
 public:
  // Seconds of a clock that never goes back.
  using Clock = std::function<double()>;

  // Draws on `out`, within the terminal's columns and lines. An empty clock is
  // the system's.
  LiveView(std::ostream* out, int columns, int lines, Clock clock = {});

  // `done` of `total` images of what `label` names. Of quick calls, four a
  // second are drawn, and the last one; `info` is asked for what is drawn.
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
