// Int8ResizeNearest and Int8ResizeNearest3D under the engine ONEDNN: images of
// other sizes, whose pixels are the nearest ones of the input.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8, with its scale and zero point; or a float
//       tensor: [N, H, W, C], or [N, T, H, W, C] for 3D
//   Y   as X, of other H and W (T, H and W). A float tensor with
//       dequantize_output
//
//   size of Y = floor(size of X * scale)
//   x = min(floor(y / scale), size of X - 1)      the place that y is taken
//   from
//
// both in float, as the host's float operators compute it.
//
// Arguments: height_scale, width_scale, and temporal_scale for 3D (default 1);
// order, which must be NHWC, the default here. The default engine's argument
// output_size, which it rounds down to whole multiples of the input's size, is
// refused. DNNLOWP's operators are not in this host.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/moves/move_operator.h"
#include "operators/registration.h"
#include "quantization/kernels/move_rows.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

// Lines that have fewer bytes are written past the cache several at once, of no
// more pixels than that.
constexpr int64_t kStreamedBytes = 1 << 16;
constexpr int64_t kStreamedPixels = 1 << 13;

// Time, height and width; images without time have the size 1 there.
constexpr int kDims = 3;
const char* const kScaleNames[kDims] = {"temporal_scale", "height_scale",
                                        "width_scale"};

bool Is3D(const std::string& type) {
  return type.find("3D") != std::string::npos;
}

// The size of an output, which may be too large for one.
float OutputSizeOf(int64_t size, float scale) {
  return std::floor(static_cast<float>(size) * scale);
}

class ResizeNearestOp final : public MoveOperator {
 public:
  ResizeNearestOp(const caffe2::OperatorDef& definition,
                  caffe2::Workspace* workspace)
      : MoveOperator(definition, workspace, /*inputs=*/1),
        first_dim_(Is3D(definition.type()) ? 0 : 1) {
    EnforceOk(*this, ReadScales(definition));
  }

 protected:
  void Compute() override {
    const std::vector<int64_t> x = SizesOfX().vec();
    const int rank = kDims + 2 - first_dim_;
    Enforce(static_cast<int>(x.size()) == rank, "tensor '", Name(0),
            "' has sizes ", at::IntArrayRef(x), ", expected ", rank,
            " dimensions: [N, ", first_dim_ == 0 ? "T, " : "", "H, W, C]");
    std::vector<int64_t> y = x;
    input_[0] = output_[0] = 1;
    double values = static_cast<double>(x.front()) * x.back();
    for (int dim = first_dim_; dim < kDims; ++dim) {
      const int place = 1 + dim - first_dim_;
      const float size = OutputSizeOf(x[place], scales_[dim]);
      Enforce(size < 0x1p31f, "tensor '", Name(0), "' has sizes ",
              at::IntArrayRef(x), " and argument ", kScaleNames[dim], " is ",
              scales_[dim], ", expected an output size below 2^31");
      input_[dim] = x[place];
      output_[dim] = y[place] = static_cast<int64_t>(size);
      values *= static_cast<double>(size);
    }
    Enforce(values < 0x1p60, "tensor '", Name(0), "' has sizes ",
            at::IntArrayRef(x), " and would get ", at::IntArrayRef(y),
            ", expected fewer values");
    WriteMoved(y, [&](const void* from, int64_t value_bytes, void* to) {
      // Not before there is room for the output, which may be what is too
      // large, and not for an empty one, whatever its height is.
      for (int dim = first_dim_; dim < kDims; ++dim) ListSources(dim);
      Move(static_cast<const uint8_t*>(from), y.front(), y.back() * value_bytes,
           static_cast<uint8_t*>(to));
    });
  }

 private:
  Status ReadScales(const caffe2::OperatorDef& definition) {
    const caffe2::ArgumentHelper arguments(definition);
    std::string order = "NHWC";
    RETURN_IF_ERROR(ReadArgument(arguments, "order", "a string", &order));
    if (order != "NHWC" && order != "nhwc") {
      return Refuse("argument order is '", order, "', expected NHWC");
    }
    if (arguments.HasArgument("output_size")) {
      return Refuse(
          "it has no argument output_size, expected height_scale and "
          "width_scale");
    }
    for (int dim = first_dim_; dim < kDims; ++dim) {
      const char* const name = kScaleNames[dim];
      RETURN_IF_ERROR(ReadArgument(arguments, name, "a float", &scales_[dim]));
      if (!(scales_[dim] > 0) || !std::isfinite(scales_[dim])) {
        return Refuse("argument ", name, " is ", scales_[dim],
                      ", expected a finite number above 0");
      }
    }
    return Status::Ok();
  }

  void ListSources(int dim) {
    auto& sources = sources_[dim];
    sources.resize(output_[dim]);
    for (int64_t i = 0; i < output_[dim]; ++i) {
      const float source = std::floor(static_cast<float>(i) / scales_[dim]);
      const int64_t last = input_[dim] - 1;
      sources[i] = source < static_cast<float>(last)
                       ? static_cast<int64_t>(source)
                       : last;
    }
  }

  // Returns which line of x, of all images, line `line` of y is taken from.
  int64_t SourceLine(int64_t line) const {
    const int64_t h = line % output_[1];
    const int64_t t = line / output_[1] % output_[0];
    const int64_t n = line / output_[1] / output_[0];
    const int64_t source_t = first_dim_ == 0 ? sources_[0][t] : 0;
    return (n * input_[0] + source_t) * input_[1] + sources_[1][h];
  }

  // Moves pixels of so many bytes.
  void Move(const uint8_t* x, int64_t images, int64_t bytes, uint8_t* y) const {
    const int64_t lines = images * output_[0] * output_[1];
    const int64_t line_bytes = output_[2] * bytes;
    const bool streams = kernels::StreamsOutput(lines * line_bytes);
    const int64_t group = streams ? std::min(kStreamedBytes / line_bytes + 1,
                                             kStreamedPixels / output_[2])
                                  : 1;
    const auto move_group = [&](int64_t begin, int64_t end) {
      int64_t sources[kStreamedPixels];
      int64_t count = 0;
      for (int64_t line = begin; line < end; ++line) {
        const int64_t first = SourceLine(line) * input_[2];
        for (const int64_t w : sources_[2]) sources[count++] = first + w;
      }
      kernels::MoveRows(x, bytes, sources, count, streams,
                        y + begin * line_bytes);
    };
    const auto move_line = [&](int64_t line) {
      kernels::MoveRows(x + SourceLine(line) * input_[2] * bytes, bytes,
                        sources_[2].data(), output_[2], streams,
                        y + line * line_bytes);
    };
    ForEachItem(lines, line_bytes, kLeastMovedBytes,
                [&](int64_t begin, int64_t end) {
                  if (group > 1) {
                    for (int64_t i = begin; i < end; i += group) {
                      move_group(i, std::min(i + group, end));
                    }
                  } else {
                    for (int64_t i = begin; i < end; ++i) move_line(i);
                  }
                });
  }

  const int first_dim_;
  float scales_[kDims] = {1, 1, 1};
  // Of this run.
  int64_t input_[kDims] = {}, output_[kDims] = {};
  std::vector<int64_t> sources_[kDims];
};

// The output's shape for the schema.
std::vector<caffe2::TensorShape> InferShape(
    const caffe2::OperatorDef& definition,
    const std::vector<caffe2::TensorShape>& in) {
  std::vector<caffe2::TensorShape> out{in[0]};
  if (in[0].unknown_shape() || in[0].dims_size() != kDims + 2) return out;
  const caffe2::ArgumentHelper arguments(definition);
  for (int dim = 0; dim < kDims; ++dim) {
    const auto scale =
        arguments.GetSingleArgument<float>(kScaleNames[dim], 1.0f);
    out[0].set_dims(dim + 1, static_cast<int64_t>(
                                 OutputSizeOf(in[0].dims(dim + 1), scale)));
  }
  return out;
}

}  // namespace

void RegisterOnednnResizeNearest(const char* name,
                                 const EngineSuffixes& suffixes) {
  RegisterEngine<ResizeNearestOp>(name, suffixes);
  if (!Is3D(name)) return;
  // The host has neither the operator nor a schema of it.
  RegisterNoGradient("Int8ResizeNearest3D");
  CAFFE2_QUANTIZATION_SCHEMA("Int8ResizeNearest3D")
      .NumInputs(1)
      .NumOutputs(1)
      .SetDoc("Resizes [N, T, H, W, C] to the nearest values; engine ONEDNN.")
      .Arg("temporal_scale", "output size by input size (default 1)")
      .Arg("height_scale", "output size by input size (default 1)")
      .Arg("width_scale", "output size by input size (default 1)")
      .Arg("order", "NHWC, the default")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Input(0, "X", "Int8TensorCPU [N, T, H, W, C], or float tensor")
      .Output(0, "Y", "as X, of other T, H and W")
      .TensorInferenceFunction(InferShape);
}

}  // namespace caffe2_quantization
