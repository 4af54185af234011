// Operators on tensors that the last cache level does not hold, beside a memcpy
// that reads and writes as many bytes: 0.75x and more is as good as it gets
// where codes are computed. Tensors have 5/4 of that cache level, whatever it
// is. These groups take minutes and some GiB, so they run only if they are
// asked for: --filter '^Beyond the cache'.
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/support/int8_operator.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/kernels/isa.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;
using caffe2::int8::Int8TensorCPU;

constexpr int kRepetitions = 5;

// Bytes of a tensor, and of its first dimension where the others have `rest`.
int64_t Bytes() {
  return static_cast<int64_t>(kernels::LastLevelCacheBytes()) / 4 * 5;
}
int64_t First(int64_t rest) { return Bytes() / rest; }

// Random codes: a piece of them again and again, since random numbers take
// longer than what is measured. Tensors of another shift differ.
void FeedCodes(caffe2::Workspace* workspace, const std::string& name,
               const Sizes& sizes, int64_t shift, float scale) {
  constexpr int64_t kPiece = 1 << 20;
  FeedRandomCodes(workspace, "piece", {shift + kPiece}, scale, 120);
  const auto* const piece = workspace->GetBlob("piece")
                                ->Get<Int8TensorCPU>()
                                .t.template data<uint8_t>() +
                            shift;
  auto* const x = workspace->CreateBlob(name)->GetMutable<Int8TensorCPU>();
  x->scale = scale;
  x->zero_point = 120;
  x->t.Resize(sizes);
  auto* const codes = x->t.mutable_data<uint8_t>();
  for (int64_t i = 0; i < x->t.numel(); i += kPiece) {
    std::memcpy(codes + i, piece, std::min(kPiece, x->t.numel() - i));
  }
}

struct Case {
  std::string name;
  const char* type;
  std::vector<Sizes> inputs = {};  // each with a scale of its own
  std::vector<std::string> outputs = {};
  // What is read and written; 0: all of the inputs, and as much as the first.
  int64_t bytes = 0;
  std::function<void(OpBuilder*)> arguments = nullptr;
  std::function<void(caffe2::Workspace*, caffe2::OperatorDef*)> feed = nullptr;
  bool equal_scales = false;
};

std::unique_ptr<BenchmarkRun> MakeCopy(int64_t bytes) {
  auto src = std::make_shared<std::vector<uint8_t>>(bytes / 2, 1);
  auto dst = std::make_shared<std::vector<uint8_t>>(bytes / 2, 2);
  return MakeRun(
      [src, dst] { std::memcpy(dst->data(), src->data(), src->size()); });
}

std::unique_ptr<BenchmarkRun> MakeCase(const Case& c) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, c.type, {}, c.outputs);
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const std::string name = "x" + std::to_string(i);
    definition.add_input(name);
    const float scale = 0.0123f + 0.0037f * static_cast<float>(i);
    FeedCodes(workspace.get(), name, c.inputs[i], 1023 * i,
              c.equal_scales ? 0.37f : scale);
  }
  if (c.arguments) c.arguments(&builder);
  if (c.feed) c.feed(workspace.get(), &definition);
  definition.set_engine("ONEDNN");
  return MakeOperatorRun(definition, workspace);
}

void Add(Case c) {
  if (c.bytes == 0) {
    for (const Sizes& sizes : c.inputs) {
      c.bytes += c10::multiply_integers(sizes);
    }
    c.bytes += c10::multiply_integers(c.inputs[0]);
  }
  if (c.outputs.empty()) c.outputs = {"y"};
  const std::string group = "Beyond the cache/" + c.name;
  const int64_t bytes = c.bytes;
  AddBenchmark(
      group, "copy", bytes, [bytes] { return MakeCopy(bytes); }, "",
      kRepetitions);
  AddBenchmark(
      group, "ours", bytes, [c] { return MakeCase(c); }, "", kRepetitions);
}

void AddArithmetic() {
  const Sizes all = {First(1024), 1024};
  Add({"Relu", "Relu", {all}});
  Add({"Relu in place", "Relu", {all}, {"x0"}});
  const auto parameters = [](OpBuilder* op) {
    op->Float("Y_scale", 0.0319f).Int("Y_zero_point", 123);
  };
  Add({"Add", "Add", {all, all}, {}, 0, parameters});
  Add({"Add in place", "Add", {all, all}, {"x0"}, 0, parameters});
  Add({"Add by channels", "Add", {all, {1024}}, {}, 0, [=](OpBuilder* op) {
         parameters(op);
         op->Int("broadcast", 1);
       }});
  Add({"Sum of 2", "Sum", {all, all}, {}, 0, parameters});
  Add({"Sum of 2, ties",
       "Sum",
       {all, all},
       {},
       0,
       [](OpBuilder* op) { op->Float("Y_scale", 0.7f).Int("Y_zero_point", 5); },
       {},
       true});
  Add({"Sum of 3", "Sum", {all, all, all}, {}, 0, parameters});
  Add({"Mul", "Mul", {all, all}, {}, 0, parameters});
}

void AddConcat(const char* name, int64_t width, bool equal_scales) {
  // Two halves.
  const Sizes half = {First(2 * width), width};
  Add({name,
       "Concat",
       {half, half},
       {"y", "split"},
       2 * Bytes(),
       [=](OpBuilder* op) {
         op->Int("axis", 1)
             .Float("Y_scale", equal_scales ? 0.37f : 0.02f)
             .Int("Y_zero_point", 120);
       },
       {},
       equal_scales});
}

void AddGather(const char* name, int64_t row) {
  const int64_t rows = First(row);
  Add({name,
       "Gather",
       {{rows, row}},
       {},
       0,
       {},
       [rows](caffe2::Workspace* workspace, caffe2::OperatorDef* op) {
         std::vector<int> indices(rows);
         for (int64_t i = 0; i < rows; ++i) {
           indices[i] = static_cast<int>(i * 7919 % rows * 104729 % rows);
         }
         Feed(workspace, "indices", indices);
         op->add_input("indices");
       }});
}

void AddShuffle(const char* name, int64_t channels, int group,
                const char* order) {
  constexpr int64_t kSize = 28;
  const int64_t images = First(kSize * kSize * channels);
  const bool last = order == std::string("NHWC");
  Add({name,
       "ChannelShuffle",
       {last ? Sizes{images, kSize, kSize, channels}
             : Sizes{images, channels, kSize, kSize}},
       {},
       0,
       [=](OpBuilder* op) {
         op->Int("group", group).Int("kernel", 1).String("order", order);
       }});
}

void AddPool(const char* name, const char* type, int kernel, int stride) {
  constexpr int64_t kSize = 56, kChannels = 256;
  const Sizes sizes = {First(kSize * kSize * kChannels), kSize, kSize,
                       kChannels};
  const int64_t bytes = c10::multiply_integers(sizes);
  Add({name,
       type,
       {sizes},
       {},
       bytes + bytes / (stride * stride),
       [=](OpBuilder* op) {
         op->Int("kernel", kernel)
             .Int("stride", stride)
             .Int("pad", kernel == 3 ? 1 : 0)
             .String("order", "NHWC")
             .Float("Y_scale", 0.01173f)
             .Int("Y_zero_point", 120);
       }});
}

void AddMoves() {
  constexpr int64_t kSize = 56, kChannels = 256;
  const Sizes images = {First(4 * kSize * kSize * kChannels), kSize, kSize,
                        kChannels};
  const int64_t image_bytes = c10::multiply_integers(images);
  Add({"Int8ResizeNearest, 2 times",
       "Int8ResizeNearest",
       {images},
       {},
       5 * image_bytes,
       [](OpBuilder* op) {
         op->Float("height_scale", 2).Float("width_scale", 2);
       }});
  const Sizes all = {First(1024), 4, 256};
  Add({"Int8Flatten", "Int8Flatten", {all}});
  Add({"Int8Reshape", "Int8Reshape", {all}, {"y", "old"}, 0, [](OpBuilder* op) {
         op->Ints("shape", {-1, 512});
       }});
  Add({"Int8Squeeze",
       "Int8Squeeze",
       {{First(1024), 1, 1024}},
       {},
       0,
       [](OpBuilder* op) { op->Ints("dims", {1}); }});
  Add({"Int8Slice, first half",
       "Int8Slice",
       {{First(1024), 1024}},
       {},
       First(1024) / 2 * 2048,
       [](OpBuilder* op) {
         op->Ints("starts", {0, 0})
             .Ints("ends", {static_cast<int>(First(1024) / 2), -1});
       }});
  for (const int run : {64, 96, 512}) {
    Add({"Int8Slice, runs of " + std::to_string(run),
         "Int8Slice",
         {{First(2 * run), 2 * run}},
         {},
         Bytes(),
         [run](OpBuilder* op) {
           op->Ints("starts", {0, 0}).Ints("ends", {-1, run});
         }});
  }
  const std::vector<std::string> two = {"y0", "y1"};
  Add({"Int8Split, 2 runs of 64",
       "Int8Split",
       {{First(128), 128}},
       two,
       0,
       [](OpBuilder* op) { op->Int("axis", 1); }});
  Add({"Int8Split, runs of 64 and 192",
       "Int8Split",
       {{First(256), 256}},
       two,
       0,
       [](OpBuilder* op) {
         op->Int("axis", 1).Ints("split", {64, 192});
       }});
  Add({"Int8Split, runs of 80 and 100",
       "Int8Split",
       {{First(180), 180}},
       two,
       0,
       [](OpBuilder* op) {
         op->Int("axis", 1).Ints("split", {80, 100});
       }});
  Add({"Int8Split, 2 runs of 512",
       "Int8Split",
       {{First(1024), 1024}},
       two,
       0,
       [](OpBuilder* op) { op->Int("axis", 1); }});
  Add({"Int8Split, 2 halves",
       "Int8Split",
       {{First(1024) / 2 * 2, 1024}},
       two,
       0,
       [](OpBuilder* op) { op->Int("axis", 0); }});
}

}  // namespace

void AddInt8LargeBenchmarks() {
  AddArithmetic();
  AddConcat("Concat, runs of 64, equal parameters", 64, true);
  AddConcat("Concat, runs of 64", 64, false);
  AddConcat("Concat, runs of 1024, equal parameters", 1024, true);
  AddConcat("Concat, runs of 1024", 1024, false);
  AddGather("Gather, rows of 16", 16);
  AddGather("Gather, rows of 32", 32);
  AddGather("Gather, rows of 64", 64);
  AddGather("Gather, rows of 128", 128);
  AddGather("Gather, rows of 512", 512);
  AddGather("Gather, rows of 4096", 4096);
  AddShuffle("ChannelShuffle NHWC, 2 groups of 240", 240, 2, "NHWC");
  AddShuffle("ChannelShuffle NHWC, 3 groups of 240", 240, 3, "NHWC");
  AddShuffle("ChannelShuffle NHWC, 4 groups of 272", 272, 4, "NHWC");
  AddShuffle("ChannelShuffle NHWC, 8 groups of 384", 384, 8, "NHWC");
  AddShuffle("ChannelShuffle NCHW, 4 groups of 272", 272, 4, "NCHW");
  AddPool("MaxPool NHWC, 2x2 by 2", "MaxPool", 2, 2);
  AddPool("MaxPool NHWC, 3x3 by 2", "MaxPool", 3, 2);
  AddPool("MaxPool NHWC, 3x3 by 1", "MaxPool", 3, 1);
  AddPool("AveragePool NHWC, 2x2 by 2", "AveragePool", 2, 2);
  AddPool("AveragePool NHWC, 3x3 by 2", "AveragePool", 3, 2);
  AddPool("AveragePool NHWC, 3x3 by 1", "AveragePool", 3, 1);
  AddPool("AveragePool NHWC, 56x56", "AveragePool", 56, 56);
  AddMoves();
}

}  // namespace caffe2_quantization
