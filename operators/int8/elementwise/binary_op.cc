#include "operators/int8/elementwise/binary_op.h"

#include <string>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/elementwise/broadcast.h"

namespace caffe2_quantization {
namespace {

// Sets *axis to where the letter axis_str stands in order.
Status ReadAxisName(const std::string& axis_str, const std::string& order,
                    int64_t* axis) {
  if (axis_str.empty()) return Status::Ok();
  if (*axis != -1) {
    return Refuse("arguments axis, ", *axis, ", and axis_str, '", axis_str,
                  "', are both given, expected one of them");
  }
  const auto found = order.find(axis_str);
  if (axis_str.size() != 1 || found == std::string::npos) {
    return Refuse("argument axis_str is '", axis_str,
                  "', expected one letter of the order, '", order, "'");
  }
  *axis = static_cast<int64_t>(found);
  return Status::Ok();
}

}  // namespace

Status BinaryOp::ReadArguments() {
  if (InputSize() != 2 || OutputSize() != 1) {
    return Refuse("it has ", InputSize(), " inputs and ", OutputSize(),
                  " outputs, expected 2 and 1");
  }
  const caffe2::ArgumentHelper arguments(debug_def());
  std::string axis_str, order = "NCHW";
  RETURN_IF_ERROR(
      FirstError({ReadBoolArgument(debug_def(), "broadcast", &broadcasts_),
                  ReadIntArgument(debug_def(), "axis", &axis_),
                  ReadArgument(arguments, "axis_str", "a string", &axis_str),
                  ReadArgument(arguments, "order", "a string", &order)}));
  if (!broadcasts_ && (axis_ != -1 || !axis_str.empty())) {
    return Refuse("argument ", axis_str.empty() ? "axis" : "axis_str",
                  " is given without broadcast = 1, expected both or none");
  }
  return ReadAxisName(axis_str, order, &axis_);
}

void BinaryOp::Compute() {
  const at::IntArrayRef a_sizes = SizesOf(0), b_sizes = SizesOf(1);
  Broadcast broadcast;
  EnforceOk(*this,
            broadcasts_ ? Broadcast::OfAxis(a_sizes, b_sizes, axis_, &broadcast)
                        : Broadcast::OfEnds(a_sizes, b_sizes, &broadcast),
            "A is tensor '", Name(0), "', B is '", Name(1), "': ");
  WriteOutput(
      broadcast.sizes(),
      [&](const QuantizationParams& y) {
        Prepare(scales()[0], scales()[1], y.scales[0], CodeRangeOf(y));
      },
      [&] {
        return [this, tiles = BroadcastTiles<uint8_t>(broadcast, codes()[0],
                                                      codes()[1])](
                   int64_t first, int64_t count, uint8_t* y) mutable {
          tiles.ForEach(
              first, count,
              [&](const uint8_t* a, const uint8_t* b, int64_t i, int64_t n) {
                ComputeCodes(a, b, n, y + i - first);
              });
        };
      });
}

}  // namespace caffe2_quantization
