#include "benchmarks/support/resnet50.h"

#include <cmath>
#include <random>
#include <vector>

#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

class ResNet50 {
 public:
  ResNet50(caffe2::Workspace* workspace, const std::string& net_type)
      : workspace_(workspace), net_("resnet50", net_type) {}

  const caffe2::NetDef& Build(int64_t batch) {
    FillNormal("data", {batch, 3, 224, 224}, 1);
    Relu(Conv("data", "conv1", 3, 64, 7, 2));
    net_.Op("MaxPool", {"conv1"}, {"pool1"})
        .Int("kernel", 3)
        .Int("stride", 2)
        .Int("pad", 1);
    std::string x = "pool1";
    int64_t channels = 64;
    const int blocks[] = {3, 4, 6, 3};
    for (int stage = 0; stage < 4; ++stage) {
      const int64_t width = int64_t{64} << stage;
      for (int block = 0; block < blocks[stage]; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        x = Bottleneck(
            x, "res" + std::to_string(stage + 2) + "_" + std::to_string(block),
            channels, width, stride);
        channels = 4 * width;
      }
    }
    net_.Op("AveragePool", {x}, {"pool5"}).Int("kernel", 7).Int("stride", 1);
    FillNormal("fc_w", {1000, channels}, Deviation(channels));
    FillNormal("fc_b", {1000}, 0.1f);
    net_.Op("FC", {"pool5", "fc_w", "fc_b"}, {"fc"});
    net_.Op("Softmax", {"fc"}, {"softmax"});
    return net_.Build();
  }

 private:
  static float Deviation(int64_t fan_in) {
    return std::sqrt(2.0f / static_cast<float>(fan_in));
  }

  void FillNormal(const std::string& name, std::vector<int64_t> shape,
                  float deviation) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    std::normal_distribution<float> normal(0, deviation);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(generator_);
    FeedFloats(workspace_, name, values, std::move(shape));
    net_.Input(name);
  }

  std::string Conv(const std::string& x, const std::string& y, int64_t inputs,
                   int64_t outputs, int64_t kernel, int64_t stride) {
    FillNormal(y + "_w", {outputs, inputs, kernel, kernel},
               Deviation(inputs * kernel * kernel));
    FillNormal(y + "_b", {outputs}, 0.1f);
    net_.Op("Conv", {x, y + "_w", y + "_b"}, {y})
        .Int("kernel", kernel)
        .Int("stride", stride)
        .Int("pad", kernel / 2);
    return y;
  }

  std::string Relu(const std::string& x) {
    net_.Op("Relu", {x}, {x});
    return x;
  }

  std::string Bottleneck(const std::string& x, const std::string& name,
                         int64_t channels, int64_t width, int64_t stride) {
    const std::string a = Relu(Conv(x, name + "_a", channels, width, 1, 1));
    const std::string b = Relu(Conv(a, name + "_b", width, width, 3, stride));
    const std::string c = Conv(b, name + "_c", width, 4 * width, 1, 1);
    const std::string shortcut =
        channels == 4 * width && stride == 1
            ? x
            : Conv(x, name + "_shortcut", channels, 4 * width, 1, stride);
    net_.Op("Sum", {c, shortcut}, {name});
    return Relu(name);
  }

  caffe2::Workspace* workspace_;
  NetBuilder net_;
  std::mt19937 generator_{50};
};

}  // namespace

caffe2::NetBase* MakeResNet50(caffe2::Workspace* workspace, int64_t batch,
                              const std::string& net_type) {
  ResNet50 model(workspace, net_type);
  return workspace->CreateNet(model.Build(batch));
}

}  // namespace caffe2_quantization
