// A progress bar: one line on a terminal, drawn over itself.
//
//   float  [###########---------]  54 %  292/540 images  31,200/s  0:03 left
#ifndef CAFFE2_QUANTIZATION_TOOLS_PROGRESS_BAR_H_
#define CAFFE2_QUANTIZATION_TOOLS_PROGRESS_BAR_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>

namespace caffe2_quantization {

// Returns the number of columns of the terminal behind a file descriptor; 0 if
// it is no terminal.
int TerminalColumns(int file);

// Thread rule: one thread at a time.
class ProgressBar {
 public:
  // Seconds of a clock that never goes back.
  using Clock = std::function<double()>;

  // Draws on `out`, in `columns` columns; with 0 it draws nothing at all.
  // `unit` is what is counted. Labels are padded to `label_width`. An empty
  // clock means the system's.
  ProgressBar(std::ostream* out, int columns, std::string unit,
              size_t label_width = 0, Clock clock = {});
  // Ends the line, as Finish does.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Reports that `done` of `total` units are done for what `label` names. A new
  // label begins a new line. At most ten calls per second are drawn.
  void Update(const std::string& label, int64_t done, int64_t total);
  // Ends the line, if one was begun.
  void Finish();

 private:
  void Draw(double now);

  std::ostream* const out_;
  const int columns_;
  const std::string unit_;
  const size_t label_width_;
  const Clock clock_;

  bool begun_ = false;
  std::string label_;
  int64_t done_ = 0;
  int64_t total_ = 0;
  double start_ = 0;
  int64_t done_at_start_ = 0;  // before a checkpoint; not part of the rate
  double last_draw_ = 0;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_PROGRESS_BAR_H_
