#include "tests/support/whole_nets.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "caffe2/core/net.h"
#include "quantization/choose.h"
#include "quantization/kernels/min_max.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

// Adds layers to a float net and feeds their weights.
class Layers {
 public:
  Layers(caffe2::Workspace* workspace, const std::string& name)
      : workspace_(workspace), net_(name, "simple") {}

  // Values of a normal distribution.
  std::string Fill(const std::string& name, const std::vector<int64_t>& shape,
                   double deviation) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    std::normal_distribution<float> normal(0, static_cast<float>(deviation));
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(generator_);
    FeedFloats(workspace_, name, values, shape);
    net_.Input(name);
    return name;
  }

  std::string Image(int64_t batch, int64_t size) {
    Fill("data", {batch, 3, size, size}, 1);
    net_.Op("NCHW2NHWC", {"data"}, {"image"});
    channels_["image"] = 3;
    return "image";
  }

  // A square window, padded so that a stride of 1 keeps the size, and a bias.
  std::string Conv(const std::string& x, const std::string& y, int64_t outputs,
                   int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
    const int64_t inputs = channels_.at(x) / groups;
    Fill(y + "_w", {outputs, kernel, kernel, inputs},
         Deviation(inputs * kernel * kernel));
    Fill(y + "_b", {outputs}, 0.1);
    net_.Op("Conv", {x, y + "_w", y + "_b"}, {y})
        .Int("kernel", kernel)
        .Int("stride", stride)
        .Int("pad", kernel / 2)
        .Int("group", groups)
        .String("order", "NHWC");
    channels_[y] = outputs;
    return y;
  }

  std::string Relu(const std::string& x) {
    net_.Op("Relu", {x}, {x});
    return x;
  }

  std::string ConvRelu(const std::string& x, const std::string& y,
                       int64_t outputs, int64_t kernel, int64_t stride = 1) {
    return Relu(Conv(x, y, outputs, kernel, stride));
  }

  // A convolution and a Relu up to 6.
  std::string ConvRelu6(const std::string& x, const std::string& y,
                        int64_t outputs, int64_t kernel, int64_t stride = 1,
                        int64_t groups = 1) {
    Conv(x, y, outputs, kernel, stride, groups);
    net_.Op("Clip", {y}, {y}).Float("min", 0).Float("max", 6);
    return y;
  }

  std::string MaxPool(const std::string& x, const std::string& y, int64_t pad) {
    net_.Op("MaxPool", {x}, {y})
        .Int("kernel", 3)
        .Int("stride", 2)
        .Int("pad", pad)
        .String("order", "NHWC");
    channels_[y] = channels_.at(x);
    return y;
  }

  std::string GlobalAverage(const std::string& x) {
    net_.Op("AveragePool", {x}, {"average"})
        .Int("global_pooling", 1)
        .String("order", "NHWC");
    channels_["average"] = channels_.at(x);
    return "average";
  }

  std::string Sum(const std::string& x, const std::string& shortcut,
                  const std::string& y) {
    net_.Op("Sum", {x, shortcut}, {y});
    channels_[y] = channels_.at(x);
    return y;
  }

  std::string Concat(const std::vector<std::string>& xs, const std::string& y,
                     int64_t axis) {
    net_.Op("Concat", xs, {y, y + "_split"}).Int("axis", axis);
    channels_[y] = 0;
    for (const std::string& x : xs) channels_[y] += channels_.at(x);
    return y;
  }

  std::string Fc(const std::string& x, const std::string& y, int64_t outputs) {
    const int64_t inputs = channels_.at(x);
    Fill(y + "_w", {outputs, inputs}, Deviation(inputs));
    Fill(y + "_b", {outputs}, 0.1);
    net_.Op("FC", {x, y + "_w", y + "_b"}, {y});
    channels_[y] = outputs;
    return y;
  }

  // The sums of the rows of a table that 20 indices an example choose.
  std::string SparseSum(const std::string& y, int64_t batch, int64_t rows,
                        int64_t width) {
    constexpr int64_t kIndices = 20;
    Fill(y + "_table", {rows, width}, 0.05);
    std::vector<int64_t> indices(batch * kIndices);
    for (int64_t& index : indices) {
      index = static_cast<int64_t>(generator_() % static_cast<uint64_t>(rows));
    }
    Feed(workspace_, y + "_indices", indices);
    Feed(workspace_, y + "_lengths", std::vector<int>(batch, kIndices));
    net_.Input(y + "_indices").Input(y + "_lengths");
    net_.Op("SparseLengthsSum", {y + "_table", y + "_indices", y + "_lengths"},
            {y});
    channels_[y] = width;
    return y;
  }

  void SetChannels(const std::string& x, int64_t channels) {
    channels_[x] = channels;
  }

  WholeNet End(const std::string& last_type, const std::string& x) {
    net_.Op(last_type, {x}, {"output"});
    return {net_.Build(), "output"};
  }

  int64_t channels(const std::string& x) const { return channels_.at(x); }

 private:
  static double Deviation(int64_t fan_in) {
    return std::sqrt(2.0 / static_cast<double>(fan_in));
  }

  caffe2::Workspace* const workspace_;
  NetBuilder net_;
  std::map<std::string, int64_t> channels_;
  std::mt19937 generator_{50};
};

// K. He et al., "Deep Residual Learning for Image Recognition", table 1.
WholeNet ResNet(Layers* net, const std::string& image,
                const std::vector<int>& blocks, bool bottleneck) {
  std::string x =
      net->MaxPool(net->ConvRelu(image, "conv1", 64, 7, 2), "pool1", 1);
  for (std::size_t stage = 0; stage < blocks.size(); ++stage) {
    const int64_t width = int64_t{64} << stage;
    const int64_t outputs = bottleneck ? 4 * width : width;
    for (int block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      const std::string name =
          "res" + std::to_string(stage + 2) + "_" + std::to_string(block);
      std::string y;
      if (bottleneck) {
        y = net->ConvRelu(x, name + "_a", width, 1);
        y = net->ConvRelu(y, name + "_b", width, 3, stride);
        y = net->Conv(y, name + "_c", outputs, 1);
      } else {
        y = net->ConvRelu(x, name + "_a", width, 3, stride);
        y = net->Conv(y, name + "_b", outputs, 3);
      }
      if (net->channels(x) != outputs || stride != 1) {
        x = net->Conv(x, name + "_shortcut", outputs, 1, stride);
      }
      x = net->Relu(net->Sum(y, x, name));
    }
  }
  return net->End("Softmax", net->Fc(net->GlobalAverage(x), "fc", 1000));
}

// M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
// table 2.
WholeNet MobileNetV2(Layers* net, const std::string& image) {
  struct Row {
    int64_t expansion, outputs, blocks, stride;
  };
  const Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2},
                      {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2},
                      {6, 320, 1, 1}};
  std::string x = net->ConvRelu6(image, "conv1", 32, 3, 2);
  int number = 0;
  for (const Row& row : rows) {
    for (int64_t block = 0; block < row.blocks; ++block) {
      const std::string name = "block" + std::to_string(++number);
      const int64_t stride = block == 0 ? row.stride : 1;
      const int64_t wide = net->channels(x) * row.expansion;
      std::string y = x;
      if (row.expansion > 1) y = net->ConvRelu6(y, name + "_a", wide, 1);
      y = net->ConvRelu6(y, name + "_b", wide, 3, stride, wide);
      y = net->Conv(y, name + "_c", row.outputs, 1);
      const bool is_residual = stride == 1 && net->channels(x) == row.outputs;
      x = is_residual ? net->Sum(y, x, name) : y;
    }
  }
  x = net->ConvRelu6(x, "last", 1280, 1);
  return net->End("Softmax", net->Fc(net->GlobalAverage(x), "fc", 1000));
}

// F. Iandola et al., "SqueezeNet", in the form 1.1 of its authors' repository.
WholeNet SqueezeNet(Layers* net, const std::string& image) {
  std::string x =
      net->MaxPool(net->ConvRelu(image, "conv1", 64, 3, 2), "pool1", 0);
  int number = 1;
  const auto fire = [&](int64_t squeezed, int64_t outputs) {
    const std::string name = "fire" + std::to_string(++number);
    const std::string s = net->ConvRelu(x, name + "_s", squeezed, 1);
    const std::string a = net->ConvRelu(s, name + "_a", outputs, 1);
    const std::string b = net->ConvRelu(s, name + "_b", outputs, 3);
    x = net->Concat({a, b}, name, 3);
  };
  fire(16, 64);
  fire(16, 64);
  x = net->MaxPool(x, "pool3", 0);
  fire(32, 128);
  fire(32, 128);
  x = net->MaxPool(x, "pool5", 0);
  fire(48, 192);
  fire(48, 192);
  fire(64, 256);
  fire(64, 256);
  x = net->GlobalAverage(net->ConvRelu(x, "conv10", 1000, 1));
  return net->End("Softmax", x);
}

// After M. Naumov et al., "Deep Learning Recommendation Model for
// Personalization and Recommendation Systems", with concatenation as its
// interaction.
WholeNet Recommender(Layers* net, int64_t batch) {
  constexpr int64_t kWidth = 64, kRows = 10000;
  std::string x = net->Fill("data", {batch, 13}, 1);
  net->SetChannels(x, 13);
  x = net->Relu(net->Fc(x, "bottom1", 512));
  x = net->Relu(net->Fc(x, "bottom2", 256));
  x = net->Relu(net->Fc(x, "bottom3", kWidth));
  std::vector<std::string> features = {x};
  for (int i = 1; i <= 8; ++i) {
    features.push_back(
        net->SparseSum("sparse" + std::to_string(i), batch, kRows, kWidth));
  }
  x = net->Concat(features, "features", 1);
  x = net->Relu(net->Fc(x, "top1", 512));
  x = net->Relu(net->Fc(x, "top2", 256));
  return net->End("Sigmoid", net->Fc(x, "top3", 1));
}

// Parameters of a range. The scale depends on the first bits of the range
// alone, since the last ones of the host's floats are not the same in every
// process. Quotients of two such scales would have small denominators, and many
// sums be ties, as they are not in a net: so each, the `number`-th, is a little
// larger.
Choice ParametersOf(const caffe2::Tensor& x, int number) {
  const auto range = kernels::MinMax(x.data<float>(), x.numel());
  Choice choice;
  const Status status =
      ChooseFromRange(std::min(range.min, 0.0f), range.max, {}, &choice);
  CAFFE_ENFORCE(status.ok(), status.message());
  constexpr double kGolden = 0.6180339887498949;
  int exponent;
  const double mantissa = std::frexp(choice.scale, &exponent);
  const double grown = std::ceil(mantissa * 128) / 128 *
                       (1 + 0.004 * std::fmod(number * kGolden, 1));
  choice.scale = static_cast<float>(std::ldexp(grown, exponent));
  choice.zero_point = static_cast<int32_t>(
      std::lround(-std::min(range.min, 0.0f) / choice.scale));
  return choice;
}

// Makes the int8 net of a float net whose blobs the workspace holds.
class Int8Maker {
 public:
  Int8Maker(const WholeNet& net, const std::string& engine,
            const caffe2::Workspace& workspace)
      : floats_(net.floats), engine_(engine), workspace_(workspace) {}

  caffe2::NetDef Make() {
    net_ = floats_;
    net_.clear_op();
    net_.set_name(floats_.name() + "_" + engine_);
    const int count = floats_.op_size();
    for (int i = 0; i < count; ++i) {
      const caffe2::OperatorDef& op = floats_.op(i);
      const std::string& type = op.type();
      if (type == "NCHW2NHWC" || type == "SparseLengthsSum") {
        *net_.add_op() = op;
        Quantize(op.output(0));
        continue;
      }
      if (type == "Softmax" || type == "Sigmoid") {
        Last(op);
        continue;
      }
      if (i == 0) Quantize(op.input(0));  // dense features
      const std::string next = i + 1 < count ? floats_.op(i + 1).type() : "";
      const bool is_rectified = next == "Relu" || next == "Clip";
      Layer(op, is_rectified);
      if (is_rectified) ++i;
    }
    return net_;
  }

 private:
  static std::string CodesOf(const std::string& name) { return name + "_q"; }

  caffe2::OperatorDef* Add(const std::string& type,
                           const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs) {
    CAFFE_ENFORCE(
        caffe2::CPUOperatorRegistry()->Has(type + "_ENGINE_" + engine_),
        "there is no operator ", type, " of engine ", engine_);
    caffe2::OperatorDef* const op = net_.add_op();
    OpBuilder(op, type, inputs, outputs);
    op->set_engine(engine_);
    return op;
  }

  void SetOutput(const std::string& name, caffe2::OperatorDef* op) const {
    const Choice choice = ParametersOf(
        workspace_.GetBlob(name)->Get<caffe2::Tensor>(), net_.op_size());
    OpBuilder(op)
        .Float("Y_scale", choice.scale)
        .Int("Y_zero_point", choice.zero_point);
  }

  void Quantize(const std::string& name) {
    SetOutput(name, Add("Quantize", {name}, {CodesOf(name)}));
    codes_.insert(name);
  }

  void Layer(const caffe2::OperatorDef& op, bool is_rectified) {
    std::vector<std::string> inputs(op.input().begin(), op.input().end());
    for (std::string& input : inputs) {
      if (codes_.count(input) != 0) input = CodesOf(input);
    }
    std::vector<std::string> outputs(op.output().begin(), op.output().end());
    codes_.insert(outputs[0]);
    const std::string& name = op.output(0);
    outputs[0] = CodesOf(name);
    caffe2::OperatorDef* const made =
        Add("Int8" + op.type() + (is_rectified ? "Relu" : ""), inputs, outputs);
    *made->mutable_arg() = op.arg();
    if (op.type() != "MaxPool") SetOutput(name, made);
    if (op.type() == "Conv" || op.type() == "FC") {
      OpBuilder(made)
          .Int("quantize_channelwise", 1)
          .Int("preserve_weight_sparsity", 1);
    }
  }

  // A Softmax of floats, or a Sigmoid of codes and floats after it.
  void Last(const caffe2::OperatorDef& op) {
    const std::string& x = op.input(0);
    if (op.type() == "Softmax") {
      Add("Int8Dequantize", {CodesOf(x)}, {x});
      *net_.add_op() = op;
      return;
    }
    // DNNLOWP's Sigmoid is right for what ranges from -6 to 6 alone.
    caffe2::OperatorDef* const last = net_.mutable_op(net_.op_size() - 1);
    OpBuilder(last).String("followed_by", "Sigmoid");
    Add("Int8Sigmoid", {CodesOf(x)}, {CodesOf(op.output(0))});
    Add("Int8Dequantize", {CodesOf(op.output(0))}, {op.output(0)});
  }

  const caffe2::NetDef& floats_;
  const std::string engine_;
  const caffe2::Workspace& workspace_;
  caffe2::NetDef net_;
  std::set<std::string> codes_;
};

}  // namespace

const std::vector<std::string>& WholeNetNames() {
  static const auto* const names = new std::vector<std::string>{
      "ResNet-18", "ResNet-50", "MobileNet-v2", "SqueezeNet", "Recommender"};
  return *names;
}

WholeNet FeedWholeNet(caffe2::Workspace* workspace, const std::string& name,
                      int64_t batch, int64_t image_size) {
  Layers net(workspace, name);
  if (name == "Recommender") return Recommender(&net, batch);
  const std::string image = net.Image(batch, image_size);
  if (name == "ResNet-18") return ResNet(&net, image, {2, 2, 2, 2}, false);
  if (name == "ResNet-50") return ResNet(&net, image, {3, 4, 6, 3}, true);
  if (name == "MobileNet-v2") return MobileNetV2(&net, image);
  CAFFE_ENFORCE(name == "SqueezeNet", "no net '", name, "'");
  return SqueezeNet(&net, image);
}

caffe2::NetDef Int8Form(const WholeNet& net, const std::string& engine,
                        caffe2::Workspace* workspace) {
  CAFFE_ENFORCE(workspace->RunNetOnce(net.floats));
  return Int8Maker(net, engine, *workspace).Make();
}

}  // namespace caffe2_quantization
