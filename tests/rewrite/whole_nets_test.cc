// Whole nets made int8 by the rewriter: all their operators but a few are int8,
// and they are at least as near to the float nets as those made by hand.
#include "tests/support/whole_nets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <set>

#include "caffe2/core/net.h"
#include "rewrite/quantize_net.h"
#include "tests/support/measure_net.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

bool HasKey(const std::string& key) {
  return caffe2::CPUOperatorRegistry()->Has(key);
}

std::vector<float> Floats(const caffe2::Workspace& workspace,
                          const std::string& name) {
  const auto& tensor = workspace.GetBlob(name)->Get<caffe2::Tensor>();
  const float* const data = tensor.data<float>();
  return std::vector<float>(data, data + tensor.numel());
}

double Sqnr(const std::vector<float>& expected,
            const std::vector<float>& actual) {
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(expected[i]) - actual[i];
    signal += static_cast<double>(expected[i]) * expected[i];
    noise += difference * difference;
  }
  return 10 * std::log10(signal / noise);
}

class RewriteWholeNets : public testing::TestWithParam<std::string> {};

TEST_P(RewriteWholeNets, IsAsGoodAsByHand) {
  caffe2::Workspace workspace;
  const WholeNet net = FeedWholeNet(&workspace, GetParam(), 2, 64);
  caffe2::NetDef floats = net.floats;
  std::set<std::string> data = {"data"};
  for (const std::string& name : floats.external_input()) {
    if (name.find("_indices") != std::string::npos ||
        name.find("_lengths") != std::string::npos) {
      data.insert(name);
    }
  }
  floats.add_external_output(net.output);
  const caffe2::NetDef init = InitNetOf(floats, workspace, data);
  const Measurements measurements = MeasureNet(floats, &workspace);
  // A Softmax or Sigmoid hides errors: what it reads is compared.
  const caffe2::OperatorDef& end = floats.op(floats.op_size() - 1);
  const std::string last = end.type() == "Softmax" ? end.input(0) : net.output;
  const std::vector<float> expected = Floats(workspace, last);
  QuantizedNets nets;
  const Status status =
      QuantizeNet(init, floats, measurements, {}, HasKey, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  for (const auto& count : nets.operator_counts) {
    std::printf("%4d %s\n", count.second, count.first.c_str());
  }
  caffe2::NetDef by_hand = Int8Form(net, "ONEDNN", &workspace);
  by_hand.set_name("by_hand");
  ASSERT_TRUE(workspace.RunNetOnce(by_hand));
  const double hand = Sqnr(expected, Floats(workspace, last));

  caffe2::Workspace other;
  for (const std::string& name : data) {
    if (!workspace.HasBlob(name)) continue;
    const auto& tensor = workspace.GetBlob(name)->Get<caffe2::Tensor>();
    other.CreateBlob(name)->Reset(new caffe2::Tensor(tensor.Clone()));
  }
  ASSERT_TRUE(other.RunNetOnce(nets.init));
  ASSERT_TRUE(other.RunNetOnce(nets.predict)) << nets.predict.DebugString();
  const double mine = Sqnr(expected, Floats(other, last));
  std::printf("%s: %.2f dB, by hand %.2f dB; %lld bytes, float %lld\n",
              GetParam().c_str(), mine, hand,
              static_cast<long long>(nets.int8_bytes),
              static_cast<long long>(nets.float_bytes));
  EXPECT_GE(mine, hand - 0.5);
}

INSTANTIATE_TEST_SUITE_P(Nets, RewriteWholeNets,
                         testing::ValuesIn(WholeNetNames()),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
