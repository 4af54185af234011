// What became of an operator of the float net, and why.
#ifndef CAFFE2_QUANTIZATION_REWRITE_DECISION_H_
#define CAFFE2_QUANTIZATION_REWRITE_DECISION_H_

#include <string>

#include "base/status.h"

namespace caffe2_quantization {
namespace rewrite {

enum class Reason {
  kInt8,           // it is int8
  kFolded,         // its work is done by another operator
  kUnused,         // nothing needs its outputs
  kConstant,       // a fill: a weight or a shape
  kKeptFloat,      // asked for by keep_float
  kNotSelected,    // not asked for by only
  kRecipe,         // the recipe says so
  kNoInt8Form,     // there is no int8 operator of its kind
  kNotRegistered,  // the engine lacks the int8 operator
  kControlFlow,    // it runs nets of its own, or its blobs are used by such
  kNotMeasured,    // the profile has no values of an input or output
  kNotFinite,      // NaN or infinities were seen
  kNotFloat,       // it does not compute with floats
  kNotConstant,    // a weight is not known before the net runs
  kUnknownShape,   // a shape that decides is not known
  kUnsupported,    // an argument or a shape that the int8 operator lacks
  kDevice,         // it is placed on another device than the CPU
  kIsland,         // no operator near it gains by int8
  kLastSoftmax,    // a Softmax whose floats the user reads
};

// "int8", "folded", … "last_softmax": the codes in reports and recipes.
std::string Name(Reason reason);
// The reverse; an error has the nearest code.
Status ReasonFromName(const std::string& name, Reason* reason);
// A sentence for the user, without a full stop.
std::string Explanation(Reason reason);
// Whether an operator is float though nobody asked for it: not one that is
// int8, that nothing is left of, that makes a constant, or that the options or
// a recipe keep float.
bool IsLeftFloat(Reason reason);

struct Decision {
  Reason reason = Reason::kNoInt8Form;
  std::string detail;  // what exactly: an argument, a tensor; may be empty
  std::string made;    // the type of the operator that does its work, if int8
};

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_DECISION_H_
