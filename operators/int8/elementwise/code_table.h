// What operators have in common whose codes are looked up in tables of 256: how
// long a table serves, and how its codes are written.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_CODE_TABLE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_CODE_TABLE_H_

#include <cstdint>

#include "operators/int8/engine/parts.h"
#include "quantization/kernels/rounded_code.h"
#include "quantization/kernels/stream_blocks.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

inline constexpr int kTableCodes = 256;

// Of which parameters a table was made. The default is those of none, since
// scales are positive.
struct TableKey {
  float x_scale = 0, y_scale = 0;
  int32_t x_zero_point = 0, y_zero_point = 0;
  int32_t qmin = 0, qmax = 0;  // of the output

  friend bool operator==(const TableKey& a, const TableKey& b) {
    return a.x_scale == b.x_scale && a.y_scale == b.y_scale &&
           a.x_zero_point == b.x_zero_point &&
           a.y_zero_point == b.y_zero_point && a.qmin == b.qmin &&
           a.qmax == b.qmax;
  }
};

inline TableKey TableKeyOf(const QuantizationParams& x,
                           const QuantizationParams& y,
                           const kernels::CodeRange& range) {
  return {x.scales[0],      y.scales[0], x.zero_points[0],
          range.zero_point, range.qmin,  range.qmax};
}

// Writes `count` codes to y, which may be x, on several threads if there are
// many: compute(i, n, out) makes n codes from i on.
template <class Compute>
void WriteTableCodes(const uint8_t* x, int64_t count, uint8_t* y,
                     const Compute& compute) {
  constexpr int64_t kLeast = 1 << 17;
  const bool streams = x != y && kernels::StreamsOutput(count);
  WriteParts(
      count, kLeast, streams, [&] { return compute; }, y);
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_CODE_TABLE_H_
