#include "tests/support/imported_nets.h"

#include <cmath>
#include <map>
#include <random>

#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

// Adds layers of NCHW and feeds their weights.
class Importer {
 public:
  Importer(caffe2::Workspace* workspace, const std::string& name)
      : workspace_(workspace), net_(name, "simple") {}

  std::string Fill(const std::string& name, const std::vector<int64_t>& shape,
                   float deviation, float mean = 0) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(generator_);
    FeedFloats(workspace_, name, values, shape);
    net_.Input(name);
    return name;
  }

  std::string Data(int64_t batch, int64_t size) {
    channels_["data"] = 3;
    return Fill("data", {batch, 3, size, size}, 1);
  }

  std::string Conv(const std::string& x, int64_t outputs, int64_t kernel,
                   int64_t stride = 1, int64_t groups = 1, bool bias = false) {
    const std::string y = Next();
    const int64_t inputs = channels_.at(x) / groups;
    const float deviation =
        std::sqrt(2.0f / static_cast<float>(inputs * kernel * kernel));
    std::vector<std::string> names = {
        x, Fill(y + ".weight", {outputs, inputs, kernel, kernel}, deviation)};
    if (bias) names.push_back(Fill(y + ".bias", {outputs}, 0.1f));
    Op("Conv", names, {y})
        .Ints("kernels", {kernel, kernel})
        .Ints("pads", std::vector<int64_t>(4, kernel / 2))
        .Ints("strides", {stride, stride})
        .Ints("dilations", {1, 1})
        .Int("group", groups);
    channels_[y] = outputs;
    return y;
  }

  std::string Normalize(const std::string& x) {
    const std::string y = Next();
    const int64_t channels = channels_.at(x);
    Fill(y + ".scale", {channels}, 0.1f, 1);
    Fill(y + ".bias", {channels}, 0.1f);
    Fill(y + ".mean", {channels}, 0.1f);
    std::vector<float> variance(static_cast<std::size_t>(channels));
    std::uniform_real_distribution<float> uniform(0.6f, 1.4f);
    for (float& value : variance) value = uniform(generator_);
    FeedFloats(workspace_, y + ".variance", variance);
    net_.Input(y + ".variance");
    Op("SpatialBN",
       {x, y + ".scale", y + ".bias", y + ".mean", y + ".variance"}, {y})
        .Float("epsilon", 1e-3f)
        .Int("is_test", 1);
    channels_[y] = channels;
    return y;
  }

  std::string Relu6(const std::string& x) {
    const std::string y = Next();
    Op("Clip", {x}, {y}).Float("min", 0).Float("max", 6);
    channels_[y] = channels_.at(x);
    return y;
  }

  std::string Layer(const std::string& x, int64_t outputs, int64_t kernel,
                    int64_t stride = 1, int64_t groups = 1) {
    return Relu6(Normalize(Conv(x, outputs, kernel, stride, groups)));
  }

  std::string Relu(const std::string& x) {
    Op("Relu", {x}, {x});
    return x;
  }

  std::string Add(const std::string& a, const std::string& b) {
    const std::string y = Next();
    Op("Add", {a, b}, {y});
    channels_[y] = channels_.at(a);
    return y;
  }

  std::string GlobalAverage(const std::string& x) {
    const std::string y = Next();
    Op("AveragePool", {x}, {y}).Int("global_pooling", 1);
    channels_[y] = channels_.at(x);
    return y;
  }

  std::string Flatten(const std::string& x) {
    const std::string y = Next();
    Op("Reshape", {x}, {y, y + "_shape"}).Ints("shape", {0, -1});
    channels_[y] = channels_.at(x);
    return y;
  }

  std::string Fc(const std::string& x, const std::string& y, int64_t inputs,
                 int64_t outputs) {
    const float deviation = std::sqrt(2.0f / static_cast<float>(inputs));
    Fill(y + ".weight", {outputs, inputs}, deviation);
    Fill(y + ".bias", {outputs}, 0.1f);
    Op("FC", {x, y + ".weight", y + ".bias"}, {y});
    return y;
  }

  // Each operator has a name, as importers give it.
  OpBuilder Op(const std::string& type, const std::vector<std::string>& inputs,
               const std::vector<std::string>& outputs) {
    OpBuilder op = net_.Op(type, inputs, outputs);
    net_.LastOp()->set_name(type.substr(0, 4) + "_" +
                            std::to_string(operators_++));
    return op;
  }
  std::string Next() { return std::to_string(++blobs_); }
  int64_t channels(const std::string& x) const { return channels_.at(x); }

  NetBuilder& net() { return net_; }
  ImportedNet End(const std::vector<std::string>& outputs) {
    ImportedNet result{net_.Build(), {"data"}};
    for (const std::string& name : outputs) {
      result.floats.add_external_output(name);
    }
    return result;
  }

 private:
  caffe2::Workspace* const workspace_;
  NetBuilder net_;
  std::map<std::string, int64_t> channels_;
  std::mt19937 generator_{51};
  int blobs_ = 100, operators_ = 0;
};

// M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional
// Neural Networks", table 1, without squeezing and with Relu6: Lite0.
ImportedNet EfficientNetLite0(Importer* net, int64_t batch, int64_t size) {
  struct Row {
    int64_t expansion, outputs, blocks, stride, kernel;
  };
  const Row rows[] = {{1, 16, 1, 1, 3}, {6, 24, 2, 2, 3},  {6, 40, 2, 2, 5},
                      {6, 80, 3, 2, 3}, {6, 112, 3, 1, 5}, {6, 192, 4, 2, 5},
                      {6, 320, 1, 1, 3}};
  std::string x = net->Layer(net->Data(batch, size), 32, 3, 2);
  for (const Row& row : rows) {
    for (int64_t block = 0; block < row.blocks; ++block) {
      const int64_t stride = block == 0 ? row.stride : 1;
      const int64_t wide = net->channels(x) * row.expansion;
      std::string y = x;
      if (row.expansion > 1) y = net->Layer(y, wide, 1);
      y = net->Layer(y, wide, row.kernel, stride, wide);
      y = net->Normalize(net->Conv(y, row.outputs, 1));
      x = stride == 1 && net->channels(x) == row.outputs ? net->Add(y, x) : y;
    }
  }
  x = net->Flatten(net->GlobalAverage(net->Layer(x, 1280, 1)));
  net->Fc(x, "logits", 1280, 1000);
  net->Op("Softmax", {"logits"}, {"output"}).Int("axis", 1);
  return net->End({"output"});
}

// After W. Liu et al., "SSD: Single Shot MultiBox Detector", in small.
ImportedNet Ssd(Importer* net, int64_t batch, int64_t size) {
  constexpr int64_t kClasses = 6, kAnchors = 3;
  std::string x =
      net->Relu(net->Conv(net->Data(batch, size), 16, 3, 2, 1, true));
  std::vector<std::string> scores, boxes;
  for (int map = 0; map < 3; ++map) {
    x = net->Relu(net->Conv(x, 32, 3, 2, 1, true));
    const std::string y = net->Relu(net->Conv(x, 32, 3, 1, 1, true));
    for (const bool is_box : {false, true}) {
      const int64_t values = is_box ? 4 : kClasses;
      const std::string c = net->Conv(y, kAnchors * values, 3, 1, 1, true);
      const std::string t = net->Next(), r = net->Next();
      net->Op("Transpose", {c}, {t}).Ints("axes", {0, 2, 3, 1});
      net->Op("Reshape", {t}, {r, r + "_shape"}).Ints("shape", {0, -1, values});
      (is_box ? boxes : scores).push_back(r);
    }
  }
  net->Op("Concat", boxes, {"boxes", "boxes_split"}).Int("axis", 1);
  net->Op("Concat", scores, {"logits", "logits_split"}).Int("axis", 1);
  net->Op("Softmax", {"logits"}, {"scores"}).Int("axis", 2);
  return net->End({"scores", "boxes"});
}

// S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", as
// caffe2/python/rnn_cell.py lays it out: the products of all inputs at once,
// those of the states step by step.
ImportedNet Lstm(Importer* net, caffe2::Workspace* workspace, int64_t batch) {
  constexpr int64_t kSteps = 6, kInputs = 24, kStates = 32;
  net->Fill("data", {kSteps, batch, kInputs}, 1);
  const auto fc = [&](const std::string& x, const std::string& y,
                      int64_t inputs, int64_t outputs) {
    net->Fill(y + "_w", {outputs, inputs},
              std::sqrt(1.0f / static_cast<float>(inputs)));
    net->Fill(y + "_b", {outputs}, 0.1f);
    net->Op("FC", {x, y + "_w", y + "_b"}, {y}).Int("axis", 2);
  };
  fc("data", "embedded", kInputs, kInputs);
  net->Op("Relu", {"embedded"}, {"embedded"});
  fc("embedded", "i2h", kInputs, 4 * kStates);
  net->Fill("gates_w", {4 * kStates, kStates},
            std::sqrt(1.0f / static_cast<float>(kStates)));
  net->Fill("gates_b", {4 * kStates}, 0.1f);
  net->Fill("h0", {batch, kStates}, 0.1f);
  net->Fill("c0", {batch, kStates}, 0.1f);
  Feed<int>(workspace, "lengths", std::vector<int>(batch, kSteps));
  net->net().Input("lengths");
  NetBuilder step("lstm_step", "simple");
  step.Op("FC", {"h_before", "gates_w", "gates_b"}, {"h2h"}).Int("axis", 2);
  step.Op("Sum", {"h2h", "i2h_t"}, {"gates"});
  step.Op("LSTMUnit", {"h_before", "c_before", "gates", "lengths", "timestep"},
          {"h", "c"});
  for (const char* name : {"h_before", "c_before", "i2h_t", "gates_w",
                           "gates_b", "lengths", "timestep"}) {
    step.Input(name);
  }
  caffe2::NetDef step_net = step.Build();
  step_net.add_external_output("h");
  step_net.add_external_output("c");
  net->Op("RecurrentNetwork",
          {"i2h", "h0", "c0", "gates_w", "gates_b", "lengths"},
          {"hidden", "last", "cells", "step_workspaces"})
      .Strings("recurrent_states", {"h_states", "c_states"})
      .Ints("initial_recurrent_state_ids", {1, 2})
      .Strings("link_internal", {"i2h_t", "h_before", "h", "c_before", "c"})
      .Strings("link_external",
               {"i2h", "h_states", "h_states", "c_states", "c_states"})
      .Ints("link_offset", {0, 0, 1, 0, 1})
      .Strings("alias_src", {"h_states", "h_states", "c_states"})
      .Strings("alias_dst", {"hidden", "last", "cells"})
      .Ints("alias_offset", {1, -1, 1})
      .String("timestep", "timestep");
  caffe2::Argument* const argument = net->net().LastOp()->add_arg();
  argument->set_name("step_net");
  *argument->mutable_n() = step_net;
  fc("hidden", "decoded", kStates, kStates);
  net->Op("Relu", {"decoded"}, {"decoded"});
  fc("decoded", "logits", kStates, 10);
  return net->End({"logits", "last"});
}

}  // namespace

const std::vector<std::string>& ImportedNetNames() {
  static const auto* const names =
      new std::vector<std::string>{"EfficientNet-Lite0", "SSD", "LSTM"};
  return *names;
}

ImportedNet FeedImportedNet(caffe2::Workspace* workspace,
                            const std::string& name, int64_t batch,
                            int64_t image_size) {
  Importer net(workspace, name);
  if (name == "EfficientNet-Lite0") {
    return EfficientNetLite0(&net, batch, image_size);
  }
  if (name == "SSD") return Ssd(&net, batch, image_size);
  CAFFE_ENFORCE(name == "LSTM", "there is no net ", name);
  ImportedNet lstm = Lstm(&net, workspace, batch);
  lstm.data.insert("lengths");
  return lstm;
}

}  // namespace caffe2_quantization
