// Implements kMse of choose.h: chooses the scale and zero point that leave the
// least squared error, among those that the options allow. least_squares.h has
// the equations.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_LEAST_SQUARES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_LEAST_SQUARES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "quantization/choose.h"
#include "quantization/percentile.h"

namespace caffe2_quantization {

// Chooses for an array of finite values, whose extremes are given. The options
// must be valid.
Status ChooseLeastSquaresOfArray(const float* values, std::size_t count,
                                 ValueRange extremes,
                                 const ChooseOptions& options, Choice* choice);

// Chooses for values spread evenly within bins: bin i lies between edges[i] and
// edges[i + 1], which ascend. The options must be valid.
Status ChooseLeastSquaresOfBins(const std::vector<double>& edges,
                                const std::vector<uint64_t>& counts,
                                const ChooseOptions& options, Choice* choice);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_LEAST_SQUARES_H_
