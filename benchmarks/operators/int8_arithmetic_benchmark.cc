// Add, Mul and Sum of codes: the host's engine DNNLOWP, its floats, and ours.
// Sizes are those of ResNet-50 and of a recommender; output parameters are
// given. Tensors beyond the cache are compared with memcpy, too.
#include <cstring>

#include "benchmarks/support/int8_operator.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

struct Case {
  const char* name;
  const char* type;
  std::vector<Shape> inputs;
  bool broadcast = false;  // the argument, with the axis 0 if B begins there
  int axis = -1;
};

std::unique_ptr<BenchmarkRun> Make(const Case& c, const char* engine) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  const bool floats = *engine == '\0';
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, c.type, {}, {"y"});
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const std::string name = "x" + std::to_string(i);
    definition.add_input(name);
    if (floats) {
      FeedRandom(workspace.get(), name, c.inputs[i]);
    } else {
      FeedRandomCodes(workspace.get(), name, c.inputs[i], 0.01f + 0.003f * i,
                      120);
    }
  }
  if (c.broadcast) builder.Int("broadcast", 1).Int("axis", c.axis);
  if (!floats) builder.Float("Y_scale", 0.021f).Int("Y_zero_point", 123);
  definition.set_engine(engine);
  return MakeOperatorRun(definition, workspace);
}

void AddCase(const Case& c) {
  const std::string group = WithThreads(c.type, 1) + "/" + c.name;
  for (const Variant& variant : Int8Variants()) {
    AddThreadedBenchmark(group, variant.name, 1, [c, engine = variant.engine] {
      return Make(c, engine);
    });
  }
}

// One that moves `bytes`, as many read as written.
std::unique_ptr<BenchmarkRun> MakeCopy(int64_t bytes) {
  auto src = std::make_shared<std::vector<uint8_t>>(bytes / 2, 1);
  auto dst = std::make_shared<std::vector<uint8_t>>(bytes / 2, 2);
  return MakeRun(
      [src, dst] { std::memcpy(dst->data(), src->data(), src->size()); });
}

void AddLarge(const Case& c) {
  const std::string group =
      std::string("Large tensors/") + c.type + " " + c.name;
  int64_t bytes = 0;
  for (const Shape& shape : c.inputs) {
    bytes += c10::multiply_integers(shape);
  }
  bytes += c10::multiply_integers(c.inputs[0]);  // the output
  for (const Variant& variant : Int8Variants()) {
    if (*variant.engine == '\0') continue;
    AddBenchmark(group, variant.name, bytes,
                 [c, engine = variant.engine] { return Make(c, engine); });
  }
  AddBenchmark(group, "copy", bytes, [bytes] { return MakeCopy(bytes); });
}

}  // namespace

void AddInt8ArithmeticBenchmarks() {
  const Shape early = {1, 56, 56, 256}, middle = {1, 28, 28, 512};
  const Shape late = {1, 14, 14, 1024}, last = {1, 7, 7, 2048};
  const Shape batch = {16, 14, 14, 1024};
  const Shape sparse = {256, 512}, dense = {1024, 64};
  for (const char* type : {"Add", "Mul", "Sum"}) {
    AddCase({"1x56x56x256", type, {early, early}});
    AddCase({"1x28x28x512", type, {middle, middle}});
    AddCase({"1x14x14x1024", type, {late, late}});
    AddCase({"1x7x7x2048", type, {last, last}});
    AddCase({"16x14x14x1024", type, {batch, batch}});
    AddCase({"256x512", type, {sparse, sparse}});
    AddCase({"1024x64", type, {dense, dense}});
    AddCase({"64", type, {{64}, {64}}});
  }
  for (const char* type : {"Add", "Mul"}) {
    AddCase({"1x56x56x256 by channels", type, {early, {256}}, true});
    AddCase({"1024x64 by columns", type, {dense, {64}}, true});
    AddCase({"1024x64 by rows", type, {dense, {1024}}, true, 0});
    AddCase({"16x64x7x7 by channels", type, {{16, 64, 7, 7}, {64}}, true, 1});
    AddCase({"256x512 by one value", type, {sparse, {1}}, true});
  }
  AddCase({"1 of 256x512", "Sum", {sparse}});
  AddCase({"3 of 256x512", "Sum", {sparse, sparse, sparse}});
  AddCase({"8 of 1024x64", "Sum", std::vector<Shape>(8, dense)});
  const Shape large = {int64_t{64} << 20};
  AddLarge({"of 64 MiB", "Sum", {large, large}});
  AddLarge({"of 64 MiB", "Mul", {large, large}});
  AddLarge({"of 64 MiB by channels",
            "Add",
            {{int64_t{64} << 12, 256}, {256}},
            true});
}

}  // namespace caffe2_quantization
