#include "tools/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "tools/text_table.h"

namespace caffe2_quantization {
namespace {

constexpr double kSecondsBetweenDraws = 0.1;
constexpr int kMaxBarWidth = 40;

double SystemClock() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// 75 seconds as "1:15", an hour more as "1:01:15".
std::string Duration(double seconds) {
  const auto whole = static_cast<long long>(std::min(seconds + 0.5, 1e9));
  char text[48];
  if (whole >= 3600) {
    std::snprintf(text, sizeof(text), "%lld:%02lld:%02lld", whole / 3600,
                  whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof(text), "%lld:%02lld", whole / 60, whole % 60);
  }
  return text;
}

std::string PaddedLeft(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

}  // namespace

int TerminalColumns(int file) {
  if (isatty(file) == 0) return 0;
  constexpr int kUsual = 80;
  struct winsize size = {};
  if (ioctl(file, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

ProgressBar::ProgressBar(std::ostream* out, int columns, std::string unit,
                         size_t label_width, Clock clock)
    : out_(out),
      columns_(columns),
      unit_(std::move(unit)),
      label_width_(label_width),
      clock_(clock ? std::move(clock) : Clock(SystemClock)) {}

ProgressBar::~ProgressBar() { Finish(); }

void ProgressBar::Update(const std::string& label, int64_t done,
                         int64_t total) {
  if (columns_ <= 0) return;
  const double now = clock_();
  const bool first = !begun_ || label != label_;
  if (first) {
    Finish();
    begun_ = true;
    label_ = label;
    start_ = now;
    done_at_start_ = done;
  }
  done_ = done;
  total_ = total;
  if (first || done >= total || now - last_draw_ >= kSecondsBetweenDraws) {
    Draw(now);
  }
}

void ProgressBar::Finish() {
  if (!begun_) return;
  Draw(clock_());
  *out_ << '\n' << std::flush;
  begun_ = false;
}

void ProgressBar::Draw(double now) {
  last_draw_ = now;
  const double share =
      total_ > 0
          ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_),
                       0.0, 1.0)
          : 1.0;
  const double elapsed = now - start_;
  const double rate =
      elapsed > 0 ? static_cast<double>(done_ - done_at_start_) / elapsed : 0;

  char percent[8];
  std::snprintf(percent, sizeof(percent), "%3d %%",
                static_cast<int>(share * 100));
  const std::string total = Grouped(total_);
  std::string tail = std::string("  ") + percent + "  " +
                     PaddedLeft(Grouped(done_), total.size()) + '/' + total +
                     ' ' + unit_;
  std::string timing;
  if (rate > 0) {
    timing = PaddedLeft("  " + Grouped(static_cast<int64_t>(rate)) + "/s", 12);
    timing += done_ < total_
                  ? "  " +
                        Duration(static_cast<double>(total_ - done_) / rate) +
                        " left"
                  : "  " + Duration(elapsed);
  }
  // The bar must not change its width while the numbers grow.
  timing.resize(std::max<size_t>(timing.size(), 24), ' ');
  tail += timing;
  std::string line = label_;
  if (line.size() < label_width_) line.resize(label_width_, ' ');

  // The last column stays free: writing there wraps on some terminals.
  const int room = columns_ - 1 - static_cast<int>(line.size() + tail.size());
  const int width = std::min(room - 3, kMaxBarWidth);
  if (width >= 5) {
    const auto full = static_cast<size_t>(share * width);
    line += " [" + std::string(full, '#') +
            std::string(static_cast<size_t>(width) - full, '-') + "]";
  }
  line += tail;
  line.resize(std::min(line.size(), static_cast<size_t>(columns_ - 1)));
  line.erase(line.find_last_not_of(' ') + 1);
  // Back to the line's start, and clear what stood there.
  *out_ << "\r\x1b[K" << line << std::flush;
}

}  // namespace caffe2_quantization
