// Operators that scale codes by channel, sigmoids and LSTM units: the host's
// engine DNNLOWP, the host's floats and ours, on shapes of ResNet-50 and of a
// recommender, one thread. Output parameters are given. The largest are beside
// a copy of as many bytes.
#include <cstring>
#include <utility>

#include "benchmarks/support/int8_operator.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

const Shape kImages[] = {
    {1, 56, 56, 256},  {1, 28, 28, 512},  {1, 14, 14, 1024},  {1, 7, 7, 2048},
    {16, 56, 56, 256}, {16, 28, 28, 512}, {16, 14, 14, 1024}, {16, 7, 7, 2048},
};
const Shape kTables[] = {{256, 512}, {1024, 64}, {4096, 3}};
const Shape kLargeImage = {64, 64, 64, 256};  // 64 MiB of codes
const Shape kLargeTable = {1 << 17, 512};

// Feeds what an operator takes beside x, for an x of this shape, and gives its
// definition.
using Define = caffe2::OperatorDef (*)(const Shape&, const std::string& order,
                                       caffe2::Workspace*);

caffe2::OperatorDef DefineSpatialBN(const Shape& shape,
                                    const std::string& order,
                                    caffe2::Workspace* workspace) {
  const Shape channels = {order == "NHWC" ? shape.back() : shape[1]};
  for (const char* name : {"s", "b", "m"}) {
    FeedRandom(workspace, name, channels);
  }
  FeedFloats(workspace, "v", std::vector<float>(channels[0], 1.5f));
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "SpatialBN", {"x", "s", "b", "m", "v"}, {"y"})
      .Int("is_test", 1)
      .String("order", order);
  return definition;
}

caffe2::OperatorDef DefineGroupNorm(const Shape& shape,
                                    const std::string& order,
                                    caffe2::Workspace* workspace) {
  const Shape channels = {order == "NHWC" ? shape.back() : shape[1]};
  FeedRandom(workspace, "gamma", channels);
  FeedRandom(workspace, "beta", channels);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "GroupNorm", {"x", "gamma", "beta"}, {"y"})
      .String("order", order);
  return definition;
}

caffe2::OperatorDef DefineElementwiseLinear(const Shape& shape,
                                            const std::string&,
                                            caffe2::Workspace* workspace) {
  FeedRandom(workspace, "a", {shape.back()});
  FeedRandom(workspace, "b", {shape.back()});
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "ElementwiseLinear", {"x", "a", "b"}, {"y"})
      .Int("axis", static_cast<int64_t>(shape.size()) - 1);
  return definition;
}

caffe2::OperatorDef DefineSigmoid(const Shape&, const std::string&,
                                  caffe2::Workspace*) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Sigmoid", {"x"}, {"y"});
  return definition;
}

caffe2::OperatorDef DefineTanh(const Shape&, const std::string&,
                               caffe2::Workspace*) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Tanh", {"x"}, {"y"});
  return definition;
}

void FeedInput(caffe2::Workspace* workspace, const std::string& name,
               const Shape& shape, bool floats) {
  if (floats) {
    FeedRandom(workspace, name, shape, 3);
  } else {
    FeedRandomCodes(workspace, name, shape, 0.025f, 120);
  }
}

std::string NameOf(const Shape& shape, const std::string& order = "") {
  std::string name = order;
  for (const int64_t size : shape) {
    name += (name == order ? (order.empty() ? "" : " ") : "x") +
            std::to_string(size);
  }
  return name;
}

void Add(const std::string& operator_name, Define define, const Shape& shape,
         const std::string& order = "") {
  const std::string group =
      WithThreads(operator_name, 1) + "/" + NameOf(shape, order);
  for (const Variant& variant : Int8Variants()) {
    AddThreadedBenchmark(
        group, variant.name, 1,
        [define, shape, order, engine = variant.engine] {
          auto workspace = std::make_shared<caffe2::Workspace>();
          FeedInput(workspace.get(), "x", shape, *engine == '\0');
          caffe2::OperatorDef definition =
              define(shape, order, workspace.get());
          OpBuilder(&definition)
              .Float("Y_scale", 0.025f)
              .Int("Y_zero_point", 120);
          definition.set_engine(engine);
          return MakeOperatorRun(definition, workspace);
        });
  }
}

void AddCopy(const std::string& operator_name, const Shape& shape,
             const std::string& order = "") {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  AddThreadedBenchmark(
      WithThreads(operator_name, 1) + "/" + NameOf(shape, order), "copy", 1,
      [count] {
        std::vector<uint8_t> from(count, 1), to(count, 2);
        return MakeRun([from = std::move(from), to = std::move(to)]() mutable {
          std::memcpy(to.data(), from.data(), from.size());
        });
      });
}

Shape ChannelsFirst(const Shape& shape) {
  return {shape[0], shape[3], shape[1], shape[2]};
}

void AddOfImages(const char* name, Define define) {
  for (const Shape& shape : kImages) {
    Add(name, define, shape, "NHWC");
    Add(name, define, ChannelsFirst(shape), "NCHW");
  }
  Add(name, define, kLargeImage, "NHWC");
  AddCopy(name, kLargeImage, "NHWC");
  Add(name, define, ChannelsFirst(kLargeImage), "NCHW");
  AddCopy(name, ChannelsFirst(kLargeImage), "NCHW");
}

void AddOfTables(const char* name, Define define) {
  for (const Shape& shape : kTables) Add(name, define, shape);
  Add(name, define, kLargeTable);
  AddCopy(name, kLargeTable);
}

// Rows of cells, none of them past its length.
void AddLSTMUnit(int64_t rows, int64_t width) {
  for (const Variant& variant : Int8Variants()) {
    AddThreadedBenchmark(
        WithThreads("LSTMUnit", 1) + "/" + NameOf({rows, width}), variant.name,
        1, [rows, width, engine = variant.engine] {
          auto workspace = std::make_shared<caffe2::Workspace>();
          const bool floats = *engine == '\0';
          FeedInput(workspace.get(), "h", {1, rows, width}, floats);
          FeedInput(workspace.get(), "c", {1, rows, width}, floats);
          FeedInput(workspace.get(), "g", {1, rows, 4 * width}, floats);
          Feed<int>(workspace.get(), "l", std::vector<int>(rows, 9));
          Feed<int>(workspace.get(), "t", {1});
          caffe2::OperatorDef definition;
          OpBuilder(&definition, "LSTMUnit", {"h", "c", "g", "l", "t"},
                    {"ho", "co"})
              .Float("Y_scale", 1.0f / 128)
              .Int("Y_zero_point", 128)
              .Float("Y2_scale", 0.025f)
              .Int("Y2_zero_point", 120);
          definition.set_engine(engine);
          return MakeOperatorRun(definition, workspace);
        });
  }
}

// The host's int8 one is of the default engine.
void AddSoftmax(const Shape& shape) {
  struct {
    const char *variant, *type, *engine;
  } const kVariants[] = {{"host, default", "Int8Softmax", ""},
                         {"host's floats", "Softmax", ""},
                         {"ours", "Int8Softmax", "ONEDNN"}};
  for (const auto& [variant, type, engine] : kVariants) {
    AddThreadedBenchmark(
        WithThreads("Softmax", 1) + "/" + std::to_string(shape[0]) + "x" +
            std::to_string(shape[1]),
        variant, 1, [shape, type = type, engine = engine] {
          auto workspace = std::make_shared<caffe2::Workspace>();
          if (type == std::string("Softmax")) {
            FeedRandom(workspace.get(), "x", shape, 5);
          } else {
            FeedRandomCodes(workspace.get(), "x", shape, 0.04f, 120);
          }
          caffe2::OperatorDef definition;
          OpBuilder(&definition, type, {"x"}, {"y"})
              .Float("Y_scale", 1.0f / 256)
              .Int("Y_zero_point", 0);
          definition.set_engine(engine);
          return MakeOperatorRun(definition, workspace);
        });
  }
}

}  // namespace

void AddInt8ChannelsBenchmarks() {
  for (const Shape& shape : {Shape{1, 10}, Shape{1, 1000}, Shape{64, 1000},
                             Shape{1536, 128}, Shape{12 * 512, 512}}) {
    AddSoftmax(shape);
  }
  AddOfImages("SpatialBN", DefineSpatialBN);
  AddOfImages("GroupNorm", DefineGroupNorm);
  AddOfTables("ElementwiseLinear", DefineElementwiseLinear);
  AddOfTables("Sigmoid", DefineSigmoid);
  AddOfTables("Tanh", DefineTanh);
  for (const int64_t rows : {1, 16, 128}) {
    for (const int64_t width : {64, 512}) AddLSTMUnit(rows, width);
  }
}

}  // namespace caffe2_quantization
