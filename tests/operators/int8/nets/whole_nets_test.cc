// Whole nets of int8 operators, all of the engine ONEDNN: near their float
// forms, at least as near as the same net under DNNLOWP.
#include "tests/support/whole_nets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "caffe2/core/net.h"
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

constexpr int64_t kImageSize = 64;

// What goes into a Softmax, or comes out of a Sigmoid: in it a net's error is
// seen best.
std::string LastValues(const WholeNet& net) {
  const auto& last = net.floats.op(net.floats.op_size() - 1);
  return last.type() == "Softmax" ? last.input(0) : last.output(0);
}

double Sqnr(const std::vector<float>& expected,
            const std::vector<float>& actual) {
  EXPECT_EQ(expected.size(), actual.size());
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = double{expected[i]} - actual[i];
    signal += double{expected[i]} * expected[i];
    noise += error * error;
  }
  return 10 * std::log10(signal / noise);
}

class WholeNets : public testing::TestWithParam<std::string> {};

TEST_P(WholeNets, HasNoOperatorOfAnotherEngine) {
  caffe2::Workspace workspace;
  const WholeNet net = FeedWholeNet(&workspace, GetParam(), 2, kImageSize);
  const caffe2::NetDef int8 = Int8Form(net, "ONEDNN", &workspace);
  const std::set<std::string> floats = {"NCHW2NHWC", "SparseLengthsSum",
                                        "Softmax"};
  for (const caffe2::OperatorDef& op : int8.op()) {
    if (floats.count(op.type()) != 0) continue;
    EXPECT_EQ(op.engine(), "ONEDNN") << op.type();
    EXPECT_TRUE(
        caffe2::CPUOperatorRegistry()->Has(op.type() + "_ENGINE_ONEDNN"))
        << op.type();
  }
}

TEST_P(WholeNets, IsAsNearToFloatsAsDnnlowp) {
  caffe2::Workspace workspace;
  const WholeNet net = FeedWholeNet(&workspace, GetParam(), 2, kImageSize);
  const caffe2::NetDef ours = Int8Form(net, "ONEDNN", &workspace);
  const caffe2::NetDef host = Int8Form(net, "DNNLOWP", &workspace);
  const std::string last = LastValues(net);
  const auto expected = Fetch<float>(workspace, last);
  ASSERT_TRUE(workspace.RunNetOnce(host));
  const double host_sqnr = Sqnr(expected, Fetch<float>(workspace, last));
  ASSERT_TRUE(workspace.RunNetOnce(ours));
  const double our_sqnr = Sqnr(expected, Fetch<float>(workspace, last));
  std::printf("%s: SQNR %.2f dB, under DNNLOWP %.2f dB\n", GetParam().c_str(),
              our_sqnr, host_sqnr);
  // Ours has a scale for each output channel.
  EXPECT_GE(our_sqnr, host_sqnr - 1);
  EXPECT_GE(our_sqnr, 10);
}

// A net of DNNLOWP's moved over by its engine alone.
TEST(WholeNetsOfDnnlowp, HoldTheirMemoryWithChangingBatches) {
  const int64_t runs = kSanitized ? 500 : 10000;
  constexpr int64_t kSmall = 32, kMostImages = 4;
  TestRandom random;
  caffe2::Workspace workspace;
  const WholeNet net =
      FeedWholeNet(&workspace, "SqueezeNet", kMostImages, kSmall);
  caffe2::NetDef moved = Int8Form(net, "DNNLOWP", &workspace);
  for (caffe2::OperatorDef& op : *moved.mutable_op()) {
    if (op.engine() == "DNNLOWP") op.set_engine("ONEDNN");
  }
  const auto images = Fetch<float>(workspace, "data");
  const int64_t image = static_cast<int64_t>(images.size()) / kMostImages;
  caffe2::NetBase* const made = workspace.CreateNet(moved);
  ASSERT_NE(made, nullptr);
  std::vector<std::vector<float>> expected(kMostImages + 1);
  int64_t resident = 0;
  for (int64_t run = 0; run < runs; ++run) {
    const int64_t batch = random.Integer(1, kMostImages);
    FeedFloats(&workspace, "data",
               {images.begin(), images.begin() + batch * image},
               {batch, 3, kSmall, kSmall});
    ASSERT_TRUE(made->Run());
    auto output = Fetch<float>(workspace, net.output);
    if (expected[batch].empty()) expected[batch] = output;
    ASSERT_EQ(output, expected[batch]) << "run " << run;
    if (run == runs / 4) resident = ResidentBytes();
  }
  EXPECT_TRUE(kSanitized || ResidentBytes() - resident < 4 << 20)
      << ResidentBytes() - resident << " bytes more";
}

INSTANTIATE_TEST_SUITE_P(
    , WholeNets, testing::ValuesIn(WholeNetNames()), [](const auto& info) {
      std::string name = info.param;
      name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
      return name;
    });

}  // namespace
}  // namespace caffe2_quantization
