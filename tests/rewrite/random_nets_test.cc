// Random nets: what keeps values keeps them; int8 nets load, run, and are what
// their operators should make of their codes.
#include "tests/support/random_nets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "caffe2/core/net.h"
#include "tests/rewrite/emulate_int8.h"
#include "tests/rewrite/net_case.h"
#include "tests/rewrite/run_passes.h"
#include "tests/support/measure_net.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// A random net, measured, with the outputs of its run.
struct MeasuredNet {
  caffe2::NetDef net, init;
  std::set<std::string> data;
  caffe2::Workspace inputs;  // the data as they were fed
  Measurements measurements;
  std::map<std::string, std::vector<float>> outputs;
  std::map<std::string, std::vector<int64_t>> shapes;

  void Make(std::mt19937_64* random) {
    caffe2::Workspace workspace;
    const RandomNet made = FeedRandomNet(&workspace, random);
    net = made.net;
    data = made.data;
    init = InitNetOf(net, workspace, data);
    for (const std::string& name : data) {
      inputs.CreateBlob(name)->Reset(new caffe2::Tensor(
          workspace.GetBlob(name)->Get<caffe2::Tensor>().Clone()));
    }
    measurements = MeasureNet(net, &workspace, &data);
    for (const std::string& name : OutputsOf(net)) {
      const auto& tensor = workspace.GetBlob(name)->Get<caffe2::Tensor>();
      if (!tensor.IsType<float>()) continue;
      outputs[name] = Fetch<float>(workspace, name);
      shapes[name] = tensor.sizes().vec();
    }
  }

  // The external outputs, or what nobody reads.
  static std::vector<std::string> OutputsOf(const caffe2::NetDef& net) {
    std::vector<std::string> outputs(net.external_output().begin(),
                                     net.external_output().end());
    if (!outputs.empty()) return outputs;
    std::set<std::string> read;
    for (int i = net.op_size(); i-- > 0;) {
      const caffe2::OperatorDef& op = net.op(i);
      const bool has_aside = op.type() == "Concat" || op.type() == "Dropout" ||
                             op.type() == "Reshape";
      for (int slot = 0; slot < op.output_size(); ++slot) {
        if (read.count(op.output(slot)) == 0 && (slot == 0 || !has_aside)) {
          outputs.push_back(op.output(slot));
        }
        read.insert(op.output(slot));
      }
      read.insert(op.input().begin(), op.input().end());
    }
    return outputs;
  }

  void Feed(caffe2::Workspace* workspace) const {
    for (const std::string& name : data) {
      workspace->CreateBlob(name)->Reset(new caffe2::Tensor(
          inputs.GetBlob(name)->Get<caffe2::Tensor>().Clone()));
    }
  }
};

TEST(RandomNets, PassesThatKeepValuesKeepThem) {
  TestRandom random;
  const int64_t count = CaseCount(60, 500);
  int folded = 0, compared = 0, beyond = 0;
  for (int64_t i = 0; i < count; ++i) {
    MeasuredNet net;
    net.Make(&random.generator());
    for (const char* last : {"canonical", "fold"}) {
      Rewrite rewrite;
      ASSERT_EQ(RunPasses(last, net.init, net.net, net.measurements, {},
                          HasInt8Key, &rewrite),
                "")
          << i;
      const caffe2::NetDef after = rewrite.graph.Build();
      folded += net.net.op_size() - after.op_size();
      caffe2::Workspace workspace;
      net.Feed(&workspace);
      ASSERT_TRUE(workspace.RunNetOnce(InitOf(net.init, rewrite.graph)));
      ASSERT_EQ(ErrorOf([&] { CAFFE_ENFORCE(workspace.RunNetOnce(after)); }),
                "")
          << i << "\n"
          << net.net.DebugString() << after.DebugString();
      for (const auto& output : net.outputs) {
        const std::vector<float> values = Fetch<float>(workspace, output.first);
        ASSERT_EQ(values.size(), output.second.size());
        double largest = 0, error = 0;
        for (std::size_t k = 0; k < values.size(); ++k) {
          largest = std::max(largest,
                             std::abs(static_cast<double>(output.second[k])));
          error = std::max(error, std::abs(static_cast<double>(values[k]) -
                                           output.second[k]));
        }
        // Where sums cancel, floats show in which order they were added.
        largest = std::max(largest, 1e-3);
        ++compared;
        beyond += error > 1e-5 * largest ? 1 : 0;
        ASSERT_LE(error, 1e-3 * largest)
            << "net " << i << ", pass " << last << ", output '" << output.first
            << "'\n"
            << net.net.DebugString() << "\nafter\n"
            << after.DebugString();
      }
    }
  }
  EXPECT_GT(folded, count);
  EXPECT_LE(beyond, compared / 1000 + 1) << compared;
}

TEST(RandomNets, Int8NetsAreWhatTheirOperatorsMakeOfTheirCodes) {
  TestRandom random;
  const int64_t count = CaseCount(60, 500);
  std::map<std::string, int> operators;
  std::vector<double> ratios;
  for (int64_t i = 0; i < count; ++i) {
    MeasuredNet net;
    net.Make(&random.generator());
    QuantizeOptions options;
    options.per_channel = !random.OneIn(4);
    if (random.OneIn(5)) {
      options.activation_bits = static_cast<int>(random.Integer(4, 8));
      options.weight_bits = static_cast<int>(random.Integer(4, 8));
    }
    if (random.OneIn(6)) options.keep_float = {"Conv|Fl.*|Sum|Split|FC|Add|.*"};
    if (random.OneIn(6)) {
      const caffe2::OperatorDef& op = net.net.op(
          static_cast<int>(random.Integer(0, net.net.op_size() - 1)));
      options.keep_float = {op.type()};
    }
    if (random.OneIn(6)) options.activation_method = ChooseMethod::kMse;
    SCOPED_TRACE("net " + std::to_string(i) + "\n" + net.net.DebugString());
    QuantizedNets nets;
    Status status = QuantizeNet(net.init, net.net, net.measurements, options,
                                HasInt8Key, &nets);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(IllFormed(nets, net.net, net.data), "")
        << nets.predict.DebugString();
    caffe2::Workspace whole;
    net.Feed(&whole);
    ASSERT_TRUE(whole.RunNetOnce(nets.init));
    ASSERT_EQ(ErrorOf([&] { CAFFE_ENFORCE(whole.RunNetOnce(nets.predict)); }),
              "")
        << nets.predict.DebugString();
    caffe2::Workspace single;
    net.Feed(&single);
    ASSERT_EQ(RunAndCompare(nets.init, nets.predict, &single, &operators), "")
        << nets.predict.DebugString();
    for (const auto& output : net.outputs) {
      const auto& tensor = whole.GetBlob(output.first)->Get<caffe2::Tensor>();
      ASSERT_TRUE(tensor.IsType<float>());
      ASSERT_EQ(tensor.sizes().vec(), net.shapes[output.first]);
      ratios.push_back(
          SqnrOf(output.second, Fetch<float>(whole, output.first)));
    }
    // The same bytes again, and by the recipe.
    QuantizedNets again;
    ASSERT_TRUE(QuantizeNet(net.init, net.net, net.measurements, options,
                            HasInt8Key, &again)
                    .ok());
    ASSERT_EQ(again.predict.SerializeAsString(),
              nets.predict.SerializeAsString());
    ASSERT_EQ(again.init.SerializeAsString(), nets.init.SerializeAsString());
    status = QuantizeNetBy(nets.recipe, net.init, net.net, HasInt8Key, &again);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(again.predict.DebugString(), nets.predict.DebugString());
    ASSERT_EQ(again.init.SerializeAsString(), nets.init.SerializeAsString());
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("%zu outputs: SQNR of the 10th part %.1f dB, median %.1f dB\n",
              ratios.size(), ratios[ratios.size() / 10],
              ratios[ratios.size() / 2]);
  for (const auto& type : operators) {
    std::printf("%6d %s\n", type.second, type.first.c_str());
  }
  EXPECT_GT(ratios[ratios.size() / 2], 20);
}

// The same nets for DNNLOWP, which has fewer operators; they run.
TEST(RandomNets, NetsOfDnnlowpRun) {
  TestRandom random;
  const int64_t count = CaseCount(20, 200);
  std::vector<double> ratios;
  for (int64_t i = 0; i < count; ++i) {
    MeasuredNet net;
    net.Make(&random.generator());
    QuantizeOptions options;
    options.engine = "DNNLOWP";
    SCOPED_TRACE("net " + std::to_string(i) + "\n" + net.net.DebugString());
    QuantizedNets nets;
    const Status status = QuantizeNet(net.init, net.net, net.measurements,
                                      options, HasInt8Key, &nets);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(IllFormed(nets, net.net, net.data), "");
    caffe2::Workspace whole;
    net.Feed(&whole);
    ASSERT_TRUE(whole.RunNetOnce(nets.init));
    ASSERT_EQ(ErrorOf([&] { CAFFE_ENFORCE(whole.RunNetOnce(nets.predict)); }),
              "")
        << nets.predict.DebugString();
    for (const auto& output : net.outputs) {
      ratios.push_back(
          SqnrOf(output.second, Fetch<float>(whole, output.first)));
    }
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("%zu outputs: median %.1f dB\n", ratios.size(),
              ratios[ratios.size() / 2]);
  EXPECT_GT(ratios[ratios.size() / 2], 20);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
