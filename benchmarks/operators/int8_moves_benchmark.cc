// Operators that move codes, on one thread: the host's engine DNNLOWP, the
// host's floats and ours, on sizes of ResNet-50, ShuffleNet and a recommender.
// What is larger than the caches stands beside a memcpy of the same bytes.
#include <cstring>
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

// Feeds codes, or floats for the variant that computes in them.
void FeedInput(caffe2::Workspace* workspace, const std::string& name,
               const Sizes& sizes, bool floats, float scale = 0.01f) {
  if (floats) return FeedRandom(workspace, name, sizes);
  FeedRandomCodes(workspace, name, sizes, scale, 120);
}

using Define = std::function<caffe2::OperatorDef(caffe2::Workspace*, bool)>;

void Add(const std::string& family, const std::string& name,
         const Define& define) {
  for (const Variant& variant : Int8Variants()) {
    const std::string engine = variant.engine;
    AddThreadedBenchmark(
        WithThreads(family, 1) + "/" + name, variant.name, 1, [define, engine] {
          auto workspace = std::make_shared<caffe2::Workspace>();
          caffe2::OperatorDef definition =
              define(workspace.get(), engine.empty());
          definition.set_engine(engine);
          return MakeOperatorRun(definition, workspace);
        });
  }
}

void AddCopy(const std::string& family, const std::string& name,
             int64_t bytes) {
  AddThreadedBenchmark(WithThreads(family, 1) + "/" + name, "copy", 1, [bytes] {
    auto src = std::make_shared<std::vector<char>>(bytes, 1);
    auto dst = std::make_shared<std::vector<char>>(bytes, 2);
    return MakeRun(
        [src, dst] { std::memcpy(dst->data(), src->data(), src->size()); });
  });
}

void AddConcat(const std::string& name, const std::vector<Sizes>& inputs,
               int axis, bool equal) {
  Add("Concat", name + (equal ? ", equal parameters" : ""),
      [inputs, axis, equal](caffe2::Workspace* workspace, bool floats) {
        caffe2::OperatorDef definition;
        OpBuilder(&definition, "Concat", {}, {"y", "split"})
            .Int("axis", axis)
            .Float("Y_scale", 0.01f)
            .Int("Y_zero_point", 120);
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          definition.add_input("x" + std::to_string(i));
          FeedInput(workspace, definition.input(i), inputs[i], floats,
                    equal ? 0.01f : 0.008f + 0.001f * static_cast<float>(i));
        }
        return definition;
      });
}

void AddShuffle(const Sizes& sizes, int group, const std::string& order) {
  const std::string name =
      SizesName(sizes) + " " + order + ", group " + std::to_string(group);
  Add("ChannelShuffle", name,
      [sizes, group, order](caffe2::Workspace* workspace, bool floats) {
        FeedInput(workspace, "x", sizes, floats);
        caffe2::OperatorDef definition;
        OpBuilder(&definition, "ChannelShuffle", {"x"}, {"y"})
            .Int("group", group)
            .Int("kernel", 1)
            .String("order", order);
        return definition;
      });
}

void AddGather(int64_t rows, int64_t row, int64_t gathered) {
  Add("Gather", std::to_string(gathered) + " of " + SizesName({rows, row}),
      [=](caffe2::Workspace* workspace, bool floats) {
        FeedInput(workspace, "data", {rows, row}, floats);
        std::vector<int> indices(gathered);
        for (int64_t i = 0; i < gathered; ++i) {
          indices[i] = static_cast<int>(i * 7919 * 104729 % rows);
        }
        Feed(workspace, "indices", indices);
        caffe2::OperatorDef definition;
        OpBuilder(&definition, "Gather", {"data", "indices"}, {"y"});
        return definition;
      });
}

}  // namespace

void AddInt8MovesBenchmarks() {
  for (const bool equal : {true, false}) {
    AddConcat("2 of 1x56x56x256", {{1, 56, 56, 256}, {1, 56, 56, 256}}, 3,
              equal);
    AddConcat("4 of 1x28x28x64", std::vector<Sizes>(4, {1, 28, 28, 64}), 3,
              equal);
    AddConcat("2 of 16x7x7x1024", {{16, 7, 7, 1024}, {16, 7, 7, 1024}}, 3,
              equal);
    AddConcat("2 of 1x256x56x56, axis 1", {{1, 256, 56, 56}, {1, 256, 56, 56}},
              1, equal);
    AddConcat("8 of 256x64", std::vector<Sizes>(8, {256, 64}), 1, equal);
    const std::string large = "2 of 32768x1024";
    AddConcat(large, {{32768, 1024}, {32768, 1024}}, 1, equal);
    AddCopy("Concat", large + (equal ? ", equal parameters" : ""), 64 << 20);
  }
  for (const char* order : {"NHWC", "NCHW"}) {
    const bool last = order == std::string("NHWC");
    const auto add = [&](int64_t n, int64_t channels, int64_t size, int group) {
      AddShuffle(last ? Sizes{n, size, size, channels}
                      : Sizes{n, channels, size, size},
                 group, order);
    };
    add(1, 24, 56, 2);
    add(1, 144, 56, 3);
    add(1, 240, 28, 3);
    add(1, 272, 28, 4);
    add(1, 384, 28, 4);
    add(1, 384, 28, 8);
    add(1, 480, 14, 3);
    add(1, 544, 14, 4);
    add(1, 540, 14, 9);
    add(16, 1024, 7, 4);
    add(1, 60, 28, 5);
    add(64, 1024, 32, 4);
  }
  AddCopy("ChannelShuffle", "64x32x32x1024 NHWC, group 4", 64 << 20);
  AddCopy("ChannelShuffle", "64x1024x32x32 NCHW, group 4", 64 << 20);
  for (const int64_t row : {16, 32, 64, 512}) {
    AddGather(row < 512 ? 1000000 : 100000, row, 10000);
  }
  AddGather(1000, 64, 1024);
  AddGather(4096, 16384, 4096);
  AddCopy("Gather", "4096 of 4096x16384", 64 << 20);
}

}  // namespace caffe2_quantization
