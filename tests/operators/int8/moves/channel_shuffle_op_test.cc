// ChannelShuffle and Int8ChannelShuffle under the engine ONEDNN, against a
// plain definition and against DNNLOWP.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

bool IsChannelsFirst(const OperatorCase& c) {
  return c.Argument<std::string>("order", "NCHW") == "NCHW";
}

// By the definition: channel k * group + g is X's channel g * (C / group) + k.
std::vector<Expected> Shuffled(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const bool first = IsChannelsFirst(c);
  const int64_t channels = first ? x.shape[1] : x.shape.back();
  const int64_t plane =
      first ? NumValues(Shape(x.shape.begin() + 2, x.shape.end())) : 1;
  const int64_t groups = c.Argument("group", 1);
  Expected y;
  y.shape = x.shape;
  y.values.resize(x.count());
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t row = i / plane, channel = row % channels;
    const int64_t source =
        channel % groups * (channels / groups) + channel / groups;
    y.values[i] = x.Real((row - channel + source) * plane + i % plane);
  }
  return {y};
}

void Vary(TestRandom* random, OperatorCase* c) {
  const bool channels_first = random->OneIn(2);
  const int64_t groups = random->Integer(1, random->OneIn(4) ? 20 : 9);
  const int64_t per_group =
      random->OneIn(30) ? 0 : random->Integer(1, random->OneIn(4) ? 70 : 6);
  Shape shape = c->Input(0).shape;
  (channels_first ? shape[1] : shape.back()) = groups * per_group;
  c->Input(0) = c->RandomInput(random, shape);
  if (groups != 1 || random->OneIn(2)) c->Arguments().Int("group", groups);
  if (!channels_first || random->OneIn(2)) {
    c->Arguments().String("order", channels_first ? "NCHW" : "NHWC");
  }
  if (random->OneIn(2)) c->Arguments().Int("kernel", 1);
  // DNNLOWP takes no floats, and gives none; of NHWC without channels it ends
  // the process, by a division by 0.
  c->host_is_wrong = c->HasFloats() ||
                     c->Argument("dequantize_output", 0) == 1 ||
                     (!channels_first && per_group == 0);
}

TEST(ChannelShuffleOp, LikeTheDefinitionAndDnnlowp) {
  OperatorTester("ChannelShuffle")
      .Rank(2, 4)
      .TakesFloats()
      // Floats that stay floats may be anything.
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .KeepsParameters()
      .Vary(Vary)
      .Reference(Shuffled)
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(int64_t groups, const std::string& order) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "ChannelShuffle", {"x"}, {"y"})
      .Int("group", groups)
      .String("order", order);
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(ChannelShuffleOp, ChannelsOfTheGroupsTakeTurns) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {1, 1, 6}, 0.5f, 9);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(2, "NHWC")));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 1, 6}, {1, 4, 2, 5, 3, 6}, 0.5f, 9}));
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6, 7, 8}, {1, 4, 2}, 0.5f,
                     9);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(2, "NCHW")));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 4, 2}, {1, 2, 5, 6, 3, 4, 7, 8}, 0.5f, 9}));
}

// Larger than the last cache level, in parts.
TEST(ChannelShuffleOp, PastTheCache) {
  for (const char* order : {"NHWC", "NCHW"}) {
    caffe2::Workspace workspace;
    const bool channels_first = *order == 'N' && order[1] == 'C';
    const int64_t channels = 60, groups = 5, plane = 1000;
    const int64_t images = 700;
    const Shape shape = channels_first ? Shape{images, channels, plane}
                                       : Shape{images, plane, channels};
    std::vector<uint8_t> codes(images * channels * plane);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
    }
    FeedCodes(&workspace, "x", codes, shape, 0.5f, 9);
    const onednn::ThreadsScope threads(channels_first ? 1 : 3);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition(groups, order)));
    const auto* const y = workspace.GetBlob("y")
                              ->Get<caffe2::int8::Int8TensorCPU>()
                              .t.data<uint8_t>();
    int64_t wrong = 0;
    for (int64_t i = 0; i < static_cast<int64_t>(codes.size()); ++i) {
      const int64_t inner = channels_first ? plane : 1;
      const int64_t row = i / inner, c = row % channels;
      const int64_t source =
          row - c + c % groups * (channels / groups) + c / groups;
      wrong += y[i] != codes[source * inner + i % inner];
    }
    EXPECT_EQ(wrong, 0) << order;
  }
}

TEST(ChannelShuffleOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  const Int8Values before = FetchCodes(workspace, "y");
  const auto expect = [&](const Shape& shape, int64_t groups,
                          const std::string& order, const std::string& part) {
    std::vector<uint8_t> codes(NumValues(shape));
    for (const bool measures : {false, true}) {
      FeedCodes(&workspace, "x", codes, shape, 0.5f, 9);
      auto definition = Definition(groups, order);
      if (measures) OpBuilder(&definition).Int("measure_quantization_error", 1);
      const std::string error =
          ErrorOf([&] { workspace.RunOperatorOnce(definition); });
      EXPECT_NE(error.find("ChannelShuffle: " + part), std::string::npos)
          << error;
      EXPECT_EQ(FetchCodes(workspace, "y"), before);
    }
  };
  // The float operator divides by it, or reads anywhere.
  expect({1, 6}, 0, "NHWC", "argument group is 0, expected 1 or more");
  expect({1, 6}, -2, "NCHW", "argument group is -2, expected 1 or more");
  expect({6}, 2, "NCHW",
         "tensor 'x' has sizes [6], expected two dimensions or more");
  expect({1, 6, 4}, 4, "NCHW",
         "tensor 'x' has sizes [1, 6, 4], 6 channels, expected a multiple of "
         "group 4");
  expect({1, 4, 6}, 4, "NHWC",
         "tensor 'x' has sizes [1, 4, 6], 6 channels, expected a multiple of "
         "group 4");
  expect({1, 6}, 2, "CHWN", "argument order is 'CHWN', expected NCHW or NHWC");
  workspace.RemoveBlob("x");
  FeedFloats(&workspace, "x", {1, std::nanf("")}, {1, 2});
  const std::string error =
      ErrorOf([&] { workspace.RunOperatorOnce(Definition(2, "NCHW")); });
  EXPECT_NE(error.find("ChannelShuffle: tensor 'x' has 1 of 2 values that are "
                       "NaN or infinite"),
            std::string::npos)
      << error;
}

}  // namespace
}  // namespace caffe2_quantization
