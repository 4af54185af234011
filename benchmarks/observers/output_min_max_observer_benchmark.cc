// What the observers cost a net: ResNet-50 at batch 1. They record its external
// input "data" too, as each run begins, unless a variant says otherwise; "with
// weights" records all 25.6 million parameters in every run as well.
#include <cstring>

#include "benchmarks/registry.h"
#include "benchmarks/support/resnet50.h"
#include "observers/attachment.h"
#include "observers/output_min_max_observer.h"

namespace caffe2_quantization {
namespace {

enum class Mode {
  kNone,
  kRead,
  kStopped,
  kMinMax,
  kHistogram,
  kMinMaxWithoutInputs,
  kHistogramWithoutInputs,
  kMinMaxWithWeights,
};

struct NetState {
  std::shared_ptr<caffe2::Workspace> workspace;
  caffe2::NetBase* net;
  void operator()() const { net->Run(); }
};

// Reads every output once and does nothing with it: the least that any observer
// of all values can cost.
class ReadObserver final : public caffe2::ObserverBase<caffe2::OperatorBase> {
 public:
  using ObserverBase::ObserverBase;

  void Stop() override {
    for (int i = 0; i < subject_->OutputSize(); ++i) {
      const auto& tensor = subject_->OutputBlob(i)->Get<caffe2::Tensor>();
      const auto* data = static_cast<const unsigned char*>(tensor.raw_data());
      uint64_t sums[8] = {};
      const std::size_t blocks = tensor.nbytes() / sizeof(sums);
      for (std::size_t block = 0; block < blocks; ++block) {
        uint64_t words[8];
        std::memcpy(words, data + block * sizeof(words), sizeof(words));
        for (int lane = 0; lane < 8; ++lane) sums[lane] ^= words[lane];
      }
      for (const uint64_t sum : sums) sink_ = sink_ ^ sum;
    }
  }

 private:
  volatile uint64_t sink_ = 0;
};

std::size_t ExpectedInputs(Mode mode, const caffe2::NetBase& net) {
  switch (mode) {
    case Mode::kMinMaxWithoutInputs:
    case Mode::kHistogramWithoutInputs:
      return 0;
    case Mode::kMinMaxWithWeights:
      return net.external_input().size();
    default:
      return 1;
  }
}

NetState MakeNet(Mode mode) {
  NetState state{std::make_shared<caffe2::Workspace>(), nullptr};
  state.net = MakeResNet50(state.workspace.get(), 1);
  if (mode == Mode::kRead) {
    for (caffe2::OperatorBase* op : state.net->GetOperators()) {
      op->AttachObserver(std::make_unique<ReadObserver>(op));
    }
  } else if (mode != Mode::kNone) {
    OutputMinMaxOptions options;
    if (mode == Mode::kHistogram || mode == Mode::kHistogramWithoutInputs) {
      options.recording.histogram_bins = Histogram::kDefaultBins;
    }
    if (mode == Mode::kMinMaxWithoutInputs ||
        mode == Mode::kHistogramWithoutInputs) {
      options.recording.op_types = {"*"};  // operators alone
    }
    if (mode == Mode::kMinMaxWithWeights) options.recording.inputs = {"*"};
    std::shared_ptr<NetMeasurement> measurement;
    CAFFE_ENFORCE(
        AttachOutputMinMaxObserver(state.net, options, &measurement).ok());
    const std::size_t inputs = measurement->get_info().inputs.size();
    CAFFE_ENFORCE_EQ(inputs, ExpectedInputs(mode, *state.net));
    if (mode == Mode::kStopped) measurement->stop();
  }
  return state;
}

}  // namespace

void AddObserverBenchmarks() {
  const std::string group = "Net with observers/ResNet-50, batch 1";
  const auto add = [&](const char* variant, Mode mode) {
    AddBenchmark(group, variant, 0, [mode] { return MakeRun(MakeNet(mode)); });
  };
  add("host", Mode::kNone);
  add("every output read", Mode::kRead);
  add("attached, stopped", Mode::kStopped);
  add("min/max", Mode::kMinMax);
  add("histograms", Mode::kHistogram);
  add("min/max without inputs", Mode::kMinMaxWithoutInputs);
  add("histograms without inputs", Mode::kHistogramWithoutInputs);
  add("min/max with weights", Mode::kMinMaxWithWeights);
}

}  // namespace caffe2_quantization
