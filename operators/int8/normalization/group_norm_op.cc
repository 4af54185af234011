// GroupNorm and Int8GroupNorm under the engine ONEDNN: channels of an image are
// normalized in groups, by the group's own mean and variance.
//
//   X, gamma, beta -> Y (, mu, rsig)
//
//   X          Int8TensorCPU of uint8, or floats: [N, C, ...], with the order
//              NHWC [N, ..., C]; of two dimensions or more, N may be 0
//   gamma      C floats, or an Int8TensorCPU of uint8
//   beta       C floats, or an Int8TensorCPU of int32, of any scale. Both count
//              anew in every run
//   Y          Int8TensorCPU of X's sizes, or with dequantize_output floats
//   mu, rsig   [N, group] floats: means, and 1 / sqrt(variance + epsilon)
//
//   Y = gamma * (X - mu) * rsig + beta
//
// Arguments: group (32), epsilon (1e-5), order (NCHW), is_test (1; with 0 there
// are three outputs) and those of the output (arguments.h). is_param_constant
// (1) is read, and has no effect. Sums of codes and of their squares are exact
// integers (kernels/code_moments.h), the rest is in double up to the one
// rounding of Y (kernels/scale_channels.h), so that groups and images do not
// depend on each other. Parameters that nobody gave are those of the exact
// values' range. Of an X of floats all is what the host's float operator gives,
// rounded.
//
// What differs from DNNLOWP: there 1/sd of all groups of all images have one
// scale of 8 bits, beside that of a blank image others are 0; means are rounded
// to codes; gamma is read in the first run alone, and has one scale; mu and
// rsig are not set; beta's scale may be off by 1e-4 and counts as X's times
// gamma's.
#include <algorithm>
#include <cmath>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/normalization/channels.h"
#include "quantization/kernels/code_moments.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

constexpr int kX = 0, kGamma = 1, kBeta = 2, kInputs = 3;
constexpr int kMu = 1, kRsig = 2;

class GroupNormOp final : public Int8Operator<uint8_t> {
 public:
  GroupNormOp(const caffe2::OperatorDef& definition,
              caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace,
                     ComputesCodes("GroupNorm", kInputs)) {}

 protected:
  Status ReadArguments() override {
    const caffe2::ArgumentHelper arguments(debug_def());
    bool is_test = true, is_param_constant = true;
    RETURN_IF_ERROR(FirstError(
        {ReadIntArgument(debug_def(), "group", &groups_),
         ReadArgument(arguments, "epsilon", "a float", &epsilon_),
         ReadBoolArgument(debug_def(), "is_test", &is_test),
         ReadBoolArgument(debug_def(), "is_param_constant", &is_param_constant),
         ReadOrderArgument(debug_def(), &channels_first_)}));
    if (InputSize() != kInputs || (OutputSize() != 1 && OutputSize() != 3)) {
      return Refuse(InputSize(), " inputs and ", OutputSize(),
                    " outputs, expected 3, and 1 or 3");
    }
    if (!is_test && OutputSize() == 1) {
      return Refuse(
          "argument is_test is 0 with 1 output, expected 3: mu and "
          "rsig, too");
    }
    if (groups_ < 1) {
      return Refuse("argument group is ", groups_, ", expected 1 or more");
    }
    if (!(epsilon_ >= 0 && std::isfinite(epsilon_))) {
      return Refuse("argument epsilon is ", epsilon_,
                    ", expected a finite number, 0 or more");
    }
    return Status::Ok();
  }

  void Compute() override {
    const at::IntArrayRef sizes = SizesOf(this, kX);
    shape_ = ShapeOf(this, kX, sizes, channels_first_);
    // Every number of groups divides none, and has statistics.
    Enforce(shape_.channels > 0, "tensor '", Name(kX), "' has sizes ", sizes,
            ", expected a channel or more");
    Enforce(shape_.channels % groups_ == 0, "tensor '", Name(kX),
            "' has sizes ", sizes, " with ", shape_.channels,
            " channels, expected a multiple of group, ", groups_);
    ReadGamma();
    ReadBeta();
    const bool is_empty = c10::multiply_integers(sizes) == 0;
    if (!IsCodes(kX)) {
      WriteCodesOfReference(sizes);
      statistics_.clear();
      if (is_empty) SetEmptyStatistics();
      return WriteStatistics();
    }
    const InputCodes<uint8_t>& x = Input(kX);
    if (is_empty) {
      SetEmptyStatistics();
    } else {
      FindStatistics(x);
    }
    RunReference(is_empty);
    const QuantizationParams& y = OutputParameters();
    if (!is_empty) Prepare(x, y);
    WriteCodes(x.sizes, y, [&](uint8_t* codes) {
      if (!is_empty) Scale(x.codes, x.count, codes);
    });
    WriteStatistics();
  }

  // The host's variances are differences of squares in float. Where these are
  // large beside the variance, as of a blank image, its output is far off, or
  // not a number: no range to choose parameters of.
  void FinishReference(caffe2::Tensor* y) override {
    if (!IsCodes(kX)) return;
    const InputCodes<uint8_t>& x = Input(kX);
    auto* const values = y->mutable_data<float>();
    const int64_t group_size = shape_.channels / groups_;
    const int64_t image = shape_.channels * shape_.pixels;
    for (int64_t i = 0; i < x.count; ++i) {
      const int64_t c = i / shape_.inner() % shape_.channels;
      const Statistics& group =
          statistics_[i / image * groups_ + c / group_size];
      const double off = x.codes[i] - x.zero_point() - group.mean;
      values[i] = static_cast<float>(gamma_[c] * group.rsig * x.scale() * off +
                                     beta_[c]);
    }
  }

 private:
  struct Statistics {
    double mean = 0;  // in steps of X's codes, from their zero point
    double mu = 0, rsig = 0;
  };

  void EnforceChannels(int index, at::IntArrayRef sizes) const {
    Enforce(c10::multiply_integers(sizes) == shape_.channels, "tensor '",
            Name(index), "' has sizes ", sizes,
            ", expected a value for each of ", shape_.channels, " channels");
  }

  void ReadGamma() {
    if (IsCodes(kGamma)) {
      const InputCodes<uint8_t>& gamma = Input(kGamma);
      EnforceChannels(kGamma, gamma.sizes);
      gamma_.resize(shape_.channels);
      std::transform(gamma.codes, gamma.codes + gamma.count, gamma_.begin(),
                     [&](int code) {
                       return double{gamma.scale()} *
                              (code - gamma.zero_point());
                     });
      return;
    }
    const float* const gamma = ChannelValues(this, kGamma, shape_.channels);
    gamma_.assign(gamma, gamma + shape_.channels);
    EnforceFinite(kGamma, gamma_);
  }

  void ReadBeta() {
    if (IsCodes(kBeta)) {
      const Int8TensorCPU& beta = Int8Input(kBeta);
      Enforce(beta.t.IsType<int32_t>(), "tensor '", Name(kBeta),
              "' is an Int8TensorCPU of ", beta.t.dtype().name(),
              ", expected int32, or floats");
      Enforce(beta.scale > 0 && std::isfinite(beta.scale), "tensor '",
              Name(kBeta), "' has the scale ", beta.scale,
              ", expected a finite one above 0");
      EnforceChannels(kBeta, beta.t.sizes());
      const auto* const codes = beta.t.data<int32_t>();
      beta_.resize(shape_.channels);
      std::transform(codes, codes + shape_.channels, beta_.begin(),
                     [&](double code) {
                       return double{beta.scale} * (code - beta.zero_point);
                     });
      return;
    }
    const float* const beta = ChannelValues(this, kBeta, shape_.channels);
    beta_.assign(beta, beta + shape_.channels);
    EnforceFinite(kBeta, beta_);
  }

  void EnforceFinite(int index, const std::vector<double>& values) const {
    for (std::size_t c = 0; c < values.size(); ++c) {
      Enforce(std::isfinite(values[c]), "tensor '", Name(index), "' has ",
              values[c], " for channel ", c, ", expected a finite number");
    }
  }

  // What the host's float operator gives for no values, if there are images.
  void SetEmptyStatistics() {
    const double rsig = 1 / std::sqrt(double{epsilon_});
    statistics_.assign(shape_.images * groups_, {0, 0, rsig});
  }

  // Sets moments_ to the sums of each group of each image.
  void AddUp(const uint8_t* codes) {
    const int64_t channels = shape_.channels, pixels = shape_.pixels;
    const int64_t group_size = channels / groups_;
    const int64_t image = channels * pixels;
    const int64_t all_groups = shape_.images * groups_;
    moments_.assign(all_groups, {});
    if (channels_first_) {
      const int64_t run = group_size * pixels;
      return ForEachItem(
          all_groups, run, kLeastScaled, [&](int64_t begin, int64_t end) {
            for (int64_t g = begin; g < end; ++g) {
              moments_[g] = kernels::RunMoments(codes + g * run, run);
            }
          });
    }
    // Columns of one cache line each.
    constexpr int64_t kColumns = 64;
    const int64_t blocks = (channels + kColumns - 1) / kColumns;
    columns_.resize(shape_.images * channels);
    ForEachItem(shape_.images * blocks, kColumns * pixels, kLeastScaled,
                [&](int64_t begin, int64_t end) {
                  for (int64_t b = begin; b < end; ++b) {
                    const int64_t n = b / blocks, c = b % blocks * kColumns;
                    kernels::ColumnMoments(codes + n * image + c, pixels,
                                           std::min(kColumns, channels - c),
                                           channels,
                                           columns_.data() + n * channels + c);
                  }
                });
    const kernels::CodeMoments* column = columns_.data();
    for (kernels::CodeMoments& group : moments_) {
      for (int64_t k = 0; k < group_size; ++k, ++column) {
        group.sum += column->sum;
        group.squares += column->squares;
      }
    }
  }

  void FindStatistics(const InputCodes<uint8_t>& x) {
    AddUp(x.codes);
    const int64_t count = x.count / static_cast<int64_t>(moments_.size());
    const double scale = x.scale();
    statistics_.resize(moments_.size());
    for (std::size_t i = 0; i < moments_.size(); ++i) {
      const auto& [sum, squares] = moments_[i];
      // About the code next to the mean the sum is so small beside that of the
      // squares that their difference keeps its bits.
      const int64_t middle = (2 * sum + count) / (2 * count);
      const auto rest = static_cast<double>(sum - middle * count);
      const auto about_middle = static_cast<double>(squares - 2 * middle * sum +
                                                    middle * middle * count);
      const double variance =
          scale * scale * ((about_middle - rest * rest / count) / count);
      Statistics& group = statistics_[i];
      group.mean = static_cast<double>(middle - x.zero_point()) + rest / count;
      group.mu = scale * group.mean;
      group.rsig = 1 / std::sqrt(variance + double{epsilon_});
      Enforce(std::isfinite(group.rsig), "group ",
              static_cast<int64_t>(i) % groups_, " of image ",
              static_cast<int64_t>(i) / groups_, " of tensor '", Name(kX),
              "' has the variance ", variance, " and epsilon is ", epsilon_,
              ", expected a sum above 0");
    }
  }

  void Prepare(const InputCodes<uint8_t>& x, const QuantizationParams& y) {
    const int64_t channels = shape_.channels;
    const int64_t group_size = channels / groups_;
    scalings_.resize(shape_.images);
    constexpr int64_t kLeastChannels = 4096;
    ForEachItem(shape_.images, channels, kLeastChannels,
                [&](int64_t begin, int64_t end) {
                  for (int64_t n = begin; n < end; ++n) {
                    kernels::ChannelScaling& s = scalings_[n];
                    s.channels = channels;
                    s.inner = shape_.inner();
                    s.zero_point = x.zero_point();
                    s.scale = y.scales[0];
                    s.range = CodeRangeOf(y);
                    s.alpha.resize(channels);
                    s.beta.resize(channels);
                    for (int64_t g = 0, c = 0; g < groups_; ++g) {
                      const Statistics& group = statistics_[n * groups_ + g];
                      const double per_code = group.rsig * x.scale();
                      for (const int64_t end = c + group_size; c < end; ++c) {
                        s.alpha[c] = gamma_[c] * per_code;
                        s.beta[c] = beta_[c] - s.alpha[c] * group.mean;
                      }
                    }
                    PrepareChannels(&s);
                  }
                });
  }

  // Codes `first` to first + count, of one image after the other.
  void ScalePart(const uint8_t* codes, int64_t first, int64_t count,
                 uint8_t* y) const {
    const int64_t image = shape_.channels * shape_.pixels;
    for (const int64_t end = first + count; first < end;) {
      const int64_t n = first / image;
      const int64_t size = std::min(end, (n + 1) * image) - first;
      kernels::ScaleChannels(scalings_[n], codes + first, first - n * image,
                             size, y);
      first += size;
      y += size;
    }
  }

  void Scale(const uint8_t* codes, int64_t count, uint8_t* y) const {
    const auto scale = [this, codes](int64_t i, int64_t n, uint8_t* out) {
      ScalePart(codes, i, n, out);
    };
    WriteParts(
        count, kLeastScaled, kernels::StreamsOutput(count),
        [&] { return scale; }, y);
  }

  // Writes mu and rsig: statistics_, or if it is empty, the float operator's.
  void WriteStatistics() {
    if (OutputSize() == 1) return;
    const std::vector<int64_t> sizes = {shape_.images, groups_};
    for (const int output : {kMu, kRsig}) {
      auto* const values = Output(output, sizes, at::dtype<float>())
                               ->template mutable_data<float>();
      if (statistics_.empty()) {
        const caffe2::Tensor* const y = ReferenceOutput(output);
        if (y != nullptr) std::copy_n(y->data<float>(), y->numel(), values);
        continue;
      }
      std::transform(
          statistics_.begin(), statistics_.end(), values,
          [&](const Statistics& group) {
            return static_cast<float>(output == kMu ? group.mu : group.rsig);
          });
    }
  }

  int64_t groups_ = 32;
  float epsilon_ = 1e-5f;
  bool channels_first_ = true;

  // Of this run.
  ChannelShape shape_;
  std::vector<double> gamma_, beta_;
  std::vector<kernels::CodeMoments> columns_, moments_;
  std::vector<Statistics> statistics_;             // [images * groups]
  std::vector<kernels::ChannelScaling> scalings_;  // [images]
};

}  // namespace

void RegisterOnednnGroupNorm(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<GroupNormOp>(name, suffixes);
}

}  // namespace caffe2_quantization
