// Mutated nets with the measurements of the nets that they were: an error that
// names what is wrong, or a net that is well-formed; never a signal, and little
// memory.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>

#include "caffe2/core/net.h"
#include "netdef/given_weights.h"
#include "netdef/net_inputs.h"
#include "tests/rewrite/net_case.h"
#include "tests/rewrite/net_mutator.h"
#include "tests/support/measure_net.h"
#include "tests/support/model_files.h"
#include "tests/support/mutated_bytes.h"
#include "tests/support/random_nets.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// A real net, whole.
struct Victim {
  std::string name;
  caffe2::NetDef init, predict;
  Measurements measurements;
};

Victim Digits() {
  const char* const folder = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  const std::string path =
      std::string(folder == nullptr ? "." : folder) + "/examples/digits/";
  Victim victim;
  victim.name = "digits";
  caffe2::TensorProtos images;
  EXPECT_TRUE(victim.init.ParseFromString(ReadText(path + "init_net.pb")));
  EXPECT_TRUE(
      victim.predict.ParseFromString(ReadText(path + "predict_net.pb")));
  EXPECT_TRUE(images.ParseFromString(ReadText(path + "test_images.pb")));
  caffe2::Workspace workspace;
  const auto& values = images.protos(0).float_data();
  FeedFloats(&workspace, "data",
             std::vector<float>(values.begin(), values.begin() + 8 * 64),
             {8, 1, 8, 8});
  EXPECT_TRUE(workspace.RunNetOnce(victim.init));
  const std::set<std::string> data = {"data"};
  victim.measurements = MeasureNet(victim.predict, &workspace, &data);
  return victim;
}

Victim Random(uint64_t seed) {
  std::mt19937_64 random(seed);
  caffe2::Workspace workspace;
  const RandomNet net = FeedRandomNet(&workspace, &random);
  Victim victim;
  victim.name = "random net " + std::to_string(seed);
  victim.predict = net.net;
  victim.init = InitNetOf(net.net, workspace, net.data);
  victim.measurements = MeasureNet(net.net, &workspace, &net.data);
  return victim;
}

// A net with nets in it.
Victim Branching() {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  Feed<bool>(&net.workspace(), "cond", {true});
  net.MarkAsData("cond");
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Relu", {"a"}, {"b"});
  NetBuilder branch("then", "simple");
  branch.Op("Conv", {"a", "a_w", "a_b"}, {"b"}).Int("kernel", 3).Int("pad", 1);
  NetBuilder inner("inner", "simple");
  inner.Op("Relu", {"b"}, {"b"});
  branch.Op("If", {"cond"}, {});
  caffe2::NetDef branch_net = branch.Build();
  caffe2::Argument* const within = branch_net.mutable_op(1)->add_arg();
  within->set_name("then_net");
  *within->mutable_n() = inner.Build();
  net.Op("If", {"cond"}, {});
  caffe2::Argument* const then = net.Last()->add_arg();
  then->set_name("then_net");
  *then->mutable_n() = branch_net;
  net.Conv("b", "c", 4, 4, 3);
  net.Fc("a", "y", 144, 4);
  net.Output("y");
  net.Output("c");
  EXPECT_EQ(net.Quantize(), "");
  return {"branching", net.Init(), net.net(), net.measurements()};
}

const std::vector<Victim>& Victims() {
  static const auto* const victims = [] {
    auto* const made = new std::vector<Victim>{Digits(), Branching()};
    for (uint64_t seed = 1; seed <= 8; ++seed) made->push_back(Random(seed));
    return made;
  }();
  return *victims;
}

// What an int8 net has that its float net does not excuse; "": nothing.
std::string FaultOf(const QuantizedNets& nets, const caffe2::NetDef& init,
                    const caffe2::NetDef& predict) {
  const std::vector<std::string> inputs = InputsOf(predict);
  std::set<std::string> there(inputs.begin(), inputs.end());
  for (const caffe2::OperatorDef& op : nets.init.op()) {
    there.insert(op.output().begin(), op.output().end());
    if (op.type() != kGivenWeightsType || init.op_size() == 0) continue;
    GivenWeights weights;
    const Status status = ReadGivenWeights(op, &weights);
    if (!status.ok()) return status.message();
  }
  std::set<std::string> declared, made;
  for (const std::string& name : nets.predict.external_input()) {
    if (there.count(name) == 0) return "external input '" + name + "'";
    declared.insert(name);
  }
  made = declared;
  for (const caffe2::OperatorDef& op : nets.predict.op()) {
    if (op.type().empty()) return "an operator without a type";
    for (const std::string& input : op.input()) {
      if (made.count(input) == 0) {
        return op.type() + " reads '" + input + "', which nothing makes";
      }
    }
    made.insert(op.output().begin(), op.output().end());
  }
  std::set<std::string> before(inputs.begin(), inputs.end());
  for (const caffe2::OperatorDef& op : predict.op()) {
    before.insert(op.output().begin(), op.output().end());
  }
  if (nets.predict.external_output_size() != predict.external_output_size()) {
    return "external outputs";
  }
  for (const std::string& name : predict.external_output()) {
    if (before.count(name) != 0 && made.count(name) == 0) {
      return "external output '" + name + "' is not made";
    }
  }
  return "";
}

// Makes a net int8. Returns what is wrong with how that went.
std::string Try(const caffe2::NetDef& init, const caffe2::NetDef& predict,
                const Measurements& measurements, uint64_t seed, bool* done) {
  QuantizeOptions options;
  if (seed % 5 == 1) options.engine = "DNNLOWP";
  if (seed % 7 == 1) options.int8_io = true;
  if (seed % 11 == 1) options.per_channel = false;
  if (seed % 13 == 1) options.activation_method = ChooseMethod::kMse;
  QuantizedNets nets;
  const Status status =
      QuantizeNet(init, predict, measurements, options, HasInt8Key, &nets);
  *done = status.ok();
  if (status.ok()) {
    const std::string fault = FaultOf(nets, init, predict);
    if (!fault.empty()) return fault;
    // What came of it can be written and read, and made by its recipe.
    QuantizedNets again;
    const Status by_recipe =
        QuantizeNetBy(nets.recipe, init, predict, HasInt8Key, &again);
    if (!by_recipe.ok()) return "by its recipe: " + by_recipe.message();
    if (again.predict.SerializePartialAsString() !=
        nets.predict.SerializePartialAsString()) {
      return "its recipe makes another net";
    }
    return "";
  }
  const std::string& message = status.message();
  if (status.message().find("contradicts itself") != std::string::npos) {
    return "a graph that contradicts itself: " + message;
  }
  if (message.find('\'') == std::string::npos &&
      message.find("operator ") == std::string::npos) {
    return "an error that names nothing: " + message;
  }
  return "";
}

// Bytes of a line of /proc/self/status; 0: the system does not tell.
uint64_t StatusBytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, key.size() + 1, key + ':') == 0) {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) << 10;
    }
  }
  return 0;
}

// Watches the most memory that is taken in its life.
class Peak {
 public:
  Peak() {
    Victims();
    malloc_trim(0);
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = StatusBytes("VmRSS");
  }
  ~Peak() {
    const uint64_t peak = StatusBytes("VmHWM");
    if (peak == 0) return;
    std::printf(
        "%lld KiB more at the peak\n",
        (static_cast<long long>(peak) - static_cast<long long>(before_)) /
            1024);
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed
    EXPECT_LT(peak, before_ + (uint64_t{512} << 20));
#endif
  }

 private:
  uint64_t before_;
};

TEST(HostileNets, MutatedBytes) {
  const int64_t count = CaseCount(300, 2000);
  const Peak peak;
  int parsed = 0, done = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Victim& victim =
        Victims()[static_cast<std::size_t>(i) % Victims().size()];
    const auto seed = static_cast<uint64_t>(i);
    SCOPED_TRACE(victim.name + ", seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    caffe2::NetDef init = victim.init, predict = victim.predict;
    if (seed % 3 != 0 && !predict.ParsePartialFromString(Mutated(
                             victim.predict.SerializeAsString(), &random))) {
      continue;
    }
    if (seed % 3 != 1 && !init.ParsePartialFromString(Mutated(
                             victim.init.SerializeAsString(), &random))) {
      continue;
    }
    ++parsed;
    bool is_done = false;
    EXPECT_EQ(Try(init, predict, victim.measurements, seed, &is_done), "");
    done += is_done ? 1 : 0;
  }
  std::printf("%lld cases: %d parsed, %d became int8\n",
              static_cast<long long>(count), parsed, done);
  EXPECT_GT(parsed, count / 20);
  EXPECT_GT(done, parsed / 20);
  EXPECT_LT(done, parsed);
}

TEST(HostileNets, MutatedMeanings) {
  const int64_t count = CaseCount(500, 4000);
  const Peak peak;
  int done = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto seed = static_cast<uint64_t>(i);
    const Victim& victim =
        Victims()[static_cast<std::size_t>(i) % Victims().size()];
    SCOPED_TRACE(victim.name + ", seed " + std::to_string(seed));
    caffe2::NetDef init = victim.init, predict = victim.predict;
    Measurements measurements = victim.measurements;
    NetMutator mutator(seed);
    mutator.Mutate(&init, &predict);
    if (seed % 4 == 0) mutator.Mutate(predict, &measurements);
    bool is_done = false;
    EXPECT_EQ(Try(init, predict, measurements, seed, &is_done), "");
    done += is_done ? 1 : 0;
  }
  std::printf("%lld cases: %d became int8\n", static_cast<long long>(count),
              done);
  EXPECT_GT(done, count / 4);
  EXPECT_LT(done, count);
}

// A few bytes that ask for much.
TEST(HostileNets, ManyLargeFillsTakeLittleMemory) {
  const Peak peak;
  NetBuilder init("init", "simple"), predict("predict", "simple");
  predict.Input("x");
  Measurements measurements;
  Measured measured;
  measured.type = "float";
  measured.has_shape = true;
  measured.shape = {1, 4096};
  measured.range = ValueRange::OfFloats(-1, 1);
  measurements.SetInput("x", measured);
  for (int i = 0; i < 1000; ++i) {
    const std::string id = std::to_string(i);
    init.Op("ConstantFill", {}, {"w" + id}).Ints("shape", {4096, 4096});
    init.Op("ConstantFill", {}, {"b" + id}).Ints("shape", {4096});
    predict.Op("FC", {"x", "w" + id, "b" + id}, {"y" + id});
    measurements.SetOutput(i, 0, measured);
  }
  QuantizedNets nets;
  const Status status = QuantizeNet(init.Build(), predict.Build(), measurements,
                                    {}, HasInt8Key, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(nets.operator_counts["Int8FC (ONEDNN)"], 1);
  EXPECT_EQ(nets.operator_counts["FC"], 999);
}

// Long chains, and many values of one blob, take no time that grows by their
// square.
TEST(HostileNets, LongChainsOfOneBlob) {
  constexpr int kOperators = 20000;
  NetBuilder predict("predict", "simple");
  predict.Input("x");
  Measurements measurements;
  Measured measured;
  measured.type = "float";
  measured.has_shape = true;
  measured.shape = {1, 4};
  measured.range = ValueRange::OfFloats(-1, 1);
  measurements.SetInput("x", measured);
  for (int i = 0; i < kOperators; ++i) {
    predict.Op(i % 2 == 0 ? "Relu" : "Flatten", {"x"}, {"x"});
    measurements.SetOutput(i, 0, measured);
  }
  QuantizedNets nets;
  const Status status =
      QuantizeNet({}, predict.Build(), measurements, {}, HasInt8Key, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(nets.predict.op_size(), kOperators);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
