#include "base/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace caffe2_quantization {
namespace {

constexpr std::size_t kListedNames = 20;
// Longer names are not compared.
constexpr std::size_t kLongestName = 256;

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Single-letter changes and swaps of neighbours, of which none is changed again
// (the restricted Damerau-Levenshtein distance).
std::size_t Distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, changed});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::string DidYouMean(const std::string& name,
                       const std::vector<std::string>& known) {
  if (name.size() > kLongestName) return "";
  const std::string* nearest = nullptr;
  std::size_t smallest = 0;
  for (const std::string& each : known) {
    if (each.size() > kLongestName) continue;
    const std::size_t distance = Distance(Lower(name), Lower(each));
    const std::size_t limit = std::max<std::size_t>(each.size() / 3, 1);
    if (distance > limit || distance >= each.size()) continue;
    if (nearest == nullptr || distance < smallest) {
      nearest = &each;
      smallest = distance;
    }
  }
  return nearest == nullptr ? "" : " (did you mean '" + *nearest + "'?)";
}

std::string ListOf(const std::vector<std::string>& known) {
  if (known.empty()) return "; there are none";
  std::string text = "; there are: ";
  const std::size_t listed = std::min(known.size(), kListedNames);
  for (std::size_t i = 0; i < listed; ++i) {
    text += (i > 0 ? ", " : "") + known[i];
  }
  if (listed < known.size()) {
    text += " and " + std::to_string(known.size() - listed) + " more";
  }
  return text;
}

std::string NameHint(const std::string& name,
                     const std::vector<std::string>& known) {
  return DidYouMean(name, known) + ListOf(known);
}

}  // namespace caffe2_quantization
