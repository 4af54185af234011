#include "profiles/operator_path.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

// The C locale's, whatever the process's is.
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

Status ParsePathIndex(const std::string& text, int* index) {
  int64_t value = 0;
  bool good = !text.empty() && text.size() <= 10 &&
              std::all_of(text.begin(), text.end(), IsDigit) &&
              (text.size() == 1 || text[0] != '0');
  for (std::size_t i = 0; good && i < text.size(); ++i) {
    value = value * 10 + (text[i] - '0');
  }
  good = good && value <= std::numeric_limits<int>::max();
  if (!good) {
    return Status::Corruption("'" + text.substr(0, 40) +
                              "' is no index, expected 0 to 2147483647 without "
                              "leading zeros");
  }
  *index = static_cast<int>(value);
  return Status::Ok();
}

}  // namespace

std::string PathText(int op_index, const std::vector<InnerStep>& inner) {
  std::string text = std::to_string(op_index);
  for (const InnerStep& step : inner) {
    text += '/' + step.argument + '/' + std::to_string(step.op_index);
  }
  return text;
}

int StepIndexOf(const std::vector<InnerStep>& inner) {
  const bool is_step =
      inner.size() == 1 && (inner[0].argument == "step_net" ||
                            inner[0].argument == "backward_step_net");
  return is_step ? inner[0].op_index : -1;
}

bool IsPathArgument(const std::string& argument) {
  return !argument.empty() &&
         std::all_of(argument.begin(), argument.end(), [](char c) {
           return IsDigit(c) || (c >= 'a' && c <= 'z') ||
                  (c >= 'A' && c <= 'Z') || c == '_';
         });
}

Status ParsePath(const std::string& text, int* op_index,
                 std::vector<InnerStep>* inner) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find('/', begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) break;
    if (parts.size() > 2 * kMaxInnerSteps) {
      return Status::Corruption("more than " + std::to_string(kMaxInnerSteps) +
                                " nets within each other");
    }
    begin = end + 1;
  }
  int index = 0;
  RETURN_IF_ERROR(ParsePathIndex(parts[0], &index));
  std::vector<InnerStep> steps;
  for (std::size_t i = 1; i < parts.size(); i += 2) {
    if (!IsPathArgument(parts[i]) || i + 1 == parts.size()) {
      return Status::Corruption(
          "'" + parts[i].substr(0, 40) +
          "' is no argument with an index, expected letters, digits and '_', "
          "then the index");
    }
    InnerStep step;
    step.argument = parts[i];
    RETURN_IF_ERROR(ParsePathIndex(parts[i + 1], &step.op_index));
    steps.push_back(std::move(step));
  }
  *op_index = index;
  *inner = std::move(steps);
  return Status::Ok();
}

}  // namespace caffe2_quantization
