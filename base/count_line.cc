#include "base/count_line.h"

#include <unistd.h>

#include <chrono>
#include <iostream>
#include <utility>

namespace caffe2_quantization {
namespace {

constexpr const char* kClearLine = "\r\x1b[K";

double SteadySeconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

CountLine::CountLine(std::string what, std::string unit, std::size_t total)
    : CountLine(isatty(STDERR_FILENO) != 0 ? &std::cerr : nullptr,
                SteadySeconds, std::move(what), std::move(unit), total) {}

CountLine::CountLine(std::ostream* out, Clock clock, std::string what,
                     std::string unit, std::size_t total)
    : out_(out),
      clock_(std::move(clock)),
      what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      next_(clock_() + 1) {}

CountLine::~CountLine() {
  if (drawn_) *out_ << kClearLine << std::flush;
}

void CountLine::Update(std::size_t done) {
  if (out_ == nullptr || clock_() < next_) return;
  next_ = clock_() + 0.2;
  drawn_ = true;
  *out_ << kClearLine << what_ << ": " << done << " of " << total_ << " "
        << unit_ << std::flush;
}

}  // namespace caffe2_quantization
