#include "netdef/host_error.h"

#include <cstring>
#include <new>

#include "c10/util/Exception.h"

namespace caffe2_quantization {
namespace {

std::string FirstLine(const std::string& text) {
  const auto begin = text.find_first_not_of(" \n");
  if (begin == std::string::npos) return "";
  const auto line = text.substr(begin, text.find('\n', begin) - begin);
  return line.substr(0, line.find_last_not_of(' ') + 1);
}

// Drops the place of an enforce and its condition, where the message says
// enough without: "[enforce fail at x.cc:1] a == b. 1 vs 2. Sizes" keeps the
// condition.
void DropEnforce(std::string* reason) {
  constexpr char kEnforce[] = "[enforce fail at ";
  if (reason->compare(0, std::strlen(kEnforce), kEnforce) != 0) return;
  const auto place_end = reason->find("] ");
  if (place_end == std::string::npos) return;
  reason->erase(0, place_end + 2);
  const auto condition_end = reason->find(". ");
  if (condition_end == std::string::npos) return;
  const std::string message = reason->substr(condition_end + 2);
  const auto word_end = message.find(' ');
  if (word_end == std::string::npos ||
      message.compare(word_end, 4, " vs ") == 0) {
    return;
  }
  *reason = message;
}

// Cuts off advice for those who build the host, and definitions of operators.
void DropDetails(std::string* reason) {
  for (const char* begin :
       {" Verify that implementation", " Operator def:", ", operator input:"}) {
    const auto found = reason->find(begin);
    if (found != std::string::npos) reason->erase(found);
  }
}

// The name of the operator's first output, out of the definition that the host
// appends to the error.
std::string FirstOutput(const std::string& text) {
  const auto definition = text.find("Error from operator:");
  if (definition == std::string::npos) return "";
  constexpr char kField[] = "output: \"";
  const auto field = text.find(kField, definition);
  if (field == std::string::npos) return "";
  const auto begin = field + std::strlen(kField);
  const auto end = text.find('"', begin);
  return end == std::string::npos ? "" : text.substr(begin, end - begin);
}

}  // namespace

std::string ReasonOf(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return "not enough memory";
  }
  const auto* host_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = host_error != nullptr
                               ? host_error->what_without_backtrace()
                               : error.what();
  std::string reason = FirstLine(text);
  DropEnforce(&reason);
  DropDetails(&reason);
  if (reason.empty()) reason = "unknown error";
  const std::string output = FirstOutput(text);
  if (!output.empty()) reason += " (operator making " + output + ")";
  return reason;
}

}  // namespace caffe2_quantization
