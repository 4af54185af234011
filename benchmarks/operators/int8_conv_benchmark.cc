// Convolutions of codes, batch 1: the host's engine DNNLOWP and ours in NHWC,
// which is what DNNLOWP is fast in, and the host's floats in NCHW, which is
// what those are fast in. Output parameters are given.
#include "benchmarks/support/convolution_layers.h"
#include "benchmarks/support/int8_operator.h"
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

}  // namespace

void AddInt8ConvBenchmarks() {
  for (const int threads : {1, 2}) {
    AddOf("ResNet-50", ResNet50Convolutions(), threads);
    AddOf("MobileNet-v2", MobileNetV2Convolutions(), threads);
  }
}

}  // namespace caffe2_quantization
