#include "tests/support/random_nets.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  bool is_nhwc = false;  // of an image: where its channels are

  bool is_image() const { return shape.size() == 4; }
  int channel_axis() const { return is_image() && is_nhwc ? 3 : 1; }
  int64_t channels() const {
    return shape[static_cast<std::size_t>(channel_axis())];
  }
  int64_t height() const { return shape[is_nhwc ? 1 : 2]; }
  int64_t width() const { return shape[is_nhwc ? 2 : 3]; }
  int64_t columns() const {
    int64_t count = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) count *= shape[i];
    return count;
  }
};

class Maker {
 public:
  Maker(caffe2::Workspace* workspace, std::mt19937_64* random)
      : workspace_(workspace), random_(*random), net_("random", "simple") {}

  RandomNet Make() {
    const int inputs = static_cast<int>(Integer(1, 2));
    for (int i = 0; i < inputs; ++i) {
      Tensor image;
      image.name = "data" + std::to_string(i);
      image.is_nhwc = OneIn(3);
      image.shape = image.is_nhwc ? std::vector<int64_t>{2, 8, 6, 4}
                                  : std::vector<int64_t>{2, 4, 8, 6};
      Fill(image.name, image.shape, 1);
      data_.insert(image.name);
      live_.push_back(image);
    }
    const int64_t count = Integer(5, 40);
    for (int tries = 0; operators_ < count && tries < 2000; ++tries) {
      const std::size_t at = static_cast<std::size_t>(Integer(
          std::max<int64_t>(0, Size() - (OneIn(3) ? 4 : 1)), Size() - 1));
      Step(live_[at]);
    }
    RandomNet result;
    result.net = net_.Build();
    if (!OneIn(6)) Declare(&result.net);
    result.data = data_;
    return result;
  }

 private:
  int64_t Size() const { return static_cast<int64_t>(live_.size()); }
  int64_t Integer(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  bool OneIn(int n) { return Integer(1, n) == 1; }
  float Float(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(random_);
  }

  // External outputs: what nobody reads, and one that somebody may.
  void Declare(caffe2::NetDef* net) {
    std::set<std::string> read, outputs;
    for (int i = net->op_size(); i-- > 0;) {
      const caffe2::OperatorDef& op = net->op(i);
      for (int slot = 0; slot < op.output_size(); ++slot) {
        const bool is_aside =
            slot > 0 && (op.type() == "Concat" || op.type() == "Dropout" ||
                         op.type() == "Reshape");
        if (read.count(op.output(slot)) == 0 && !is_aside) {
          outputs.insert(op.output(slot));
        }
        // What was there before is another value.
        read.insert(op.output(slot));
      }
      read.insert(op.input().begin(), op.input().end());
    }
    outputs.insert(live_.back().name);
    for (const std::string& name : outputs) net->add_external_output(name);
  }

  std::string Fill(const std::string& name, const std::vector<int64_t>& shape,
                   float deviation, float mean = 0) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(random_);
    FeedFloats(workspace_, name, values, shape);
    net_.Input(name);
    return name;
  }
  std::string Positive(const std::string& name, int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = Float(0.3f, 1.5f);
    FeedFloats(workspace_, name, values);
    net_.Input(name);
    return name;
  }
  std::string NewName() { return "b" + std::to_string(++blobs_); }

  // A weight of a shape: one that is there already, now and then.
  std::string Weight(const std::vector<int64_t>& shape, float deviation) {
    if (OneIn(4)) {
      for (const auto& weight : weights_) {
        if (weight.second == shape) return weight.first;
      }
    }
    const std::string name = "w" + std::to_string(weights_.size());
    weights_.push_back({name, shape});
    return Fill(name, shape, deviation);
  }

  // The blob of an output: a new name, or one whose value nobody will read any
  // more, which may be the first input's where that is allowed.
  std::string OutputName(const std::vector<std::string>& inputs,
                         bool may_be_first) {
    if (may_be_first && OneIn(3) && data_.count(inputs[0]) == 0) {
      Retire(inputs[0]);
      free_.erase(std::remove(free_.begin(), free_.end(), inputs[0]),
                  free_.end());
      return inputs[0];
    }
    if (OneIn(3)) {
      for (std::size_t i = 0; i < free_.size(); ++i) {
        if (std::find(inputs.begin(), inputs.end(), free_[i]) != inputs.end()) {
          continue;
        }
        const std::string name = free_[i];
        free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
        return name;
      }
    }
    return NewName();
  }

  void Retire(const std::string& name) {
    if (data_.count(name) != 0) return;
    const auto found =
        std::find_if(live_.begin(), live_.end(),
                     [&](const Tensor& tensor) { return tensor.name == name; });
    if (found == live_.end()) return;
    live_.erase(found);
    free_.push_back(name);
  }

  // Adds an operator of one output.
  OpBuilder Add(const std::string& type, const std::vector<std::string>& inputs,
                Tensor output, bool may_be_in_place = false) {
    ++operators_;
    output.name = OutputName(inputs, may_be_in_place);
    // One of the inputs is not needed any more.
    if (OneIn(3) && Size() > 3 && inputs[0] != output.name) Retire(inputs[0]);
    live_.push_back(output);
    return net_.Op(type, inputs, {output.name});
  }

  std::string Order(const Tensor& x) { return x.is_nhwc ? "NHWC" : "NCHW"; }
  static Tensor Image(const Tensor& like, int64_t channels, int64_t height,
                      int64_t width) {
    Tensor image = like;
    image.shape =
        like.is_nhwc
            ? std::vector<int64_t>{like.shape[0], height, width, channels}
            : std::vector<int64_t>{like.shape[0], channels, height, width};
    return image;
  }

  void Step(const Tensor x) {
    switch (Integer(0, 33)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return x.is_image() ? Conv(x) : Fc(x);
      case 5:
        return Fc(x);
      case 6:
      case 7:
        return Normalize(x);
      case 8:
      case 9:
      case 10:
        Add("Relu", {x.name}, x, true);
        return;
      case 11:
        if (OneIn(2)) {
          Add("Clip", {x.name}, x, true).Float("min", 0).Float("max", 2);
        } else {
          Add("Clip", {x.name}, x, true).Float("min", -1).Float("max", 1.5f);
        }
        return;
      case 12:
      case 13:
      case 14:
        return AddUp(x);
      case 15:
        return Scale(x);
      case 16:
      case 17:
        return Concat(x);
      case 18:
        return Split(x);
      case 19:
        return Slice(x);
      case 20:
      case 21:
        return Pool(x);
      case 22:
        return Reshape(x);
      case 23:
        return Flatten(x);
      case 24:
        return Transpose(x);
      case 25:
        Add("Sigmoid", {x.name}, x, true);
        return;
      case 26:
        Add("Tanh", {x.name}, x, true);
        return;
      case 27:
        // Of large values it would show the last bits of floats.
        Add("Tanh", {x.name}, x);
        Add("Softmax", {live_.back().name}, live_.back()).Int("axis", 1);
        return;
      case 28:
        return Dropout(x);
      case 29:
        Add("Copy", {x.name}, x);
        return;
      case 30:
        Add("LeakyRelu", {x.name}, x, true).Float("alpha", 0.2f);
        return;
      case 31:
        Add("Abs", {x.name}, x);
        return;
      case 32:
        return SwitchOrder(x);
      default:
        return Shuffle(x);
    }
  }

  void Conv(const Tensor& x) {
    const int64_t channels = x.channels();
    int64_t groups = 1, outputs = 2 * Integer(1, 4);
    if (OneIn(3)) groups = outputs = channels;
    if (groups == 1 && channels % 2 == 0 && OneIn(4)) groups = 2;
    const int64_t kernel = OneIn(2) ? 1 : 3;
    const int64_t stride = OneIn(4) && x.height() > 3 && x.width() > 3 ? 2 : 1;
    const int64_t inputs = channels / groups;
    const float deviation =
        std::sqrt(1.5f / static_cast<float>(inputs * kernel * kernel));
    const std::vector<int64_t> shape =
        x.is_nhwc ? std::vector<int64_t>{outputs, kernel, kernel, inputs}
                  : std::vector<int64_t>{outputs, inputs, kernel, kernel};
    std::vector<std::string> names = {x.name, Weight(shape, deviation)};
    if (!OneIn(4)) names.push_back(Weight({outputs}, 0.2f));
    const auto size = [&](int64_t in) { return (in - 1) / stride + 1; };
    OpBuilder op = Add("Conv", names,
                       Image(x, outputs, size(x.height()), size(x.width())));
    op.Int("stride", stride).Int("group", groups);
    if (OneIn(2)) {
      op.Int("kernel", kernel).Int("pad", kernel / 2);
    } else {
      op.Ints("kernels", {kernel, kernel})
          .Ints("pads", std::vector<int64_t>(4, kernel / 2));
    }
    if (x.is_nhwc || OneIn(2)) op.String("order", Order(x));
  }

  void Fc(const Tensor& x) {
    if (x.shape.size() < 2 || x.columns() > 600) return;
    const int64_t outputs = 2 * Integer(1, 8);
    Tensor y;
    y.shape = {x.shape[0], outputs};
    const float deviation = std::sqrt(1.5f / static_cast<float>(x.columns()));
    if (x.shape.size() == 2 && OneIn(4)) {
      Add("FCTransposed",
          {x.name, Weight({x.columns(), outputs}, deviation),
           Weight({outputs}, 0.2f)},
          y);
    } else if (x.shape.size() == 2 && OneIn(4)) {
      Add("MatMul", {x.name, Weight({x.columns(), outputs}, deviation)}, y);
    } else {
      Add("FC",
          {x.name, Weight({outputs, x.columns()}, deviation),
           Weight({outputs}, 0.2f)},
          y);
    }
  }

  void Normalize(const Tensor& x) {
    const int64_t channels = x.channels();
    const std::string id = NewName();
    if (x.is_image() && OneIn(2)) {
      OpBuilder op = Add(
          "SpatialBN",
          {x.name, Fill(id + "_s", {channels}, 0.3f, 1),
           Fill(id + "_b", {channels}, 0.3f), Fill(id + "_m", {channels}, 0.3f),
           Positive(id + "_v", channels)},
          x, true);
      op.Int("is_test", 1).String("order", Order(x));
      return;
    }
    if (x.is_image() && OneIn(2)) {
      Add("AffineChannel",
          {x.name, Fill(id + "_s", {channels}, 0.3f, 1),
           Fill(id + "_b", {channels}, 0.3f)},
          x)
          .String("order", Order(x));
      return;
    }
    const std::string type = OneIn(2) ? "Mul" : "Add";
    const float mean = type == "Mul" ? 1.0f : 0.0f;
    if (OneIn(3)) {
      Add(type, {x.name, Fill(id, {1}, 0.3f, mean)}, x).Int("broadcast", 1);
    } else if (OneIn(2)) {
      Add(type, {x.name, Fill(id, {channels}, 0.3f, mean)}, x)
          .Int("broadcast", 1)
          .Int("axis", x.channel_axis());
    } else {
      std::vector<int64_t> shape(x.shape.size(), 1);
      shape[static_cast<std::size_t>(x.channel_axis())] = channels;
      Add(type, {x.name, Fill(id, shape, 0.3f, mean)}, x);
    }
  }

  // Another live tensor of the shape; the same one if there is none.
  Tensor Alike(const Tensor& x) {
    std::vector<Tensor> found;
    for (const Tensor& other : live_) {
      if (other.shape == x.shape && other.is_nhwc == x.is_nhwc) {
        found.push_back(other);
      }
    }
    return found[static_cast<std::size_t>(
        Integer(0, static_cast<int64_t>(found.size()) - 1))];
  }

  void AddUp(const Tensor& x) {
    std::vector<std::string> names = {x.name, Alike(x).name};
    if (OneIn(3)) {
      Add("Add", names, x, names[0] != names[1]);
      return;
    }
    if (OneIn(4)) names.push_back(Alike(x).name);
    if (OneIn(12)) names.resize(1);
    const bool once = std::count(names.begin(), names.end(), names[0]) == 1;
    Add("Sum", names, x, once);
  }

  void Scale(const Tensor& x) {
    if (++products_ > 2) return;
    if (x.is_image() && OneIn(2)) {
      // One value for each channel of each image.
      const Tensor pooled = Image(x, x.channels(), 1, 1);
      Add("AveragePool", {x.name}, pooled)
          .Int("global_pooling", 1)
          .String("order", Order(x));
      const std::string scale = live_.back().name;
      if (std::none_of(live_.begin(), live_.end(), [&](const Tensor& tensor) {
            return tensor.name == x.name;
          })) {
        return;
      }
      Add("Mul", {x.name, scale}, x);
      return;
    }
    Add("Mul", {x.name, Alike(x).name}, x);
  }

  void Concat(const Tensor& x) {
    std::vector<std::string> names = {x.name};
    for (int64_t i = Integer(0, 2); i > 0; --i) names.push_back(Alike(x).name);
    Tensor y = x;
    const int axis = OneIn(3) && !x.is_image() ? 0 : x.channel_axis();
    y.shape[static_cast<std::size_t>(axis)] *=
        static_cast<int64_t>(names.size());
    if (y.columns() > 600) return;
    ++operators_;
    y.name = OutputName(names, false);
    live_.push_back(y);
    OpBuilder op = net_.Op("Concat", names, {y.name, NewName()});
    if (x.is_image() && OneIn(2)) {
      op.String("order", Order(x));
    } else {
      op.Int("axis", OneIn(3) ? axis - static_cast<int>(x.shape.size()) : axis);
    }
  }

  void Split(const Tensor& x) {
    const int axis = x.channel_axis();
    if (x.shape.size() < 2 || x.channels() % 2 != 0) return;
    Tensor half = x;
    half.shape[static_cast<std::size_t>(axis)] /= 2;
    ++operators_;
    const std::string first = OutputName({x.name}, false), second = NewName();
    half.name = first;
    live_.push_back(half);
    half.name = second;
    live_.push_back(half);
    OpBuilder op =
        net_.Op("Split", {x.name}, {first, second}).Int("axis", axis);
    if (OneIn(2)) {
      op.Ints("split", {half.shape[static_cast<std::size_t>(axis)],
                        half.shape[static_cast<std::size_t>(axis)]});
    }
  }

  void Slice(const Tensor& x) {
    const std::size_t axis = static_cast<std::size_t>(
        Integer(1, static_cast<int64_t>(x.shape.size()) - 1));
    if (x.shape[axis] < 2) return;
    std::vector<int64_t> starts(x.shape.size(), 0), ends(x.shape.size(), -1);
    Tensor y = x;
    starts[axis] = Integer(0, x.shape[axis] - 1);
    ends[axis] = Integer(starts[axis] + 1, x.shape[axis]);
    y.shape[axis] = ends[axis] - starts[axis];
    Add("Slice", {x.name}, y).Ints("starts", starts).Ints("ends", ends);
  }

  void Pool(const Tensor& x) {
    if (!x.is_image()) return;
    const std::string type = OneIn(2) ? "MaxPool" : "AveragePool";
    if (OneIn(4)) {
      Add(type, {x.name}, Image(x, x.channels(), 1, 1))
          .Int("global_pooling", 1)
          .String("order", Order(x));
      return;
    }
    if (x.height() < 2 || x.width() < 2) return;
    const int64_t stride = Integer(1, 2);
    const bool is_padded = OneIn(3);
    const auto size = [&](int64_t in) {
      return (in + (is_padded ? 2 : 0) - 2) / stride + 1;
    };
    Add(type, {x.name},
        Image(x, x.channels(), size(x.height()), size(x.width())))
        .Int("kernel", 2)
        .Int("stride", stride)
        .Int("pad", is_padded ? 1 : 0)
        .String("order", Order(x));
  }

  void Reshape(const Tensor& x) {
    Tensor y;
    if (x.is_image()) {
      y.shape = {x.shape[0], x.shape[1], x.shape[2] * x.shape[3]};
    } else if (x.columns() % 4 == 0) {
      y.shape = {x.shape[0], x.columns() / 4, 2, 2};
    } else {
      return;
    }
    ++operators_;
    y.name = OutputName({x.name}, false);
    std::vector<int64_t> shape = y.shape;
    shape[0] = OneIn(2) ? 0 : shape[0];
    if (OneIn(2)) shape.back() = -1;
    live_.push_back(y);
    net_.Op("Reshape", {x.name}, {y.name, NewName()}).Ints("shape", shape);
  }

  void Flatten(const Tensor& x) {
    Tensor y;
    y.shape = {x.shape[0], x.columns()};
    Add("Flatten", {x.name}, y);
  }

  void Transpose(const Tensor& x) {
    if (x.shape.size() < 3) return;
    Tensor y = x;
    std::vector<int64_t> axes(x.shape.size());
    for (std::size_t i = 0; i < axes.size(); ++i) {
      axes[i] = static_cast<int64_t>(i);
    }
    std::shuffle(axes.begin() + 1, axes.end(), random_);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      y.shape[i] = x.shape[static_cast<std::size_t>(axes[i])];
    }
    Add("Transpose", {x.name}, y).Ints("axes", axes);
  }

  void Dropout(const Tensor& x) {
    ++operators_;
    Tensor y = x;
    y.name = OutputName({x.name}, true);
    live_.push_back(y);
    std::vector<std::string> outputs = {y.name};
    if (OneIn(2)) outputs.push_back(NewName());
    net_.Op("Dropout", {x.name}, outputs).Int("is_test", 1);
  }

  void SwitchOrder(const Tensor& x) {
    if (!x.is_image()) return;
    Tensor y = x;
    y.is_nhwc = !x.is_nhwc;
    const Tensor shaped = Image(y, x.channels(), x.height(), x.width());
    Add(x.is_nhwc ? "NHWC2NCHW" : "NCHW2NHWC", {x.name}, shaped);
  }

  void Shuffle(const Tensor& x) {
    if (!x.is_image() || x.channels() % 2 != 0) return;
    Add("ChannelShuffle", {x.name}, x)
        .Int("group", 2)
        .Int("kernel", 1)
        .String("order", Order(x));
  }

  caffe2::Workspace* const workspace_;
  std::mt19937_64& random_;
  NetBuilder net_;
  std::vector<Tensor> live_;
  std::vector<std::string> free_;  // names whose values nobody reads any more
  std::vector<std::pair<std::string, std::vector<int64_t>>> weights_;
  std::set<std::string> data_;
  int blobs_ = 0, operators_ = 0, products_ = 0;
};

}  // namespace

RandomNet FeedRandomNet(caffe2::Workspace* workspace, std::mt19937_64* random) {
  return Maker(workspace, random).Make();
}

}  // namespace caffe2_quantization
