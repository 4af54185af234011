// Pools and moves of codes: the host's engine DNNLOWP, its floats, and ours.
// Pools of ResNet-50 in both orders, one window a pixel and one for all of
// them; images twice as large, and rows in another order, beside memcpy of the
// bytes that are written.
#include <cstring>

#include "benchmarks/support/int8_operator.h"
#include "caffe2/core/tensor_int8.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Pool {
  const char* type;
  const char* name;
  int64_t batch, size, channels;
  int64_t kernel, stride, pad;  // kernel 0: global
};

constexpr Pool kPools[] = {
    {"MaxPool", "112x112x64 3x3 s2", 1, 112, 64, 3, 2, 1},
    {"MaxPool", "16x112x112x64 3x3 s2", 16, 112, 64, 3, 2, 1},
    {"MaxPool", "56x56x256 2x2 s2", 1, 56, 256, 2, 2, 0},
    {"MaxPool", "28x28x512 3x3", 1, 28, 512, 3, 1, 1},
    {"MaxPool", "14x14x1024 3x3 s2", 1, 14, 1024, 3, 2, 1},
    {"MaxPool", "1024x1024x64 2x2 s2", 1, 1024, 64, 2, 2, 0},
    {"AveragePool", "7x7x2048 global", 1, 7, 2048, 0, 1, 0},
    {"AveragePool", "16x7x7x2048 global", 16, 7, 2048, 0, 1, 0},
    {"AveragePool", "14x14x1024 global", 1, 14, 1024, 0, 1, 0},
    {"AveragePool", "56x56x256 2x2 s2", 1, 56, 256, 2, 2, 0},
    {"AveragePool", "28x28x512 3x3", 1, 28, 512, 3, 1, 1},
    {"AveragePool", "14x14x1024 3x3 s2", 1, 14, 1024, 3, 2, 1},
};

std::unique_ptr<BenchmarkRun> MakePool(const Pool& pool, const char* order,
                                       const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  std::vector<int64_t> shape = {pool.batch, pool.size, pool.size};
  const bool nhwc = std::string(order) == "NHWC";
  shape.insert(nhwc ? shape.end() : shape.begin() + 1, pool.channels);
  if (*engine == '\0') {
    FeedRandom(workspace.get(), "x", shape);
  } else {
    FeedRandomCodes(workspace.get(), "x", shape, 0.01f, 120);
  }
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, pool.type, {"x"}, {"y"});
  builder.String("order", order)
      .Float("Y_scale", 0.0123f)
      .Int("Y_zero_point", 117);
  if (pool.kernel == 0) {
    builder.Int("global_pooling", 1);
  } else {
    builder.Int("kernel", pool.kernel)
        .Int("stride", pool.stride)
        .Int("pad", pool.pad);
  }
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

void AddPools() {
  for (const Pool& pool : kPools) {
    for (const char* order : {"NHWC", "NCHW"}) {
      const std::string group =
          WithThreads(pool.type, 1) + "/" + pool.name + " " + order;
      for (const Variant& variant : Int8Variants()) {
        AddThreadedBenchmark(group, variant.name, 1,
                             [pool, order, engine = variant.engine] {
                               return MakePool(pool, order, engine);
                             });
      }
    }
  }
}

// Copies as many bytes as an operator's output has.
std::unique_ptr<BenchmarkRun> MakeCopy(int64_t bytes) {
  std::vector<char> from(bytes, 1), to(bytes, 2);
  return MakeRun([from, to]() mutable {
    std::memcpy(to.data(), from.data(), from.size());
    asm volatile("" : : "r"(to.data()) : "memory");
  });
}

// The default engine's Int8ResizeNearest is the host's.
std::unique_ptr<BenchmarkRun> MakeResize(const std::vector<int64_t>& shape,
                                         const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  FeedRandomCodes(workspace.get(), "x", shape, 0.01f, 120);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8ResizeNearest", {"x"}, {"y"})
      .Float("height_scale", 2)
      .Float("width_scale", 2)
      .Float("Y_scale", 0.01f)
      .Int("Y_zero_point", 120);
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

void AddResizes() {
  struct Image {
    const char* name;
    std::vector<int64_t> shape;
  };
  const Image images[] = {
      {"7x7x256 to 14x14", {1, 7, 7, 256}},
      {"28x28x256 to 56x56", {1, 28, 28, 256}},
      {"28x28x64 to 56x56", {1, 28, 28, 64}},
      {"56x56x16 to 112x112", {1, 56, 56, 16}},
      {"256x256x256 to 512x512, 64 MiB", {1, 256, 256, 256}},
      {"1024x1024x16 to 2048x2048, 64 MiB", {1, 1024, 1024, 16}},
  };
  for (const Image& image : images) {
    const std::string group =
        WithThreads("Int8ResizeNearest", 1) + "/" + image.name;
    AddThreadedBenchmark(group, "host", 1,
                         [image] { return MakeResize(image.shape, ""); });
    AddThreadedBenchmark(group, "ours", 1,
                         [image] { return MakeResize(image.shape, "ONEDNN"); });
    AddThreadedBenchmark(group, "copy", 1, [image] {
      return MakeCopy(4 * c10::multiply_integers(image.shape));
    });
  }
}

// The host's operator is of floats.
std::unique_ptr<BenchmarkRun> MakePermutation(int64_t rows, int64_t size,
                                              const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  if (*engine == '\0') {
    FeedRandom(workspace.get(), "x", {rows, size});
  } else {
    FeedRandomCodes(workspace.get(), "x", {rows, size}, 0.01f, 120);
  }
  std::vector<int32_t> indices(rows);
  for (int64_t i = 0; i < rows; ++i) {
    indices[i] = static_cast<int32_t>(i * 7919 % rows);
  }
  Feed<int32_t>(workspace.get(), "indices", indices);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "BatchPermutation", {"x", "indices"}, {"y"});
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

void AddPermutations() {
  struct Rows {
    const char* name;
    int64_t count, size;
  };
  for (const Rows& rows :
       {Rows{"256x512", 256, 512}, Rows{"1024x64", 1024, 64},
        Rows{"4096x16", 4096, 16}, Rows{"1Mx64, 64 MiB", 1 << 20, 64},
        Rows{"1024x64K, 64 MiB", 1 << 10, 1 << 16}}) {
    const std::string group =
        WithThreads("BatchPermutation", 1) + "/" + rows.name;
    AddThreadedBenchmark(group, "host, floats", 1, [rows] {
      return MakePermutation(rows.count, rows.size, "");
    });
    AddThreadedBenchmark(group, "ours", 1, [rows] {
      return MakePermutation(rows.count, rows.size, "ONEDNN");
    });
    AddThreadedBenchmark(group, "copy", 1,
                         [rows] { return MakeCopy(rows.count * rows.size); });
  }
}

}  // namespace

void AddInt8PoolBenchmarks() {
  AddPools();
  AddResizes();
  AddPermutations();
}

}  // namespace caffe2_quantization
