#include "quantization/onednn/column_offsets.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace caffe2_quantization {
namespace onednn {

void ColumnOffsets::Set(int64_t n, int64_t k, int32_t x_zero_point,
                        const int64_t* column_sums,
                        const int32_t* weight_zero_points,
                        const int32_t* bias) {
  const int64_t x_reach = std::max(x_zero_point, 255 - x_zero_point);
  int64_t largest = 0;
  exact_.resize(n);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t zero_point = weight_zero_points[i];
    const int64_t own_bias = bias == nullptr ? 0 : bias[i];
    exact_[i] = own_bias - x_zero_point * (column_sums[i] - k * zero_point);
    const int64_t w_reach = std::max(128 + zero_point, 127 - zero_point);
    largest = std::max(largest, k * x_reach * w_reach + std::abs(own_bias));
  }
  narrow_.clear();
  wide_.clear();
  if (largest <= std::numeric_limits<int32_t>::max()) {
    // None is larger than a sum can be.
    narrow_.assign(exact_.begin(), exact_.end());
  } else {
    wide_.assign(exact_.begin(), exact_.end());
  }
}

void ColumnOffsets::Lend(kernels::OutputStage* stage) const {
  stage->column_offsets = fit_in_32_bits() ? narrow_.data() : nullptr;
  stage->wide_offsets = fit_in_32_bits() ? nullptr : wide_.data();
}

}  // namespace onednn
}  // namespace caffe2_quantization
