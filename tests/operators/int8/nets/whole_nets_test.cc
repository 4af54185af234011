// Whole nets of int8 operators, all of the engine ONEDNN: near their float
// forms, at least as near as the same net under DNNLOWP.
#include "tests/support/whole_nets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <set>

#include "caffe2/core/net.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

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

INSTANTIATE_TEST_SUITE_P(
    , WholeNets, testing::ValuesIn(WholeNetNames()), [](const auto& info) {
      std::string name = info.param;
      name.erase(std::remove(name.begin(), name.end(), '-'), name.end());
      return name;
    });

}  // namespace
}  // namespace caffe2_quantization
