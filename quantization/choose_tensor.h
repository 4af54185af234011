// Chooses the QuantizationParams of a tensor whose values are at hand, weights
// or one batch of activations: per tensor, per channel, per block, or per block
// within a channel.
//
// Each parameter set is chosen by itself, by ChooseFromArray. To clip weights
// is to choose their parameters by another method than kMinMax;
// ClipToRepresented clips floats as their codes will.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_TENSOR_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_TENSOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Which values share a parameter set; as in QuantizationParams.
struct SetsOptions {
  Granularity granularity = Granularity::kTensor;
  int axis = 0;            // kChannel, kChannelBlock
  int64_t block_size = 0;  // kBlock, kChannelBlock
};

struct TensorChoice {
  // type is options.Codes(): in a reduced range one bit less than options.type,
  // so that saturated values stay in that range. Symmetric if the options asked
  // for it (preserve_sparsity) and every zero point is one that
  // QuantizationParams allows then. min and max are those of the values; not
  // set if there are none.
  QuantizationParams params;
  std::vector<Choice> sets;  // one per parameter set
  // The sets' warnings, each after the set's name ("channel 3: …").
  std::vector<std::string> warnings;
};

// values holds as many values as shape says, all finite; an empty tensor's sets
// are chosen for the range [0, 0]. kMinMax per channel takes one pass over
// memory, whichever axis has the channels; other methods copy the tensor if the
// channels are not on its first axis. Errors, which leave *choice unchanged:
// those of ChooseFromArray, and those of QuantizationParams::ValidateFor for
// sets and shape.
Status ChooseForTensor(const float* values, const std::vector<int64_t>& shape,
                       const SetsOptions& sets, const ChooseOptions& options,
                       TensorChoice* choice);

// dst[i] = src[i], clipped to what its set's codes represent,
// [scale * (qmin - zero_point), scale * (qmax - zero_point)] rounded to float.
// dst is quantized to the same codes as src; NaN stays NaN. dst may be src.
// Errors: params that do not fit the shape.
Status ClipToRepresented(const float* src, const std::vector<int64_t>& shape,
                         const QuantizationParams& params, float* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_TENSOR_H_
