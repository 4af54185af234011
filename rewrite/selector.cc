#include "rewrite/selector.h"

#include <algorithm>
#include <regex>
#include <set>

#include "base/nearest_name.h"

namespace caffe2_quantization {
namespace rewrite {

Status SelectOperators(const caffe2::NetDef& net, const std::string& option,
                       const std::vector<std::string>& selectors,
                       std::vector<bool>* selected) {
  std::vector<bool> result(static_cast<std::size_t>(net.op_size()), false);
  for (const std::string& selector : selectors) {
    const auto names = [&](int i) {
      const caffe2::OperatorDef& op = net.op(i);
      std::vector<std::string> of = {op.type()};
      if (!op.name().empty()) of.push_back(op.name());
      if (op.output_size() > 0) of.push_back(op.output(0));
      return of;
    };
    bool is_used = false;
    const auto select = [&](const auto& matches) {
      for (int i = 0; i < net.op_size(); ++i) {
        const std::vector<std::string> of = names(i);
        if (std::any_of(of.begin(), of.end(), matches)) {
          result[static_cast<std::size_t>(i)] = is_used = true;
        }
      }
    };
    // A name is itself first, since it may hold what a regular expression
    // reads otherwise.
    select([&](const std::string& name) { return name == selector; });
    if (is_used) continue;
    // A long expression can exhaust the stack of std::regex.
    constexpr std::size_t kMostLetters = 1000;
    std::string fault;
    if (selector.size() > kMostLetters) {
      fault = "is longer than 1000 letters";
    } else {
      try {
        const std::regex pattern(selector);
        select([&](const std::string& name) {
          return name.size() <= kMostLetters && std::regex_match(name, pattern);
        });
      } catch (const std::regex_error&) {
        fault = "is no regular expression";
      }
    }
    if (is_used) continue;
    std::set<std::string> known;
    for (int i = 0; i < net.op_size(); ++i) {
      const std::vector<std::string> of = names(i);
      known.insert(of.begin(), of.end());
    }
    return Status::InvalidArgument(
        option + ": '" + selector.substr(0, 100) + "' " +
        (fault.empty() ? "" : fault + " and ") +
        "matches no operator of net '" + net.name() +
        "', expected a name, a first output, a type, or a regular "
        "expression of these" +
        DidYouMean(selector.substr(0, 100), {known.begin(), known.end()}));
  }
  *selected = std::move(result);
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
