// Convolutions of codes in the forms that known nets have fewer of: groups,
// channels first, one and three dimensions, dilation. Beside the host's Conv of
// engine DNNLOWP with the same operands; ours without an operator around it.
// Those of ResNet-50 and MobileNet-v2 are in
// benchmarks/operators/int8_conv_benchmark.cc.
#include <functional>
#include <memory>
#include <numeric>

#include "benchmarks/registry.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/onednn/convolution.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using Shape = onednn::ConvolutionShape;

std::vector<int64_t> Sizes(const Shape& shape, int64_t first, int64_t channels,
                           const std::array<int64_t, 3>& spatial) {
  std::vector<int64_t> sizes = {first};
  if (shape.channels_first) sizes.push_back(channels);
  sizes.insert(sizes.end(), spatial.begin(), spatial.begin() + shape.dims);
  if (!shape.channels_first) sizes.push_back(channels);
  return sizes;
}

std::size_t Count(const std::vector<int64_t>& sizes) {
  return static_cast<std::size_t>(std::accumulate(
      sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<int64_t>()));
}

std::vector<int64_t> Used(const Shape& shape,
                          const std::array<int64_t, 3>& sizes) {
  return {sizes.begin(), sizes.begin() + shape.dims};
}

std::vector<int64_t> FilterSizes(const Shape& shape) {
  return Sizes(shape, shape.out_channels, shape.in_channels / shape.groups,
               shape.kernel);
}

// One operator: activations come quantized, as from the operator before.
std::unique_ptr<BenchmarkRun> MakeHostRun(const Shape& shape) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  auto* x =
      workspace->CreateBlob("x")->GetMutable<caffe2::int8::Int8TensorCPU>();
  x->scale = 1;
  x->zero_point = 5;
  x->t.Resize(Sizes(shape, shape.batch, shape.in_channels, shape.input));
  std::fill_n(x->t.mutable_data<uint8_t>(), x->t.numel(), uint8_t{3});
  FeedFloats(workspace.get(), "b", std::vector<float>(shape.out_channels));
  std::vector<float> w(Count(FilterSizes(shape)));
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] = static_cast<float>(i % 251) - 100;
  }
  FeedFloats(workspace.get(), "w", w, FilterSizes(shape));
  std::vector<int64_t> pads = Used(shape, shape.pad_begin);
  const std::vector<int64_t> pads_end = Used(shape, shape.pad_end);
  pads.insert(pads.end(), pads_end.begin(), pads_end.end());
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Conv", {"x", "w", "b"}, {"y"})
      .String("order", shape.channels_first ? "NCHW" : "NHWC")
      .Ints("kernels", Used(shape, shape.kernel))
      .Ints("strides", Used(shape, shape.stride))
      .Ints("dilations", Used(shape, shape.dilation))
      .Ints("pads", pads)
      .Int("group", shape.groups)
      .Float("Y_scale", 1000)
      .Int("Y_zero_point", 100);
  definition.set_engine("DNNLOWP");
  const std::shared_ptr<caffe2::OperatorBase> op =
      caffe2::CreateOperator(definition, workspace.get());
  return MakeRun([workspace, op] { op->Run(); });
}

std::unique_ptr<BenchmarkRun> MakeOurRun(const Shape& shape) {
  std::vector<int8_t> w(Count(FilterSizes(shape)));
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] = static_cast<int8_t>(i % 251 - 100);
  }
  std::shared_ptr<const onednn::PackedFilter> filter;
  const Status status =
      onednn::PackedFilter::Pack(w.data(), shape, {-28}, &filter);
  CAFFE_ENFORCE(status.ok(), status.message());
  struct State {
    std::vector<uint8_t> x, y;
    std::vector<int32_t> offsets;
    std::vector<float> multipliers;
  };
  const auto state = std::make_shared<State>();
  state->x.assign(
      Count(Sizes(shape, shape.batch, shape.in_channels, shape.input)), 3);
  int64_t pixels = 1;
  for (int i = 0; i < shape.dims; ++i) pixels *= shape.Output(i);
  state->y.resize(shape.batch * pixels * shape.out_channels);
  state->offsets.assign(shape.out_channels, 7);
  state->multipliers.assign(shape.out_channels, 0.001f);
  kernels::OutputStage stage;
  stage.columns = shape.out_channels;
  stage.column_offsets = state->offsets.data();
  stage.multipliers = state->multipliers.data();
  stage.zero_point = 100;
  return MakeRun([=] {
    const Status status = onednn::Convolve(*filter, shape, state->x.data(), 5,
                                           stage, state->y.data());
    CAFFE_ENFORCE(status.ok(), status.message());
  });
}

Shape Square(int64_t channels, int64_t size, int64_t groups) {
  Shape shape;
  shape.in_channels = shape.out_channels = channels;
  shape.groups = groups;
  shape.input = {size, size, 1};
  shape.kernel = {3, 3, 1};
  shape.pad_begin = shape.pad_end = {1, 1, 0};
  return shape;
}

}  // namespace

void AddConvolutionBenchmarks() {
  const auto add = [](const std::string& name, const Shape& shape) {
    AddBenchmark("Convolution/" + name, "host", 0,
                 [shape] { return MakeHostRun(shape); });
    AddBenchmark("Convolution/" + name, "ours", 0,
                 [shape] { return MakeOurRun(shape); });
  };
  add("3x3 128, 56x56, groups of 4", Square(128, 56, 32));
  add("3x3 256, 28x28, groups of 8", Square(256, 28, 32));
  add("3x3 512, 14x14, groups of 16", Square(512, 14, 32));
  add("3x3 1024, 7x7, groups of 32", Square(1024, 7, 32));
  add("5x5 depthwise 240, 28x28", [] {
    Shape shape = Square(240, 28, 240);
    shape.kernel = {5, 5, 1};
    shape.pad_begin = shape.pad_end = {2, 2, 0};
    return shape;
  }());
  add("3x3 depthwise 96 to 192, 28x28", [] {
    Shape shape = Square(96, 28, 96);
    shape.out_channels = 192;
    return shape;
  }());
  add("3x3 128, 28x28, channels first", [] {
    Shape shape = Square(128, 28, 1);
    shape.channels_first = true;
    return shape;
  }());
  add("1x1 256, 28x28, channels first", [] {
    Shape shape = Square(256, 28, 1);
    shape.kernel = {1, 1, 1};
    shape.pad_begin = shape.pad_end = {0, 0, 0};
    shape.channels_first = true;
    return shape;
  }());
  add("3x3 depthwise 192, 28x28, channels first", [] {
    Shape shape = Square(192, 28, 192);
    shape.channels_first = true;
    return shape;
  }());
  add("3x3 128, 28x28, dilation 2", [] {
    Shape shape = Square(128, 28, 1);
    shape.dilation = {2, 2, 1};
    shape.pad_begin = shape.pad_end = {2, 2, 0};
    return shape;
  }());
  add("3 256, 1000 long", [] {
    Shape shape = Square(256, 1000, 1);
    shape.dims = 1;
    return shape;
  }());
  const auto cube = [](int64_t groups) {
    Shape shape = Square(64, 28, groups);
    shape.dims = 3;
    shape.input = {8, 28, 28};
    shape.kernel = {3, 3, 3};
    shape.pad_begin = shape.pad_end = {1, 1, 1};
    return shape;
  };
  add("3x3x3 64, 8x28x28", cube(1));
  add("3x3x3 depthwise 64, 8x28x28", cube(64));
}

}  // namespace caffe2_quantization
