// Convolutions of codes, batch 1: the host's engine DNNLOWP and ours in NHWC,
// which is what DNNLOWP is fast in, and the host's floats in NCHW, which is
// what those are fast in. Output parameters are given.
#include "benchmarks/support/convolution_layers.h"
#include "benchmarks/support/int8_operator.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

std::unique_ptr<BenchmarkRun> Make(const ConvolutionLayer& layer,
                                   const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  const bool floats = *engine == '\0';
  const int64_t k = layer.kernel, c = layer.in_channels / layer.groups;
  if (floats) {
    FeedRandom(workspace.get(), "x",
               {1, layer.in_channels, layer.size, layer.size});
    FeedRandom(workspace.get(), "w", {layer.out_channels, c, k, k}, 0.1f);
  } else {
    FeedRandomCodes(workspace.get(), "x",
                    {1, layer.size, layer.size, layer.in_channels}, 0.01f, 120);
    FeedRandom(workspace.get(), "w", {layer.out_channels, k, k, c}, 0.1f);
  }
  FeedRandom(workspace.get(), "b", {layer.out_channels});
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, "Conv", {"x", "w", "b"}, {"y"});
  builder.Int("kernel", k)
      .Int("stride", layer.stride)
      .Int("pad", k / 2)
      .Int("group", layer.groups)
      .String("order", floats ? "NCHW" : "NHWC");
  if (!floats) builder.Float("Y_scale", 0.05f).Int("Y_zero_point", 128);
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

void AddOf(const std::string& net, const std::vector<ConvolutionLayer>& layers,
           int threads) {
  for (const ConvolutionLayer& layer : layers) {
    const std::string group =
        WithThreads("Conv", threads) + "/" + net + " " + layer.Name();
    for (const Variant& variant : Int8Variants()) {
      AddThreadedBenchmark(
          group, variant.name, threads,
          [layer, engine = variant.engine] { return Make(layer, engine); });
    }
  }
}

// Transposed ones, which DNNLOWP lacks: the host's int8 one is of the default
// engine. Weights are codes for both.
struct TransposedLayer {
  const char* name;
  int64_t size, in_channels, out_channels, kernel, stride, pad;
};

std::unique_ptr<BenchmarkRun> MakeTransposed(const TransposedLayer& layer,
                                             const char* type,
                                             const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  const bool floats = type == std::string("ConvTranspose");
  const int64_t k = layer.kernel, c = layer.in_channels, m = layer.out_channels;
  caffe2::Workspace* const w = workspace.get();
  if (floats) {
    FeedRandom(w, "x", {1, c, layer.size, layer.size});
    FeedRandom(w, "w", {c, m, k, k}, 0.1f);
    FeedRandom(w, "b", {m});
  } else {
    FeedRandomCodes(w, "x", {1, layer.size, layer.size, c}, 0.01f, 120);
    FeedRandomCodes(w, "w", {c, k, k, m}, 0.001f, 128);
    FeedCodes(w, "b", std::vector<int32_t>(m, 3), {m}, 0.01f * 0.001f, 0);
  }
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, type, {"x", "w", "b"}, {"y"});
  builder.Int("kernel", k)
      .Int("stride", layer.stride)
      .Int("pad", layer.pad)
      .String("order", floats ? "NCHW" : "NHWC");
  if (!floats) builder.Float("Y_scale", 0.02f).Int("Y_zero_point", 128);
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

void AddTransposed() {
  static const TransposedLayer kLayers[] = {
      {"U-Net 2x2 256 -> 128, 28x28", 28, 256, 128, 2, 2, 0},
      {"U-Net 2x2 128 -> 64, 56x56", 56, 128, 64, 2, 2, 0},
      {"DCGAN 4x4 512 -> 256, 8x8", 8, 512, 256, 4, 2, 1},
      {"DCGAN 4x4 64 -> 3, 32x32", 32, 64, 3, 4, 2, 1},
      {"FCN 16x16 21 -> 21, stride 8, 28x28", 28, 21, 21, 16, 8, 4},
      {"3x3 128 -> 128, stride 1, 14x14", 14, 128, 128, 3, 1, 1}};
  struct {
    const char *variant, *type, *engine;
  } const kVariants[] = {{"host, default", "Int8ConvTranspose", ""},
                         {"host's floats", "ConvTranspose", ""},
                         {"ours", "Int8ConvTranspose", "ONEDNN"}};
  for (const TransposedLayer& layer : kLayers) {
    for (const auto& [variant, type, engine] : kVariants) {
      AddThreadedBenchmark(WithThreads("ConvTranspose", 1) + "/" + layer.name,
                           variant, 1, [&layer, type = type, engine = engine] {
                             return MakeTransposed(layer, type, engine);
                           });
    }
  }
}

}  // namespace

void AddInt8ConvBenchmarks() {
  AddTransposed();
  for (const int threads : {1, 2}) {
    AddOf("ResNet-50", ResNet50Convolutions(), threads);
    AddOf("MobileNet-v2", MobileNetV2Convolutions(), threads);
  }
}

}  // namespace caffe2_quantization
