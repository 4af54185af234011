// Nets of the engine ONEDNN for a long time, in many threads, and made again
// and again: their results, their memory, and that weights are there once.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "caffe2/core/net.h"
#include "caffe2/core/workspace.h"
#include "operators/int8/products/conv_weights.h"
#include "operators/int8/products/fc_weights.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/resident_bytes.h"

namespace caffe2_quantization {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their memory is not the program's
#else
constexpr bool kSanitized = false;
#endif

// ThreadSanitizer does not see how the host's own threads hand over what their
// operators did, so that there the threads are the test's alone.
#if defined(__SANITIZE_THREAD__)
const char* const kTypes[] = {"simple", "simple", "simple", "simple"};
#else
const char* const kTypes[] = {"simple", "dag", "async_scheduling",
                              "async_scheduling"};
#endif

constexpr int64_t kImages = 32, kSize = 8, kChannels = 16, kClasses = 10;
constexpr int64_t kImage = kSize * kSize * kChannels;

std::vector<float> Values(TestRandom* random, int64_t count, float limit) {
  std::vector<float> values(count);
  for (float& value : values) value = random->Float(-limit, limit);
  return values;
}

// What all nets of a test have in common.
struct Model {
  explicit Model(TestRandom* random)
      : images(Values(random, kImages * kImage, 2)),
        w1(Values(random, 32 * 9 * kChannels, 0.3f)),
        w2(Values(random, 32 * 9, 0.3f)),
        w3(Values(random, 32 * 32, 0.3f)),
        w4(Values(random, kClasses * 512, 0.1f)),
        b(Values(random, 32, 1)) {}

  // In blobs of the workspace's own.
  void Feed(caffe2::Workspace* workspace) const {
    FeedFloats(workspace, "w1", w1, {32, 3, 3, kChannels});
    FeedFloats(workspace, "w2", w2, {32, 3, 3, 1});
    FeedFloats(workspace, "w3", w3, {32, 1, 1, 32});
    FeedFloats(workspace, "w4", w4, {kClasses, 512});
    FeedFloats(workspace, "b", b);
    FeedFloats(workspace, "b4", {b.begin(), b.begin() + kClasses});
  }
  void FeedImages(caffe2::Workspace* workspace, int64_t first,
                  int64_t count) const {
    FeedFloats(workspace, "x",
               {images.begin() + first * kImage,
                images.begin() + (first + count) * kImage},
               {count, kSize, kSize, kChannels});
  }

  const std::vector<float> images, w1, w2, w3, w4, b;
};

// Convolutions of all kinds, and fully connected layers to floats, or, for
// images of any size, none. is_static: with output parameters, so that an
// image's result does not depend on the others of its batch.
caffe2::NetDef Definition(const std::string& type, bool is_static,
                          bool any_size = false) {
  NetBuilder net("net", type);
  const auto add = [&](const std::string& op,
                       const std::vector<std::string>& inputs,
                       const std::string& output) {
    OpBuilder builder = net.Op(op, inputs, {output});
    if (is_static) builder.Float("Y_scale", 0.05f).Int("Y_zero_point", 100);
    return builder;
  };
  const auto convolution = [&](const std::string& op, const std::string& x,
                               const std::string& w, const std::string& y) {
    return add(op, {x, w, "b"}, y).String("order", "NHWC");
  };
  add("Quantize", {"x"}, "q");
  convolution("ConvRelu", "q", "w1", "y1").Int("kernel", 3).Int("pad", 1);
  convolution("Conv", "y1", "w2", "y2")
      .Int("kernel", 3)
      .Int("pad", 1)
      .Int("stride", 2)
      .Int("group", 32);
  // Beside each other, for nets with several workers.
  convolution("Int8ConvRelu", "y2", "w3", "y3").Int("kernel", 1);
  convolution("Int8Conv", "y2", "w3", "y4").Int("kernel", 1);
  if (any_size) {
    net.Op("Dequantize", {"y3"}, {"p3"});
    net.Op("Dequantize", {"y4"}, {"p4"});
  } else {
    net.Op("FC", {"y3", "w4", "b4"}, {"p3"}).Int("dequantize_output", 1);
    net.Op("FC", {"y4", "w4", "b4"}, {"p4"}).Int("dequantize_output", 1);
  }
  net.Op("Add", {"p3", "p4"}, {"p"});
  caffe2::NetDef definition = net.Build();
  for (auto& op : *definition.mutable_op()) {
    if (op.type() != "Add") op.set_engine("ONEDNN");
  }
  return definition;
}

caffe2::NetBase* MakeNet(caffe2::Workspace* workspace, const Model& model,
                         const std::string& type, bool is_static) {
  model.Feed(workspace);
  model.FeedImages(workspace, 0, 1);
  return workspace->CreateNet(Definition(type, is_static));
}

std::vector<float> ResultsOf(const Model& model) {
  caffe2::Workspace workspace;
  caffe2::NetBase* const net = MakeNet(&workspace, model, "simple", true);
  model.FeedImages(&workspace, 0, kImages);
  EXPECT_TRUE(net->Run());
  return Fetch<float>(workspace, "p");
}

// Runs a net of images that are next to each other, each with its result.
void RunSome(caffe2::Workspace* workspace, caffe2::NetBase* net,
             const Model& model, const std::vector<float>& results,
             TestRandom* random) {
  const int64_t count = random->Integer(1, kImages);
  const int64_t first = random->Integer(0, kImages - count);
  model.FeedImages(workspace, first, count);
  ASSERT_TRUE(net->Run());
  const auto each = static_cast<int64_t>(results.size()) / kImages;
  ASSERT_EQ(Fetch<float>(*workspace, "p"),
            (std::vector<float>(results.begin() + first * each,
                                results.begin() + (first + count) * each)));
}

class EngineMemory : public testing::TestWithParam<bool> {};

TEST_P(EngineMemory, IsFlatOver10000Runs) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's memory is not the program's";
  TestRandom random;
  const Model model(&random);
  caffe2::Workspace workspace;
  caffe2::NetBase* const net = MakeNet(&workspace, model, "simple", GetParam());
  const auto run = [&](int64_t count) {
    model.FeedImages(&workspace, 0, count);
    ASSERT_TRUE(net->Run());
  };
  for (int64_t count = 1; count <= kImages; ++count) run(count);
  for (int i = 0; i < 500; ++i) run(random.Integer(1, kImages));
  const int64_t before = ResidentBytes();
  for (int i = 0; i < 10000; ++i) run(random.Integer(1, kImages));
  EXPECT_LE(ResidentBytes() - before, 1 << 20);
}

INSTANTIATE_TEST_SUITE_P(Parameters, EngineMemory, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool>& info) {
                           return info.param ? "given" : "chosen";
                         });

// More shapes than plans are kept.
TEST(EngineStress, MemoryIsFlatOverShapesThatChange) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's memory is not the program's";
  TestRandom random;
  const Model model(&random);
  caffe2::Workspace workspace;
  model.Feed(&workspace);
  model.FeedImages(&workspace, 0, 1);
  caffe2::NetBase* const net =
      workspace.CreateNet(Definition("simple", true, /*any_size=*/true));
  const auto run = [&] {
    const int64_t batch = random.Integer(1, 3);
    const int64_t height = random.Integer(1, 20), width = random.Integer(1, 20);
    FeedFloats(&workspace, "x",
               {model.images.begin(),
                model.images.begin() + batch * height * width * kChannels},
               {batch, height, width, kChannels});
    ASSERT_TRUE(net->Run());
  };
  for (int i = 0; i < 2000; ++i) run();
  const int64_t before = ResidentBytes();
  for (int i = 0; i < 5000; ++i) run();
  EXPECT_LE(ResidentBytes() - before, 1 << 20);
}

// The weights of Int8ConvPackWeight of the same filter tell how many hold them.
std::weak_ptr<const ConvWeights<int8_t>> Witness(caffe2::Workspace* workspace,
                                                 const Model& model) {
  model.Feed(workspace);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8ConvPackWeight", {"w1"}, {"packed"});
  definition.set_engine("ONEDNN");
  EXPECT_TRUE(workspace->RunOperatorOnce(definition));
  return workspace->GetBlob("packed")->Get<PackedConvWeights>().weights;
}

TEST(EngineStress, FourNetsInFourThreadsShareWeights) {
  TestRandom random;
  const Model model(&random);
  const std::vector<float> results = ResultsOf(model);
  caffe2::Workspace other;
  const auto weights = Witness(&other, model);
  ASSERT_EQ(weights.use_count(), 1);
  ASSERT_EQ(NumSharedFcWeights(), 0);

  std::vector<std::unique_ptr<caffe2::Workspace>> workspaces;
  std::vector<caffe2::NetBase*> nets;
  for (const char* type : kTypes) {
    workspaces.push_back(std::make_unique<caffe2::Workspace>());
    nets.push_back(MakeNet(workspaces.back().get(), model, type, true));
    ASSERT_TRUE(nets.back()->Run());
  }
  EXPECT_EQ(weights.use_count(), 5);
  EXPECT_EQ(NumSharedFcWeights(), 1);

  std::vector<std::unique_ptr<TestRandom>> randoms;
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < nets.size(); ++i) {
    randoms.push_back(std::make_unique<TestRandom>());
  }
  for (std::size_t i = 0; i < nets.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < (kSanitized ? 50 : 500); ++run) {
        RunSome(workspaces[i].get(), nets[i], model, results, randoms[i].get());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(weights.use_count(), 5);
  workspaces.clear();
  EXPECT_EQ(weights.use_count(), 1);
  EXPECT_EQ(NumSharedFcWeights(), 0);
  other.RemoveBlob("packed");
  EXPECT_TRUE(weights.expired());
}

TEST(EngineStress, NetsComeAndGoInFourThreads) {
  TestRandom random;
  const Model model(&random);
  const std::vector<float> results = ResultsOf(model);
  std::weak_ptr<const ConvWeights<int8_t>> weights;
  {
    caffe2::Workspace other;
    weights = Witness(&other, model);
  }
  EXPECT_TRUE(weights.expired());
  std::vector<std::unique_ptr<TestRandom>> randoms;
  for (int i = 0; i < 4; ++i) randoms.push_back(std::make_unique<TestRandom>());
  const auto round = [&](TestRandom* mine) {
    caffe2::Workspace workspace;
    caffe2::NetBase* const net =
        MakeNet(&workspace, model, kTypes[mine->Integer(0, 3)], true);
    RunSome(&workspace, net, model, results, mine);
    if (mine->OneIn(2)) workspace.DeleteNet("net");
  };
  const auto rounds = [&](int count) {
    std::vector<std::thread> threads;
    for (auto& mine : randoms) {
      threads.emplace_back([&] {
        for (int i = 0; i < count; ++i) round(mine.get());
      });
    }
    for (auto& thread : threads) thread.join();
  };
  rounds(kSanitized ? 10 : 50);
  const int64_t before = ResidentBytes();
  rounds(kSanitized ? 10 : 250);
  const int64_t grown = ResidentBytes() - before;
  if (!kSanitized) {
    EXPECT_LE(grown, 4 << 20);
  }
}

// By the process's memory: four nets of four workspaces, each with floats of
// its own, of which the packed form is 8 MiB.
TEST(EngineStress, WeightsAreInMemoryOnce) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's memory is not the program's";
  constexpr int64_t kIn = 2048, kOut = 4096, kPacked = kIn * kOut;
  TestRandom random;
  const std::vector<float> w = Values(&random, kPacked, 1);
  std::vector<std::unique_ptr<caffe2::Workspace>> workspaces;
  for (int i = 0; i < 4; ++i) {
    workspaces.push_back(std::make_unique<caffe2::Workspace>());
    FeedFloats(workspaces.back().get(), "w", w, {kOut, 1, 1, kIn});
    FeedFloats(workspaces.back().get(), "x", std::vector<float>(kIn, 1),
               {1, 1, 1, kIn});
  }
  NetBuilder builder("net", "simple");
  builder.Op("Conv", {"x", "w"}, {"y"})
      .Int("kernel", 1)
      .String("order", "NHWC")
      .Float("Y_scale", 1)
      .Int("Y_zero_point", 128);
  caffe2::NetDef definition = builder.Build();
  definition.mutable_op(0)->set_engine("ONEDNN");
  std::vector<int64_t> grown;
  for (auto& workspace : workspaces) {
    const int64_t before = ResidentBytes();
    caffe2::NetBase* const net = workspace->CreateNet(definition);
    ASSERT_TRUE(net->Run());
    grown.push_back(ResidentBytes() - before);
  }
  // Small blocks that were free before may hold a little of it.
  EXPECT_GE(grown[0], kPacked - kPacked / 8);
  EXPECT_LE(grown[0], 2 * kPacked);
  for (int i = 1; i < 4; ++i) EXPECT_LE(grown[i], kPacked / 8) << i;
}

}  // namespace
}  // namespace caffe2_quantization
