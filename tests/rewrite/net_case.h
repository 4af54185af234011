// A small float net with its weights and data, quantized and run beside the
// float net.
//   NetCase net;
//   net.Data("x", {2, 3, 8, 8});
//   net.Conv("x", "y", 3, 4, 3);
//   net.Output("y");
//   ASSERT_EQ(net.Quantize(), "");
//   EXPECT_GT(net.Sqnr("y"), 30);
#ifndef CAFFE2_QUANTIZATION_TESTS_REWRITE_NET_CASE_H_
#define CAFFE2_QUANTIZATION_TESTS_REWRITE_NET_CASE_H_

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "rewrite/quantize_net.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace rewrite {

// Whether the registry has a key that computes, as QuantizeNet asks it.
bool HasInt8Key(const std::string& key);

// Signal to noise in dB; infinity if both are the same.
double SqnrOf(const std::vector<float>& expected,
              const std::vector<float>& actual);

// What is wrong with nets that QuantizeNet made of `predict`, whose data are
// `data`; "" if nothing is: each blob that is read is made before, or is data;
// the host knows each operator under its engine; schemas hold; external outputs
// are the float net's; fills of weights can be read.
std::string IllFormed(const QuantizedNets& nets, const caffe2::NetDef& predict,
                      const std::set<std::string>& data);

class NetCase {
 public:
  explicit NetCase(uint64_t seed = 1) : net_("net", "simple"), random_(seed) {}

  OpBuilder Op(const std::string& type, const std::vector<std::string>& inputs,
               const std::vector<std::string>& outputs) {
    return net_.Op(type, inputs, outputs);
  }
  // The operator that was added last.
  caffe2::OperatorDef* Last();

  // An external input, fed with values of a normal distribution.
  std::string Data(const std::string& name, const std::vector<int64_t>& shape,
                   float deviation = 1);
  // An external input that the init net fills.
  std::string Weight(const std::string& name, const std::vector<int64_t>& shape,
                     float deviation = 0);
  // The same of values between two.
  std::string Uniform(const std::string& name,
                      const std::vector<int64_t>& shape, float low, float high);
  // A square convolution of NCHW with a bias; stride 1, padded to keep sizes.
  OpBuilder Conv(const std::string& x, const std::string& y, int64_t inputs,
                 int64_t outputs, int64_t kernel, int64_t groups = 1);
  OpBuilder Fc(const std::string& x, const std::string& y, int64_t inputs,
               int64_t outputs);
  void Output(const std::string& name) { outputs_.push_back(name); }
  // Values that are there before the float net runs; not in the init net.
  void MarkAsData(const std::string& name) {
    data_.insert(name);
    net_.Input(name);
  }

  caffe2::Workspace& workspace() { return workspace_; }
  caffe2::NetDef net() const;
  caffe2::NetDef Init() const;
  const std::set<std::string>& data() const { return data_; }
  QuantizeOptions& options() { return options_; }
  std::function<bool(const std::string&)> has_key = HasInt8Key;

  // Runs the float net, measures it and quantizes it. Returns the error, or
  // what is wrong with the nets that came of it.
  std::string Quantize();
  // The same without running anything.
  std::string QuantizeBy(const Measurements& measurements);
  const Measurements& measurements() const { return measurements_; }

  const QuantizedNets& nets() const { return nets_; }
  // "int8", or the name of the reason of the operator that makes a blob: of the
  // last one.
  std::string ReasonOf(const std::string& output) const;
  // How many operators of a type the int8 net has.
  int Count(const std::string& type) const;
  // The only operator of a type in the int8 net.
  caffe2::OperatorDef Find(const std::string& type) const;

  // Runs the int8 net on what is fed, and compares an output with the float
  // net's, which runs anew too.
  double Sqnr(const std::string& output);
  // Feeds other data of a shape.
  void Feed(const std::string& name, const std::vector<int64_t>& shape,
            float deviation = 1);
  // Runs the int8 net in a workspace of its own, which is returned.
  caffe2::Workspace& RunInt8();

  std::mt19937_64& random() { return random_; }

 private:
  std::string QuantizeWith(const caffe2::NetDef& init,
                           const Measurements& measurements);
  std::vector<float> Normal(const std::vector<int64_t>& shape, float deviation);

  NetBuilder net_;
  std::mt19937_64 random_;
  caffe2::Workspace workspace_;
  std::unique_ptr<caffe2::Workspace> int8_workspace_;
  std::set<std::string> data_;
  std::vector<std::string> outputs_;
  QuantizeOptions options_;
  Measurements measurements_;
  QuantizedNets nets_;
};

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_REWRITE_NET_CASE_H_
