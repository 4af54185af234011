// The tensors that a net's fills hold: weights, and the shapes and axes that
// some operators take as inputs.
//
// Only fills whose values are the same in every run are constants:
// GivenTensorFill, GivenTensorIntFill, GivenTensorInt64Fill, and ConstantFill
// without inputs.
//
// Thread rule: values; copy them between threads freely.
#ifndef CAFFE2_QUANTIZATION_REWRITE_CONSTANTS_H_
#define CAFFE2_QUANTIZATION_REWRITE_CONSTANTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {
namespace rewrite {

// A tensor of floats, or of int64 or int32.
struct Constant {
  enum class Type { kFloat, kInt32, kInt64 };

  Type type = Type::kFloat;
  std::vector<int64_t> shape;
  // The values of a kFloat; in `owned`, or in a NetDef that outlives this.
  const float* floats = nullptr;
  std::vector<int64_t> integers;  // the values of the other types
  std::shared_ptr<const std::vector<float>> owned;

  int64_t count() const;

  // A constant of floats that owns them; there are as many as `shape` says.
  static Constant OfFloats(std::vector<int64_t> shape,
                           std::vector<float> values);
};

// Whether a type of operator is a fill that ReadConstant reads.
bool IsConstantFill(const caffe2::OperatorDef& op);

// As many values ConstantFills may have together: more take memory that their
// file lacks, and are no weights.
constexpr int64_t kMostFilled = int64_t{1} << 25;

// Reads a fill. The constant refers to the floats within `op`. Errors name the
// blob: a shape whose product leaves 2^40 values, another number of values than
// the shape has. A fill that is none of the above sets nothing, nor does a
// ConstantFill beyond *budget, from which its values are taken.
Status ReadConstant(const caffe2::OperatorDef& op,
                    std::optional<Constant>* constant,
                    int64_t* budget = nullptr);

// Returns the fill that makes a constant.
caffe2::OperatorDef FillOf(const Constant& constant, const std::string& blob);

// Returns the tensor with its axes in another order: axis i of the result is
// axis order[i] of `constant`, which holds floats.
Constant Transposed(const Constant& constant, const std::vector<int>& order);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_CONSTANTS_H_
