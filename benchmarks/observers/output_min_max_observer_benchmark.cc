// What the observers cost a net.
#include "benchmarks/registry.h"
#include "observers/attachment.h"
#include "observers/output_min_max_observer.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

enum class Mode { kNone, kAttached, kStopped };

struct NetState {
  std::shared_ptr<caffe2::Workspace> workspace;
  caffe2::NetBase* net;
  void operator()() const { net->Run(); }
};

// Four 3x3 convolutions of 64 channels with their Relus, 28x28, batch 1.
NetState MakeNet(Mode mode) {
  NetState state{std::make_shared<caffe2::Workspace>(), nullptr};
  auto* workspace = state.workspace.get();
  constexpr int64_t kChannels = 64, kSide = 28;
  const auto fill = [&](const std::string& name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    std::vector<float> values(count);
    for (int64_t i = 0; i < count; ++i) {
      values[i] = static_cast<float>(i % 97 - 48) / 480;
    }
    FeedFloats(workspace, name, values, std::move(shape));
  };
  fill("x0", {1, kChannels, kSide, kSide});
  NetBuilder net("overhead", "simple");
  for (int layer = 0; layer < 4; ++layer) {
    const std::string i = std::to_string(layer);
    const std::string next = "x" + std::to_string(layer + 1);
    fill("w" + i, {kChannels, kChannels, 3, 3});
    fill("b" + i, {kChannels});
    net.Op("Conv", {"x" + i, "w" + i, "b" + i}, {"c" + i})
        .Int("kernel", 3)
        .Int("pad", 1);
    net.Op("Relu", {"c" + i}, {next});
  }
  state.net = workspace->CreateNet(net.Build());
  if (mode != Mode::kNone) {
    std::shared_ptr<NetMeasurement> measurement;
    CAFFE_ENFORCE(AttachOutputMinMaxObserver(state.net, {}, &measurement).ok());
    if (mode == Mode::kStopped) measurement->stop();
  }
  return state;
}

}  // namespace

void AddObserverBenchmarks() {
  const std::string group = "Net with observers/4 Conv+Relu 64x28x28";
  const auto add = [&](const char* variant, Mode mode) {
    AddBenchmark(group, variant, 0, [mode] { return MakeRun(MakeNet(mode)); });
  };
  add("host", Mode::kNone);
  add("observed", Mode::kAttached);
  add("attached, stopped", Mode::kStopped);
}

}  // namespace caffe2_quantization
