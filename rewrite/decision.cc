#include "rewrite/decision.h"

#include <vector>

#include "base/nearest_name.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

struct Row {
  Reason reason;
  const char* name;
  const char* explanation;
};

constexpr Row kRows[] = {
    {Reason::kInt8, "int8", "it is int8"},
    {Reason::kFolded, "folded", "another operator does its work"},
    {Reason::kUnused, "unused", "nothing needs its outputs"},
    {Reason::kConstant, "constant", "it makes a constant"},
    {Reason::kKeptFloat, "kept_float", "it was asked to stay float"},
    {Reason::kNotSelected, "not_selected",
     "it is not among the operators that were asked for"},
    {Reason::kRecipe, "recipe", "the recipe keeps it float"},
    {Reason::kNoInt8Form, "no_int8_form", "there is no int8 form of it"},
    {Reason::kNotRegistered, "not_registered",
     "the engine has no such int8 operator"},
    {Reason::kControlFlow, "control_flow",
     "a net within an operator runs it or reads its blobs"},
    {Reason::kNotMeasured, "not_measured",
     "the profile has no values of a tensor"},
    {Reason::kNotFinite, "not_finite",
     "NaN or infinite values were seen in a tensor"},
    {Reason::kNotFloat, "not_float", "a tensor is no float tensor"},
    {Reason::kNotConstant, "not_constant",
     "a weight is not known before the net runs"},
    {Reason::kUnknownShape, "unknown_shape", "a shape is not known"},
    {Reason::kUnsupported, "unsupported",
     "the int8 operator lacks what it is asked for"},
    {Reason::kDevice, "device", "it runs on another device than the CPU"},
    {Reason::kIsland, "island", "no operator beside it gains by int8"},
    {Reason::kLastSoftmax, "last_softmax",
     "its output is read as floats, which int8 would cut to 256 steps"},
};

const Row& RowOf(Reason reason) {
  for (const Row& row : kRows) {
    if (row.reason == reason) return row;
  }
  return kRows[0];
}

}  // namespace

std::string Name(Reason reason) { return RowOf(reason).name; }

Status ReasonFromName(const std::string& name, Reason* reason) {
  std::vector<std::string> known;
  for (const Row& row : kRows) {
    if (name == row.name) {
      *reason = row.reason;
      return Status::Ok();
    }
    known.push_back(row.name);
  }
  return Status::InvalidArgument("reason is '" + name.substr(0, 64) +
                                 "', which is unknown" +
                                 NameHint(name.substr(0, 64), known));
}

std::string Explanation(Reason reason) { return RowOf(reason).explanation; }

bool IsLeftFloat(Reason reason) {
  switch (reason) {
    case Reason::kInt8:
    case Reason::kFolded:
    case Reason::kUnused:
    case Reason::kConstant:
    case Reason::kKeptFloat:
    case Reason::kNotSelected:
    case Reason::kRecipe:
      return false;
    default:
      return true;
  }
}

}  // namespace rewrite
}  // namespace caffe2_quantization
