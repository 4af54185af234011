#include "tests/rewrite/net_case.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "caffe2/core/net.h"
#include "caffe2/core/operator.h"
#include "netdef/given_weights.h"
#include "operators/int8/engine/refused_keys.h"
#include "rewrite/constants.h"
#include "tests/support/measure_net.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

int64_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

}  // namespace

bool HasInt8Key(const std::string& key) {
  return caffe2::CPUOperatorRegistry()->Has(key) &&
         RefusedKeys().count(key) == 0;
}

double SqnrOf(const std::vector<float>& expected,
              const std::vector<float>& actual) {
  if (expected.size() != actual.size()) return -1000;
  double signal = 0, noise = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(expected[i]) - actual[i];
    signal += static_cast<double>(expected[i]) * expected[i];
    noise += difference * difference;
  }
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(signal / noise);
}

std::string IllFormed(const QuantizedNets& nets, const caffe2::NetDef& predict,
                      const std::set<std::string>& data) {
  std::set<std::string> there = data;
  for (const caffe2::OperatorDef& op : nets.init.op()) {
    for (const std::string& input : op.input()) {
      if (there.count(input) == 0) {
        return "the init net reads '" + input + "' before it is made";
      }
    }
    for (const std::string& output : op.output()) {
      if (output.empty()) return "the init net has an output without a name";
      if (IsConstantFill(op) && !there.insert(output).second) {
        return "the init net makes '" + output + "' twice";
      }
      there.insert(output);
    }
    if (op.type() == kGivenWeightsType) {
      GivenWeights weights;
      const Status status = ReadGivenWeights(op, &weights);
      if (!status.ok()) return status.message();
    }
  }
  for (const std::string& name : nets.predict.external_input()) {
    if (there.count(name) == 0) {
      return "nothing makes the external input '" + name + "'";
    }
  }
  const std::set<std::string> declared(nets.predict.external_input().begin(),
                                       nets.predict.external_input().end());
  std::set<std::string> made = declared;
  for (const caffe2::OperatorDef& op : nets.predict.op()) {
    const std::string what = "operator " + op.type() + " of '" +
                             (op.output_size() > 0 ? op.output(0) : "") + "'";
    for (const std::string& input : op.input()) {
      if (made.count(input) == 0) {
        return what + " reads '" + input + "', which nothing makes before it";
      }
    }
    std::set<std::string> own;
    for (const std::string& output : op.output()) {
      if (output.empty() || !own.insert(output).second) {
        return what + " has output '" + output + "' twice";
      }
      made.insert(output);
    }
    if (!op.engine().empty() && op.type().compare(0, 4, "Int8") == 0 &&
        !HasInt8Key(op.type() + "_ENGINE_" + op.engine())) {
      return what + " has engine " + op.engine() + ", which lacks it";
    }
    const caffe2::OpSchema* const schema =
        caffe2::OpSchemaRegistry::Schema(op.type());
    if (schema != nullptr && op.type().compare(0, 4, "Int8") == 0 &&
        !schema->Verify(op)) {
      return what + " contradicts its schema: " + op.DebugString();
    }
  }
  if (nets.predict.external_output_size() != predict.external_output_size()) {
    return "another number of external outputs";
  }
  for (int i = 0; i < predict.external_output_size(); ++i) {
    if (nets.predict.external_output(i) != predict.external_output(i)) {
      return "external output " + std::to_string(i) + " is '" +
             nets.predict.external_output(i) + "'";
    }
    if (made.count(predict.external_output(i)) == 0) {
      return "nothing makes the external output '" +
             predict.external_output(i) + "'";
    }
  }
  return "";
}

caffe2::OperatorDef* NetCase::Last() { return net_.LastOp(); }

std::vector<float> NetCase::Normal(const std::vector<int64_t>& shape,
                                   float deviation) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(static_cast<std::size_t>(CountOf(shape)));
  for (float& value : values) value = normal(random_);
  return values;
}

std::string NetCase::Data(const std::string& name,
                          const std::vector<int64_t>& shape, float deviation) {
  Feed(name, shape, deviation);
  data_.insert(name);
  net_.Input(name);
  return name;
}

void NetCase::Feed(const std::string& name, const std::vector<int64_t>& shape,
                   float deviation) {
  // A tensor that is there would keep its storage, and what shares it.
  workspace_.CreateBlob(name)->Reset();
  FeedFloats(&workspace_, name, Normal(shape, deviation), shape);
}

std::string NetCase::Weight(const std::string& name,
                            const std::vector<int64_t>& shape,
                            float deviation) {
  if (deviation == 0) {
    deviation = std::sqrt(2.0f * static_cast<float>(shape[0]) /
                          static_cast<float>(CountOf(shape)));
  }
  FeedFloats(&workspace_, name, Normal(shape, deviation), shape);
  net_.Input(name);
  return name;
}

std::string NetCase::Uniform(const std::string& name,
                             const std::vector<int64_t>& shape, float low,
                             float high) {
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(static_cast<std::size_t>(CountOf(shape)));
  for (float& value : values) value = uniform(random_);
  FeedFloats(&workspace_, name, values, shape);
  net_.Input(name);
  return name;
}

OpBuilder NetCase::Conv(const std::string& x, const std::string& y,
                        int64_t inputs, int64_t outputs, int64_t kernel,
                        int64_t groups) {
  Weight(y + "_w", {outputs, inputs / groups, kernel, kernel});
  Weight(y + "_b", {outputs}, 0.1f);
  return net_.Op("Conv", {x, y + "_w", y + "_b"}, {y})
      .Int("kernel", kernel)
      .Int("pad", kernel / 2)
      .Int("group", groups);
}

OpBuilder NetCase::Fc(const std::string& x, const std::string& y,
                      int64_t inputs, int64_t outputs) {
  Weight(y + "_w", {outputs, inputs});
  Weight(y + "_b", {outputs}, 0.1f);
  return net_.Op("FC", {x, y + "_w", y + "_b"}, {y});
}

caffe2::NetDef NetCase::net() const {
  caffe2::NetDef net = net_.Build();
  for (const std::string& name : outputs_) net.add_external_output(name);
  return net;
}

caffe2::NetDef NetCase::Init() const {
  return InitNetOf(net(), workspace_, data_);
}

std::string NetCase::Quantize() {
  // In-place operators of a run may write over weights.
  const caffe2::NetDef init = Init();
  measurements_ = MeasureNet(net(), &workspace_, &data_);
  return QuantizeWith(init, measurements_);
}

std::string NetCase::QuantizeBy(const Measurements& measurements) {
  return QuantizeWith(Init(), measurements);
}

std::string NetCase::QuantizeWith(const caffe2::NetDef& init,
                                  const Measurements& measurements) {
  nets_ = {};
  const Status status =
      QuantizeNet(init, net(), measurements, options_, has_key, &nets_);
  if (!status.ok()) return status.message();
  return IllFormed(nets_, net(), data_);
}

std::string NetCase::ReasonOf(const std::string& output) const {
  std::string reason = "no such blob";
  for (const OperatorChoice& choice : nets_.recipe.operators) {
    const caffe2::OperatorDef& op = net_.Build().op(choice.op_index);
    for (const std::string& name : op.output()) {
      if (name == output) reason = Name(choice.decision.reason);
    }
  }
  return reason;
}

int NetCase::Count(const std::string& type) const {
  int count = 0;
  for (const caffe2::OperatorDef& op : nets_.predict.op()) {
    count += op.type() == type ? 1 : 0;
  }
  return count;
}

caffe2::OperatorDef NetCase::Find(const std::string& type) const {
  EXPECT_EQ(Count(type), 1) << nets_.predict.DebugString();
  for (const caffe2::OperatorDef& op : nets_.predict.op()) {
    if (op.type() == type) return op;
  }
  return {};
}

caffe2::Workspace& NetCase::RunInt8() {
  int8_workspace_ = std::make_unique<caffe2::Workspace>();
  for (const std::string& name : data_) {
    if (!workspace_.HasBlob(name)) continue;
    const auto& tensor = workspace_.GetBlob(name)->Get<caffe2::Tensor>();
    int8_workspace_->CreateBlob(name)->Reset(
        new caffe2::Tensor(tensor.Clone()));
  }
  CAFFE_ENFORCE(int8_workspace_->RunNetOnce(nets_.init));
  CAFFE_ENFORCE(int8_workspace_->RunNetOnce(nets_.predict));
  return *int8_workspace_;
}

double NetCase::Sqnr(const std::string& output) {
  // First, since the float net may write over its inputs.
  const caffe2::Workspace& int8 = RunInt8();
  CAFFE_ENFORCE(workspace_.RunNetOnce(net()));
  const auto& expected = workspace_.GetBlob(output)->Get<caffe2::Tensor>();
  const auto& actual = int8.GetBlob(output)->Get<caffe2::Tensor>();
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return SqnrOf(Fetch<float>(workspace_, output), Fetch<float>(int8, output));
}

}  // namespace rewrite
}  // namespace caffe2_quantization
