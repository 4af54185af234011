// CountLine shows how far something long has come: one line of a terminal,
// drawn over itself and taken away at the end.
//
//   choosing parameters: 12 of 94 tensors
//
// Nothing is drawn in the first second, nor where there is no terminal.
#ifndef CAFFE2_QUANTIZATION_BASE_COUNT_LINE_H_
#define CAFFE2_QUANTIZATION_BASE_COUNT_LINE_H_

#include <cstddef>
#include <functional>
#include <ostream>
#include <string>

namespace caffe2_quantization {

// Thread rule: one thread at a time.
class CountLine {
 public:
  // Seconds of a clock that never goes back.
  using Clock = std::function<double()>;

  // "<what>: <done> of <total> <unit>", on standard error if it is a terminal.
  CountLine(std::string what, std::string unit, std::size_t total);
  // On out; null: nothing.
  CountLine(std::ostream* out, Clock clock, std::string what, std::string unit,
            std::size_t total);
  // Takes the line away.
  ~CountLine();
  CountLine(const CountLine&) = delete;
  CountLine& operator=(const CountLine&) = delete;

  // Drawn five times a second at most.
  void Update(std::size_t done);

 private:
  std::ostream* const out_;
  const Clock clock_;
  const std::string what_;
  const std::string unit_;
  const std::size_t total_;
  double next_ = 0;
  bool drawn_ = false;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_COUNT_LINE_H_
