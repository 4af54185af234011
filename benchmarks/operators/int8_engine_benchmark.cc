// Every operator of the engine ONEDNN once, by the engine's own list: the
// host's engine DNNLOWP, where it has the operator, and ours, one shape for
// each family and one thread. A family of operator_list.inc that has no Define…
// here does not compile.
#include "benchmarks/support/int8_operator.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kM = 64, kN = 512, kK = 512;

// Each feeds what an operator of its family takes, and gives its definition.
caffe2::OperatorDef Define(const char* name, const char* output,
                           const std::vector<std::string>& inputs) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, name, inputs, {output});
  return definition;
}

// Gives the output's parameters.
caffe2::OperatorDef WithParameters(caffe2::OperatorDef definition) {
  OpBuilder(&definition).Float("Y_scale", 0.05f).Int("Y_zero_point", 128);
  return definition;
}

caffe2::OperatorDef DefineQuantize(const char* name, caffe2::Workspace* w) {
  FeedRandom(w, "x", {kM, kK});
  return WithParameters(Define(name, "y", {"x"}));
}

caffe2::OperatorDef DefineDequantize(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  return Define(name, "y", {"x"});
}

caffe2::OperatorDef DefineRelu(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  return Define(name, "x", {"x"});
}

caffe2::OperatorDef DefineOfTwo(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "a", {kM, kK}, 0.01f, 120);
  FeedRandomCodes(w, "b", {kM, kK}, 0.02f, 130);
  return WithParameters(Define(name, "y", {"a", "b"}));
}

constexpr auto DefineAdd = DefineOfTwo;
constexpr auto DefineMul = DefineOfTwo;
constexpr auto DefineSum = DefineOfTwo;
caffe2::OperatorDef DefineChannelShuffle(const char* name,
                                         caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {1, 14, 14, 240}, 0.01f, 120);
  caffe2::OperatorDef definition = Define(name, "y", {"x"});
  OpBuilder(&definition).Int("group", 3).String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef DefineConcat(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "a", {kM, kK}, 0.01f, 120);
  FeedRandomCodes(w, "b", {kM, kK}, 0.02f, 100);
  caffe2::OperatorDef definition =
      WithParameters(Define(name, "y", {"a", "b"}));
  definition.add_output("split_info");
  OpBuilder(&definition).Int("axis", 1);
  return definition;
}

caffe2::OperatorDef DefineGather(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "data", {1000, kM}, 0.01f, 120);
  std::vector<int> indices(kK);
  for (int i = 0; i < kK; ++i) indices[i] = i * 37 % 1000;
  Feed(w, "indices", indices);
  return Define(name, "y", {"data", "indices"});
}

caffe2::OperatorDef DefineHostMove(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  caffe2::OperatorDef definition = Define(name, "y", {"x"});
  OpBuilder builder(&definition);
  const std::string type = name;
  if (type == "Int8Reshape") {
    definition.add_output("old_shape");
    builder.Ints("shape", {kK, -1});
  } else if (type == "Int8Slice") {
    builder.Ints("starts", {0, 1}).Ints("ends", {-1, -1});
  }
  return definition;
}

caffe2::OperatorDef DefineTranspose(const char* name, caffe2::Workspace* w) {
  return DefineHostMove(name, w);
}

caffe2::OperatorDef DefineFC(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  FeedRandom(w, "w", {kN, kK}, 0.1f);
  FeedRandom(w, "b", {kN});
  return WithParameters(Define(name, "y", {"x", "w", "b"}));
}

caffe2::OperatorDef DefineFCPackWeight(const char* name, caffe2::Workspace* w) {
  FeedRandom(w, "w", {kN, kK}, 0.1f);
  return Define(name, "packed", {"w"});
}

caffe2::OperatorDef DefineBatchMatMul(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "a", {4, kM, kK}, 0.01f, 120);
  FeedRandomCodes(w, "b", {4, kK, kM}, 0.01f, 120);
  return WithParameters(Define(name, "y", {"a", "b"}));
}

// 3 x 3 pixels of 14 x 14, with as many outputs as inputs.
caffe2::OperatorDef DefineConv(const char* name, caffe2::Workspace* w) {
  constexpr int64_t kSize = 14, kChannels = 64;
  FeedRandomCodes(w, "x", {1, kSize, kSize, kChannels}, 0.01f, 120);
  FeedRandom(w, "w", {kChannels, 3, 3, kChannels}, 0.1f);
  FeedRandom(w, "b", {kChannels});
  std::vector<std::string> inputs = {"x", "w", "b"};
  if (std::string(name).find("Sum") != std::string::npos) {
    FeedRandomCodes(w, "s", {1, kSize, kSize, kChannels}, 0.01f, 120);
    inputs.push_back("s");
  }
  caffe2::OperatorDef definition = WithParameters(Define(name, "y", inputs));
  OpBuilder(&definition).Int("kernel", 3).Int("pad", 1).String("order", "NHWC");
  return definition;
}

// To twice the size.
caffe2::OperatorDef DefineConvTranspose(const char* name,
                                        caffe2::Workspace* w) {
  constexpr int64_t kSize = 14, kChannels = 64;
  FeedRandomCodes(w, "x", {1, kSize, kSize, kChannels}, 0.01f, 120);
  FeedRandom(w, "w", {kChannels, 2, 2, kChannels}, 0.1f);
  FeedRandom(w, "b", {kChannels});
  caffe2::OperatorDef definition =
      WithParameters(Define(name, "y", {"x", "w", "b"}));
  OpBuilder(&definition)
      .Int("kernel", 2)
      .Int("stride", 2)
      .String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef DefineConvPackWeight(const char* name,
                                         caffe2::Workspace* w) {
  FeedRandom(w, "w", {64, 3, 3, 64}, 0.1f);
  caffe2::OperatorDef definition = Define(name, "packed", {"w"});
  OpBuilder(&definition).Int("kernel", 3).Int("pad", 1).String("order", "NHWC");
  return definition;
}

// 3 x 3 pixels of 28 x 28.
caffe2::OperatorDef DefineMaxPool(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {1, 28, 28, 64}, 0.01f, 120);
  caffe2::OperatorDef definition = WithParameters(Define(name, "y", {"x"}));
  OpBuilder(&definition).Int("kernel", 3).Int("pad", 1).String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef DefineAveragePool(const char* name, caffe2::Workspace* w) {
  return DefineMaxPool(name, w);
}

caffe2::OperatorDef DefineSqueeze(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, 1, 1, kK}, 0.01f, 120);
  caffe2::OperatorDef definition = Define(name, "y", {"x"});
  OpBuilder(&definition).Ints("dims", {1, 2});
  return definition;
}

caffe2::OperatorDef DefineSplit(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  caffe2::OperatorDef definition = Define(name, "y", {"x"});
  definition.add_output("z");
  OpBuilder(&definition).Int("axis", 1);
  return definition;
}

caffe2::OperatorDef DefineOrderSwitch(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {1, 28, 28, 64}, 0.01f, 120);
  return Define(name, "y", {"x"});
}

// Twice the size.
caffe2::OperatorDef DefineResizeNearest(const char* name,
                                        caffe2::Workspace* w) {
  std::vector<int64_t> shape = {1, 28, 28, 64};
  caffe2::OperatorDef definition = Define(name, "y", {"x"});
  OpBuilder(&definition).Float("height_scale", 2).Float("width_scale", 2);
  if (std::string(name).find("3D") != std::string::npos) {
    shape.insert(shape.begin() + 1, 4);
  }
  FeedRandomCodes(w, "x", shape, 0.01f, 120);
  return definition;
}

caffe2::OperatorDef DefineBatchPermutation(const char* name,
                                           caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  std::vector<int32_t> indices(kM);
  for (int64_t i = 0; i < kM; ++i) {
    indices[i] = static_cast<int32_t>(kM - 1 - i);
  }
  Feed<int32_t>(w, "indices", indices);
  return Define(name, "y", {"x", "indices"});
}

caffe2::OperatorDef DefineSigmoid(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  return Define(name, "y", {"x"});
}

caffe2::OperatorDef DefineTanh(const char* name, caffe2::Workspace* w) {
  return DefineSigmoid(name, w);
}

caffe2::OperatorDef DefineSoftmax(const char* name, caffe2::Workspace* w) {
  return DefineSigmoid(name, w);
}

caffe2::OperatorDef DefineClip(const char* name, caffe2::Workspace* w) {
  caffe2::OperatorDef definition = DefineSigmoid(name, w);
  OpBuilder(&definition).Float("min", 0).Float("max", 1);
  return definition;
}

caffe2::OperatorDef DefineLeakyRelu(const char* name, caffe2::Workspace* w) {
  return WithParameters(DefineSigmoid(name, w));
}

// A slope for each channel of 14 x 14.
caffe2::OperatorDef DefinePRelu(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {1, 14, 14, kN}, 0.01f, 120);
  FeedRandom(w, "slope", {kN});
  caffe2::OperatorDef definition =
      WithParameters(Define(name, "y", {"x", "slope"}));
  OpBuilder(&definition).String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef DefineSpatialBN(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {1, 14, 14, kN}, 0.01f, 120);
  for (const char* values : {"s", "b", "m"}) FeedRandom(w, values, {kN});
  FeedFloats(w, "v", std::vector<float>(kN, 1.5f));
  caffe2::OperatorDef definition =
      WithParameters(Define(name, "y", {"x", "s", "b", "m", "v"}));
  OpBuilder(&definition).Int("is_test", 1).String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef DefineGroupNorm(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {1, 14, 14, kN}, 0.01f, 120);
  for (const char* values : {"gamma", "beta"}) FeedRandom(w, values, {kN});
  caffe2::OperatorDef definition =
      WithParameters(Define(name, "y", {"x", "gamma", "beta"}));
  OpBuilder(&definition).String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef DefineElementwiseLinear(const char* name,
                                            caffe2::Workspace* w) {
  FeedRandomCodes(w, "x", {kM, kK}, 0.01f, 120);
  for (const char* values : {"a", "b"}) FeedRandom(w, values, {kK});
  return WithParameters(Define(name, "y", {"x", "a", "b"}));
}

caffe2::OperatorDef DefineLSTMUnit(const char* name, caffe2::Workspace* w) {
  FeedRandomCodes(w, "h", {1, kM, kK}, 0.01f, 120);
  FeedRandomCodes(w, "c", {1, kM, kK}, 0.01f, 120);
  FeedRandomCodes(w, "g", {1, kM, 4 * kK}, 0.01f, 120);
  Feed<int>(w, "l", std::vector<int>(kM, 9));
  Feed<int>(w, "t", {1});
  caffe2::OperatorDef definition =
      WithParameters(Define(name, "ho", {"h", "c", "g", "l", "t"}));
  definition.add_output("co");
  OpBuilder(&definition).Float("Y2_scale", 0.01f).Int("Y2_zero_point", 120);
  return definition;
}

void Add(const char* name,
         caffe2::OperatorDef (*define)(const char*, caffe2::Workspace*)) {
  for (const Variant& variant : Int8Variants()) {
    const std::string key = std::string(name) + "_ENGINE_" + variant.engine;
    if (!caffe2::CPUOperatorRegistry()->Has(key)) continue;
    // The wheel has these under DNNLOWP in name only.
    const bool is_sum = std::string(name).rfind("Int8ConvSum", 0) == 0;
    if (is_sum && std::string(variant.engine) == "DNNLOWP") continue;
    AddThreadedBenchmark(
        WithThreads("Int8 operators", 1) + "/" + name, variant.name, 1,
        [name, define, engine = variant.engine] {
          auto workspace = std::make_shared<caffe2::Workspace>();
          caffe2::OperatorDef definition = define(name, workspace.get());
          definition.set_engine(engine);
          return MakeOperatorRun(definition, workspace);
        });
  }
}

}  // namespace

void AddInt8EngineBenchmarks() {
#define OPERATOR(family, name, ...) Add(#name, Define##family);
#include "operators/int8/operator_list.inc"
#undef OPERATOR
}

}  // namespace caffe2_quantization
