// FC of codes: the host's engine DNNLOWP, the host's floats, and ours. Weights
// are floats that the operators pack when they run first; output parameters are
// given. And what an operator does in every run to see weights that change.
#include "benchmarks/support/int8_operator.h"
#include "operators/int8/products/weight_watch.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Shape {
  int64_t m, n, k;

  std::string Name() const {
    return "M " + std::to_string(m) + " N " + std::to_string(n) + " K " +
           std::to_string(k);
  }
};

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (const int64_t m : {1, 16, 64, 256}) {
    for (const int64_t size : {256, 512, 1024, 2048, 4096}) {
      shapes.push_back({m, size, size});
    }
    for (const auto& each : {std::pair<int64_t, int64_t>{256, 4096},
                             {4096, 256},
                             {512, 2048},
                             {2048, 512},
                             {1024, 4096},
                             {4096, 1024},
                             // The last layer of ResNet-50.
                             {1000, 2048}}) {
      shapes.push_back({m, each.first, each.second});
    }
  }
  return shapes;
}

std::unique_ptr<BenchmarkRun> Make(const Shape& shape, const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  const bool floats = *engine == '\0';
  if (floats) {
    FeedRandom(workspace.get(), "x", {shape.m, shape.k});
  } else {
    FeedRandomCodes(workspace.get(), "x", {shape.m, shape.k}, 0.01f, 120);
  }
  FeedRandom(workspace.get(), "w", {shape.n, shape.k}, 0.1f);
  FeedRandom(workspace.get(), "b", {shape.n});
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, "FC", {"x", "w", "b"}, {"y"});
  if (!floats) builder.Float("Y_scale", 0.05f).Int("Y_zero_point", 128);
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

// WeightWatch by itself, on the weights and the bias of such an operator.
std::unique_ptr<BenchmarkRun> MakeWatch(const Shape& shape) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  FeedRandom(workspace.get(), "w", {shape.n, shape.k}, 0.1f);
  FeedRandom(workspace.get(), "b", {shape.n});
  const caffe2::Blob* const w = workspace->GetBlob("w");
  const caffe2::Blob* const b = workspace->GetBlob("b");
  return MakeRun([workspace, w, b, watch = WeightWatch()]() mutable {
    watch.Update({w, b}, /*always=*/false, [] {});
  });
}

}  // namespace

void AddInt8FCBenchmarks() {
  const Shape shape{1, 1024, 1024};
  const std::string group =
      WithThreads("FC and its watch", 1) + "/" + shape.Name();
  AddThreadedBenchmark(group, "all of FC", 1,
                       [shape] { return Make(shape, "ONEDNN"); });
  AddThreadedBenchmark(group, "watch", 1, [shape] { return MakeWatch(shape); });
  for (const int threads : {1, 2}) {
    for (const Shape& shape : Shapes()) {
      const std::string group = WithThreads("FC", threads) + "/" + shape.Name();
      for (const Variant& variant : Int8Variants()) {
        AddThreadedBenchmark(
            group, variant.name, threads,
            [shape, engine = variant.engine] { return Make(shape, engine); });
      }
    }
  }
}

}  // namespace caffe2_quantization
