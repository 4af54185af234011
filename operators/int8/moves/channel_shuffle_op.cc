// ChannelShuffle and Int8ChannelShuffle under the engine ONEDNN.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8, or uint16 (engines ending in _16), of two or
//       more dimensions: [N, C, …], or [N, …, C] with the order NHWC; or a
//       float tensor
//   Y   Int8TensorCPU of X's shape, scale and zero point, or a float tensor
//   with
//       dequantize_output: channel k * group + g is X's channel
//       g * (C / group) + k. Not X
//
// Arguments beside those of arguments.h's form of the output: group (1), of
// which C is a multiple; order (NCHW). kernel, which the host's default engine
// demands, is not read.
//
// Floats become codes of their smallest and largest value, rounded as
// kernels/rounded_code.h says; with dequantize_output they stay what they are.
// As in DNNLOWP, Y_scale and the other arguments
// of parameters are not read. DNNLOWP refuses floats, and with
// dequantize_output leaves a tensor without values.
#include <algorithm>
#include <vector>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "quantization/kernels/move_rows.h"
#include "quantization/kernels/shuffle_groups.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kLeastPart = int64_t{1} << 16;

template <typename T>
class ChannelShuffleOp final : public Int8Operator<T> {
 public:
  ChannelShuffleOp(const caffe2::OperatorDef& definition,
                   caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace,
                        KeepsParameters("ChannelShuffle")) {}

 protected:
  Status ReadArguments() override {
    RETURN_IF_ERROR(ReadIntArgument(this->debug_def(), "group", &groups_));
    if (groups_ < 1) {
      return Refuse("argument group is ", groups_, ", expected 1 or more");
    }
    return ReadOrderArgument(this->debug_def(), &channels_first_);
  }

  void Compute() override {
    const bool is_codes = this->IsCodes(0);
    const at::IntArrayRef sizes =
        is_codes ? this->Input(0).sizes : FloatInput(this, 0).sizes();
    this->Enforce(sizes.size() >= 2, "tensor '", this->Name(0), "' has sizes ",
                  sizes, ", expected two dimensions or more");
    const int64_t channels = channels_first_ ? sizes[1] : sizes.back();
    this->Enforce(channels % groups_ == 0, "tensor '", this->Name(0),
                  "' has sizes ", sizes, ", ", channels,
                  " channels, expected a multiple of group ", groups_);
    const int64_t count = c10::multiply_integers(sizes);
    if (!is_codes && this->arguments().dequantize_output) {
      float* const y = this->OutputFloats(sizes);
      const auto* const x = FloatInput(this, 0).template data<float>();
      if (count > 0) Shuffle(x, sizes, y);
      return;
    }
    const T* const x = is_codes ? this->Input(0).codes : CodesOfFloats();
    this->WriteCodes(sizes, is_codes ? this->Input(0).params : params_,
                     [&](T* y) {
                       if (count > 0) Shuffle(x, sizes, y);
                     });
  }

 private:
  // Quantizes input 0, floats, by their range; sets params_.
  const T* CodesOfFloats() {
    const caffe2::Tensor& x = FloatInput(this, 0);
    const ChooseOptions& options = this->arguments().activations;
    params_.type = options.type;
    ChooseInputParameters(this, 0, x, options, "expected finite values",
                          &params_);
    codes_.resize(x.numel());
    kernels::RoundReals(x.template data<float>(), x.numel(), params_.scales[0],
                        this->CodeRangeOf(params_), codes_.data());
    return codes_.data();
  }

  // E: T or float.
  template <typename E>
  void Shuffle(const E* x, at::IntArrayRef sizes, E* y) {
    const int64_t count = c10::multiply_integers(sizes);
    const int64_t channels = channels_first_ ? sizes[1] : sizes.back();
    const int64_t plane =
        channels_first_ ? c10::multiply_integers(sizes.slice(2)) : 1;
    const int64_t per_group = channels / groups_;
    const bool streams = kernels::StreamsOutput(count * sizeof(E));
    if (plane > 1) return MovePlanes(x, count, channels, plane, streams, y);
    const auto shuffle = [=, groups = groups_](int64_t i, int64_t n, E* dst) {
      kernels::ShuffleGroups(x, count, groups, per_group, i, i + n, dst);
    };
    if constexpr (sizeof(E) <= sizeof(uint16_t)) {
      WriteParts(
          count, kLeastPart, streams, [&] { return shuffle; }, y);
    } else {
      ForEachPart(count, kLeastPart, [&](int64_t begin, int64_t end) {
        shuffle(begin, end - begin, y + begin);
      });
    }
  }

  // A channel of an image is a row of values.
  template <typename E>
  void MovePlanes(const E* x, int64_t count, int64_t channels, int64_t plane,
                  bool streams, E* y) {
    const int64_t planes = count / plane;
    const int64_t per_group = channels / groups_;
    rows_.resize(planes);
    for (int64_t i = 0; i < planes; ++i) {
      const int64_t c = i % channels;
      rows_[i] = i - c + c % groups_ * per_group + c / groups_;
    }
    ForEachPart(planes, std::max<int64_t>(1, kLeastPart / plane),
                [&](int64_t begin, int64_t end) {
                  kernels::MoveRows(x, plane * sizeof(E), rows_.data() + begin,
                                    end - begin, streams, y + begin * plane);
                });
  }

  int64_t groups_ = 1;
  bool channels_first_ = true;
  std::vector<int64_t> rows_;
  std::vector<T> codes_;
  QuantizationParams params_{{8 * sizeof(T), false}, 1, 0};
};

}  // namespace

void RegisterOnednnChannelShuffle(const char* name,
                                  const EngineSuffixes& suffixes) {
  RegisterEngine<ChannelShuffleOp>(name, suffixes);
}

}  // namespace caffe2_quantization
