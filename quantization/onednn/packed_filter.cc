#include "quantization/onednn/packed_filter.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

// Taps of a depthwise window whose sum fits into 32 bits: x is up to 255, w
// less its zero point too.
constexpr int64_t kMostDepthwiseTaps =
    std::numeric_limits<int32_t>::max() / (255 * 255);
// Outputs of a product of joined groups: fewer would leave vectors empty.
constexpr int64_t kJoinedOutputs = 16;
// oneDNN takes four values of K at once; others it would copy first.
constexpr int64_t kKMultiple = 4;

}  // namespace

Status PackedFilter::Pack(const int8_t* codes, const ConvolutionShape& shape,
                          const std::vector<int32_t>& zero_points,
                          std::shared_ptr<const PackedFilter>* packed) {
  RETURN_IF_ERROR(shape.ValidateFilter());
  const int64_t outputs = shape.out_channels;
  const int64_t sets = static_cast<int64_t>(zero_points.size());
  if (sets != 1 && sets != shape.groups && sets != outputs) {
    return Status::InvalidArgument(
        "convolution: the filter has " + std::to_string(sets) +
        " zero points, expected 1, " + std::to_string(shape.groups) +
        " (groups) or " + std::to_string(outputs) + " (out_channels)");
  }
  for (const int32_t zero_point : zero_points) {
    RETURN_IF_ERROR(CheckConvolutionRange("a zero point of the filter",
                                          zero_point,
                                          std::numeric_limits<int8_t>::min(),
                                          std::numeric_limits<int8_t>::max()));
  }

  std::shared_ptr<PackedFilter> result(new PackedFilter);
  result->shape_ = shape;
  const int64_t taps = shape.Taps();
  const int64_t channels = shape.in_channels / shape.groups;
  const int64_t k = taps * channels;
  result->k_ = k;
  std::vector<int32_t> zero_point_of(outputs);
  result->column_sums_.resize(outputs);
  for (int64_t n = 0; n < outputs; ++n) {
    zero_point_of[n] = zero_points[n * sets / outputs];
    int64_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += codes[n * k + i];
    result->column_sums_[n] = sum;
  }

  const int64_t own_outputs = outputs / shape.groups;
  if (channels == 1 && shape.groups > 1 && own_outputs <= kMostRepeats &&
      taps <= kMostDepthwiseTaps) {
    const int64_t columns = shape.kernel[shape.dims - 1];
    result->depthwise_ =
        std::make_unique<const kernels::DepthwiseFilter>(kernels::PackDepthwise(
            codes, zero_point_of.data(), outputs, taps / columns, columns));
    *packed = std::move(result);
    return Status::Ok();
  }
  int64_t joined = std::min(shape.groups,
                            std::max<int64_t>(kJoinedOutputs / own_outputs, 1));
  while (shape.groups % joined != 0) --joined;
  const int64_t n_of_block = joined * own_outputs;
  const int64_t width = joined * channels;
  const int64_t k_of_block =
      taps == 1 && joined == shape.groups
          ? width
          : (taps * width + kKMultiple - 1) / kKMultiple * kKMultiple;
  const auto add = [&](const int8_t* matrix_codes) -> Status {
    std::shared_ptr<const PackedMatrix> matrix;
    RETURN_IF_ERROR(PackedMatrix::Pack(matrix_codes, k_of_block, n_of_block,
                                       PackedMatrix::Order::kRowsOfN, &matrix));
    result->matrices_.push_back(std::move(matrix));
    return Status::Ok();
  };
  // The codes may be in the block's order as they are: no second copy of them
  // is made then.
  const bool is_block = shape.groups == 1 && k_of_block == k &&
                        (!shape.channels_first || taps == 1 || channels == 1);
  std::vector<int8_t> block(is_block ? 0 : n_of_block * k_of_block);
  if (is_block) RETURN_IF_ERROR(add(codes));
  for (int64_t first = 0; first < outputs && !is_block; first += n_of_block) {
    for (int64_t i = 0; i < n_of_block; ++i) {
      const int64_t n = first + i;
      int8_t* const row = block.data() + i * k_of_block;
      // Other groups' channels count as zero; what fills K up is 0 itself.
      std::fill_n(row, taps * width, static_cast<int8_t>(zero_point_of[n]));
      std::fill_n(row + taps * width, k_of_block - taps * width, int8_t{0});
      int8_t* const own = row + i / own_outputs * channels;
      for (int64_t t = 0; t < taps; ++t) {
        for (int64_t c = 0; c < channels; ++c) {
          own[t * width + c] =
              codes[n * k +
                    (shape.channels_first ? c * taps + t : t * channels + c)];
        }
      }
    }
    RETURN_IF_ERROR(add(block.data()));
  }
  if (std::any_of(zero_points.begin(), zero_points.end(),
                  [](int32_t zero_point) { return zero_point != 0; })) {
    result->zero_points_ = std::move(zero_point_of);
  }
  *packed = std::move(result);
  return Status::Ok();
}

std::size_t PackedFilter::bytes() const {
  std::size_t bytes = 0;
  if (depthwise_ != nullptr) {
    bytes += depthwise_->quads.size() +
             depthwise_->pairs.size() * sizeof(depthwise_->pairs[0]);
  }
  for (const auto& matrix : matrices_) bytes += matrix->bytes();
  return bytes;
}

}  // namespace onednn
}  // namespace caffe2_quantization
