#include "tools/live_view.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <sstream>
#include <utility>
#include <vector>

#include "tools/text_table.h"

namespace caffe2_quantization {
namespace {

constexpr double kSecondsBetweenDraws = 0.25;
constexpr int kWidestBar = 40;
constexpr int kNarrowestBar = 8;
constexpr char kShades[] = ".:-=+*#%@";

double SystemClock() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string Count(uint64_t count) {
  return Grouped(static_cast<int64_t>(count));
}

std::string LimitText(const ValueRange& range, double value) {
  if (range.empty()) return "-";
  return Rounded(value, 7);
}

// With histograms' bars of that width; 0: without.
std::string Table(const NetInfo& info, int bar_width) {
  using Align = TextTable::Align;
  std::vector<TextTable::Column> columns = {{"op", Align::kRight},
                                            {"type"},
                                            {"tensor"},
                                            {"runs", Align::kRight},
                                            {"min", Align::kRight},
                                            {"max", Align::kRight},
                                            {"NaN", Align::kRight},
                                            {"inf", Align::kRight}};
  if (bar_width > 0) columns.push_back({"histogram"});
  TextTable table(columns);
  for (const OperatorInfo& op : info.operators) {
    for (const OutputInfo& output : op.outputs) {
      const ValueRange& range = output.total.range;
      std::vector<std::string> row = {PathText(op),
                                      op.op_type,
                                      Printable(output.tensor_name),
                                      Count(output.runs),
                                      LimitText(range, range.min()),
                                      LimitText(range, range.max()),
                                      Count(output.nan_count),
                                      Count(output.infinity_count())};
      if (bar_width > 0) {
        row.push_back("[" + HistogramBar(output.total.histogram, bar_width) +
                      "]");
      }
      table.AddRow(row);
    }
  }
  return table.ToString();
}

// With bars as wide as there is room for.
std::string TableWithin(const NetInfo& info, int columns) {
  const std::string plain = Table(info, 0);
  if (info.options.histogram_bins == 0) return plain;
  // The rule below the titles is as wide as the table.
  const size_t titles = plain.find('\n');
  const auto width =
      static_cast<int>(plain.find('\n', titles + 1) - titles - 1);
  constexpr int kAround = 5;  // blanks, brackets, the terminal's last column
  return Table(
      info, std::clamp(columns - width - kAround, kNarrowestBar, kWidestBar));
}

}  // namespace

int TerminalLines(int file) {
  if (isatty(file) == 0) return 0;
  constexpr int kUsual = 24;
  struct winsize size = {};
  if (ioctl(file, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return kUsual;
  return size.ws_row;
}

std::string HistogramBar(const Histogram& histogram, int width) {
  const auto characters = static_cast<size_t>(std::max(width, 1));
  const std::vector<uint64_t>& counts = histogram.counts();
  std::vector<double> sums(characters, 0);
  for (size_t i = 0; i < counts.size(); ++i) {
    sums[i * characters / counts.size()] += static_cast<double>(counts[i]);
  }
  const double fullest = *std::max_element(sums.begin(), sums.end());
  std::string bar(characters, ' ');
  constexpr double kLast = sizeof(kShades) - 2;
  for (size_t i = 0; i < characters; ++i) {
    if (sums[i] == 0) continue;
    bar[i] = kShades[static_cast<size_t>(kLast * std::log1p(sums[i]) /
                                         std::log1p(fullest))];
  }
  return bar;
}

LiveView::LiveView(std::ostream* out, int columns, int lines, Clock clock)
    : out_(out),
      columns_(columns),
      lines_(lines),
      clock_(clock ? std::move(clock) : Clock(SystemClock)) {}

void LiveView::Update(const std::string& label, int64_t done, int64_t total,
                      const std::function<NetInfo()>& info) {
  const double now = clock_();
  const bool is_new = !drawn_ || label != label_;
  if (!is_new && done < total && now - last_draw_ < kSecondsBetweenDraws) {
    return;
  }
  // What another label has seen stays above.
  if (is_new) height_ = 0;
  drawn_ = true;
  label_ = label;
  last_draw_ = now;
  Draw(Printable(label) + "  " + Grouped(done) + '/' + Grouped(total) +
       " images\n" + TableWithin(info(), columns_));
}

void LiveView::Draw(const std::string& text) {
  std::string drawn;
  // Back to the first line of what stands there, and clear it.
  if (height_ > 0) drawn += "\x1b[" + std::to_string(height_) + "A";
  drawn += "\r\x1b[J";
  std::istringstream lines(text);
  std::string line;
  height_ = 0;
  // The last line stays free for the cursor, the last column because writing
  // there wraps on some terminals.
  const int room = std::max(lines_ - 1, 1);
  const auto width = static_cast<size_t>(std::max(columns_ - 1, 1));
  std::vector<std::string> all;
  while (std::getline(lines, line)) all.push_back(line.substr(0, width));
  const size_t shown = std::min(all.size(), static_cast<size_t>(room));
  for (size_t i = 0; i < shown; ++i) {
    const bool more = i + 1 == shown && shown < all.size();
    drawn += (more ? (std::to_string(all.size() - i) + " more").substr(0, width)
                   : all[i]) +
             "\n";
    ++height_;
  }
  *out_ << drawn << std::flush;
}

}  // namespace caffe2_quantization
