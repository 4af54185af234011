// The table of int8 forms: which operators of a float net can be int8, and what
// a pass has to know of each. A new int8 operator is a line of int8_forms.inc.
//
// Thread rule: constants; any thread.
#ifndef CAFFE2_QUANTIZATION_REWRITE_INT8_FORMS_H_
#define CAFFE2_QUANTIZATION_REWRITE_INT8_FORMS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace caffe2_quantization {
namespace rewrite {

// What decides whether the operator is int8.
enum class Region {
  kComputing,    // gains by it: it always is, if it can be
  kElementwise,  // where its input is int8 anyway
  kMoving,       // moves values: as its neighbours
  kConcat,       // as its inputs, if one of them is int8
};

// Whose scale and zero point the output has.
enum class Parameters {
  kOwn,      // of what was measured
  kKept,     // the input's
  kSigmoid,  // 1/254 and 0
  kTanh,     // 1/127 and 128
  kSoftmax,  // 1/256 and 0
};

// What the operator asks of the order of its tensors' axes. Images of NCHW may
// be held as NHWC ("channels last"), which is what int8 operators are fast on.
enum class Layout {
  kWindow,       // has the argument order, NHWC at its best
  kAny,          // the same for each value: any order, if all have the same
  kBroadcast,    // as kAny, where operands of unlike shapes meet
  kAxis,         // has an axis that is counted
  kSlices,       // has starts and ends, one an axis
  kColumns,      // FC: the columns of its weight follow the input's order
  kNatural,      // as the net has it
  kOrderSwitch,  // NCHW2NHWC and back: nothing is left to do
};

struct Int8Form {
  const char* float_type;
  const char* int8_type;
  const char* with_relu;  // "": none
  Region region;
  Parameters parameters;
  Layout layout;
};

const std::vector<Int8Form>& Int8Forms();

// The form of an operator of a float net; null: it has none.
const Int8Form* FindInt8Form(const std::string& float_type);

// Sets scale and zero point of an output whose parameters are fixed; false if
// they are not.
bool FixedParameters(Parameters parameters, float* scale, int32_t* zero_point);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_INT8_FORMS_H_
