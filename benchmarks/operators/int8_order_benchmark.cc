// What moves the channels of images, on one thread: Quantize and Dequantize
// that do it in the same pass, beside the host's float operator for the order
// with its int8 one; and the moves of codes alone, beside the host's floats of
// the same count.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/support/int8_operator.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;

std::string SizesName(const Sizes& sizes) {
  std::string name;
  for (const int64_t size : sizes) {
    name += (name.empty() ? "" : "x") + std::to_string(size);
  }
  return name;
}

caffe2::OperatorDef Define(const std::string& type, const std::string& x,
                           const std::string& y, const std::string& engine) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {x}, {y});
  definition.set_engine(engine);
  return definition;
}

// Runs several operators, one after the other.
std::unique_ptr<BenchmarkRun> MakeRuns(
    const std::vector<caffe2::OperatorDef>& definitions,
    std::shared_ptr<caffe2::Workspace> workspace) {
  auto operators =
      std::make_shared<std::vector<std::unique_ptr<caffe2::OperatorBase>>>();
  for (const caffe2::OperatorDef& definition : definitions) {
    operators->push_back(CreateWithEngine(definition, workspace.get()));
    operators->back()->Run();
  }
  return MakeRun([operators, workspace] {
    for (const auto& each : *operators) each->Run();
  });
}

void AddParameters(caffe2::OperatorDef* definition) {
  OpBuilder(definition).Float("Y_scale", 0.01f).Int("Y_zero_point", 120);
}

void Add(const std::string& family, const Sizes& sizes,
         const std::string& variant,
         const std::function<std::unique_ptr<BenchmarkRun>()>& make) {
  AddThreadedBenchmark(WithThreads(family, 1) + "/" + SizesName(sizes), variant,
                       1, make);
}

void AddQuantize(const Sizes& sizes) {
  const auto state = [sizes] {
    auto workspace = std::make_shared<caffe2::Workspace>();
    FeedRandom(workspace.get(), "x", sizes);
    return workspace;
  };
  // The default engine's Quantize, and DNNLOWP's.
  for (const std::string engine : {"", "DNNLOWP"}) {
    Add("Quantize from NCHW", sizes,
        engine.empty() ? "host, default" : "host, DNNLOWP", [state, engine] {
          auto quantize = Define("Int8Quantize", "moved", "y", engine);
          AddParameters(&quantize);
          return MakeRuns({Define("NCHW2NHWC", "x", "moved", ""), quantize},
                          state());
        });
  }
  Add("Quantize from NCHW", sizes, "ours", [state] {
    auto quantize = Define("Int8Quantize", "x", "y", "ONEDNN");
    AddParameters(&quantize);
    OpBuilder(&quantize).String("input_order", "NCHW");
    return MakeRuns({quantize}, state());
  });
}

void AddDequantize(const Sizes& sizes) {
  const auto state = [sizes] {
    auto workspace = std::make_shared<caffe2::Workspace>();
    FeedRandomCodes(workspace.get(), "x", sizes, 0.01f, 120);
    return workspace;
  };
  for (const std::string engine : {"", "DNNLOWP"}) {
    Add("Dequantize to NCHW", sizes,
        engine.empty() ? "host, default" : "host, DNNLOWP", [state, engine] {
          return MakeRuns({Define("Int8Dequantize", "x", "values", engine),
                           Define("NHWC2NCHW", "values", "y", "")},
                          state());
        });
  }
  Add("Dequantize to NCHW", sizes, "ours", [state] {
    auto dequantize = Define("Int8Dequantize", "x", "y", "ONEDNN");
    OpBuilder(&dequantize).String("output_order", "NCHW");
    return MakeRuns({dequantize}, state());
  });
}

// Ours of 8 and 16 bits and of floats, beside the host's floats.
void AddMove(const std::string& type, const Sizes& sizes, const Sizes& axes) {
  const auto add = [&](const char* variant, const std::string& name,
                       const std::string& engine, bool floats) {
    const auto define = [=] {
      auto definition = Define(name, "x", "y", engine);
      if (!axes.empty()) OpBuilder(&definition).Ints("axes", axes);
      return definition;
    };
    Add(type + (axes.empty() ? "" : " to " + SizesName(axes)), sizes, variant,
        [=] {
          auto workspace = std::make_shared<caffe2::Workspace>();
          if (floats) {
            FeedRandom(workspace.get(), "x", sizes);
          } else if (engine == "ONEDNN_16") {
            auto* const x = workspace->CreateBlob("x")
                                ->GetMutable<caffe2::int8::Int8TensorCPU>();
            x->scale = 0.01f;
            x->zero_point = 120;
            x->t.Resize(sizes);
            auto* const codes = x->t.mutable_data<uint16_t>();
            for (int64_t i = 0; i < x->t.numel(); ++i) {
              codes[i] = static_cast<uint16_t>(i * 40503);
            }
          } else {
            FeedRandomCodes(workspace.get(), "x", sizes, 0.01f, 120);
          }
          return MakeRuns({define()}, workspace);
        });
  };
  add("host's floats", type, "", /*floats=*/true);
  add("ours", "Int8" + type, "ONEDNN", /*floats=*/false);
  add("ours, 16 bits", "Int8" + type, "ONEDNN_16", /*floats=*/false);
  if (axes.empty()) add("ours, floats", "Int8" + type, "ONEDNN", true);
}

}  // namespace

void AddInt8OrderBenchmarks() {
  const std::vector<Sizes> images = {
      {1, 3, 224, 224}, {16, 3, 224, 224}, {1, 1, 28, 28},   {1, 12, 112, 112},
      {1, 64, 56, 56},  {1, 256, 56, 56},  {1, 100, 28, 28}, {16, 2048, 7, 7}};
  for (const Sizes& nchw : images) {
    const Sizes nhwc = {nchw[0], nchw[2], nchw[3], nchw[1]};
    AddQuantize(nchw);
    AddDequantize(nhwc);
    AddMove("NCHW2NHWC", nchw, {});
    AddMove("NHWC2NCHW", nhwc, {});
  }
  AddMove("Transpose", {1, 3, 224, 224}, {0, 2, 3, 1});
  AddMove("Transpose", {1, 224, 224, 3}, {0, 3, 1, 2});
  AddMove("Transpose", {1, 64, 56, 56}, {0, 2, 3, 1});
  AddMove("Transpose", {1, 56, 56, 64}, {0, 3, 1, 2});
  AddMove("Transpose", {1024, 1024}, {1, 0});
  AddMove("Transpose", {1000, 10}, {1, 0});
  AddMove("Transpose", {8, 12, 128, 64}, {0, 2, 1, 3});
  AddMove("Transpose", {8, 12, 128, 64}, {0, 1, 3, 2});
  AddMove("Transpose", {16, 32, 8, 40}, {3, 1, 2, 0});
  AddMove("Transpose", {4, 6, 3, 5, 7}, {4, 2, 0, 3, 1});
}

}  // namespace caffe2_quantization
