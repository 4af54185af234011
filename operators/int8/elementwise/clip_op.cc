// Int8Clip under the engine ONEDNN: values no smaller than min and no larger
// than max. With 0 and 6 it is a Relu6.
//
//   X -> Y, which may be the same blob
//
//   X   Int8TensorCPU of uint8, of any shape, or floats
//   Y   Int8TensorCPU of X's sizes, or with dequantize_output floats
//
// Arguments beside those of arguments.h: min, max (as the float operator has
// them: none, if they are not there); min is not above max.
//
// Y has the parameters of X, unless the arguments give others. Of floats
// without given parameters they are those of the range of the host's float
// operator's output.
//
// A code is the rule of kernels/rounded_code.h for X's value between min and
// max, in double: a table of 256 codes. With X's parameters a code within min
// and max stays what it is. Floats are left to the float operator.
#include <algorithm>
#include <limits>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/elementwise/code_table.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/registration.h"
#include "quantization/kernels/byte_table.h"

namespace caffe2_quantization {
namespace {

class ClipOp final : public Int8Operator<uint8_t> {
 public:
  ClipOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace, ComputesCodes("Clip", 1)) {}

 protected:
  Status ReadArguments() override {
    if (InputSize() != 1 || OutputSize() != 1) {
      return Refuse(InputSize(), " inputs and ", OutputSize(),
                    " outputs, expected 1 and 1");
    }
    const caffe2::ArgumentHelper arguments(debug_def());
    RETURN_IF_ERROR(ReadArgument(arguments, "min", "a float", &min_));
    RETURN_IF_ERROR(ReadArgument(arguments, "max", "a float", &max_));
    if (min_ <= max_) return Status::Ok();  // false of NaN
    return Refuse("arguments min and max are ", min_, " and ", max_,
                  ", expected a min that is not above max");
  }

  // Codes have their input's parameters, or given ones.
  bool NeedsReference() const override {
    return arguments().measure_quantization_error;
  }

  void Compute() override {
    if (!IsCodes(0)) return WriteCodesOfReference(FloatInput(this, 0).sizes());
    const InputCodes<uint8_t>& x = Input(0);
    const QuantizationParams& y =
        HasGivenParameters() ? OutputParameters() : x.params;
    MakeTable(x, y);
    WriteCodes(x.sizes, y, [&](uint8_t* codes) {
      WriteTableCodes(x.codes, x.count, codes,
                      [&](int64_t i, int64_t n, uint8_t* out) {
                        kernels::LookUpBytes(x.codes + i, n, table_, out);
                      });
    });
  }

 private:
  void MakeTable(const InputCodes<uint8_t>& x, const QuantizationParams& y) {
    const kernels::CodeRange range = CodeRangeOf(y);
    const TableKey key = TableKeyOf(x.params, y, range);
    if (key == key_) return;
    key_ = key;
    for (int code = 0; code < kTableCodes; ++code) {
      const double value = double{x.scale()} * (code - x.zero_point());
      const double clipped = std::clamp<double>(value, min_, max_);
      table_[code] = static_cast<uint8_t>(
          kernels::RoundedCode(clipped / double{y.scales[0]}, range));
    }
  }

  float min_ = std::numeric_limits<float>::lowest();
  float max_ = std::numeric_limits<float>::max();
  TableKey key_;
  uint8_t table_[kTableCodes];
};

}  // namespace

void RegisterOnednnClip(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<ClipOp>(name, suffixes);
  // The host has neither the operator nor a schema of it.
  RegisterNoGradient("Int8Clip");
  CAFFE2_QUANTIZATION_SCHEMA("Int8Clip")
      .NumInputs(1)
      .NumOutputs(1)
      .AllowInplace({{0, 0}})
      .SetDoc("X, no smaller than min and no larger than max; engine ONEDNN.")
      .Arg("min", "the smallest value; none by default")
      .Arg("max", "the largest value; none by default")
      .Arg("Y_scale", "scale of the output; that of X by default")
      .Arg("Y_zero_point", "zero point of the output")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Input(0, "X", "Int8TensorCPU, or floats")
      .Output(0, "Y", "Int8TensorCPU of X's sizes")
      .IdenticalTypeAndShapeOfInput(0);
}

}  // namespace caffe2_quantization
