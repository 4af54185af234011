// Choosing scale and zero point of an array: the host's Int8GenQuantParams and
// ours, of one tensor, with 2048 bins. Of counts that leave many ranges nearly
// equal, ours alone. Ours by channel too, of the weights of a ResNet-50.
#include <cmath>
#include <cstring>
#include <random>

#include "benchmarks/registry.h"
#include "operators/int8_quant_blobs.h"
#include "quantization/choose.h"
#include "quantization/choose_tensor.h"

namespace caffe2_quantization {
namespace {

std::vector<float> Normal(std::size_t count) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

std::unique_ptr<BenchmarkRun> MakeHost(const std::string& method,
                                       const std::vector<float>& values) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  auto* tensor = caffe2::BlobGetMutableTensor(
      workspace->CreateBlob("X"), {static_cast<int64_t>(values.size())},
      at::dtype<float>().device(caffe2::CPU));
  std::memcpy(tensor->mutable_data<float>(), values.data(),
              values.size() * sizeof(float));
  workspace->CreateBlob("scheme")
      ->GetMutable<std::unique_ptr<caffe2::Int8QuantSchemeBlob>>()
      ->reset(new caffe2::Int8QuantSchemeBlob{method, false});
  caffe2::OperatorDef definition;
  definition.set_type("Int8GenQuantParams");
  definition.add_input("X");
  definition.add_input("scheme");
  definition.add_output("chosen");
  std::shared_ptr<caffe2::OperatorBase> op =
      caffe2::CreateOperator(definition, workspace.get());
  return MakeRun([workspace, op] { CAFFE_ENFORCE(op->Run()); });
}

std::unique_ptr<BenchmarkRun> MakeOurs(const std::string& method,
                                       std::vector<float> values) {
  ChooseOptions options;
  Status status =
      ChooseMethodFromName(method, &options.method, &options.percentile);
  CAFFE_ENFORCE(status.ok(), status.message());
  return MakeRun([values = std::move(values), options] {
    Choice choice;
    const Status chosen =
        ChooseFromArray(values.data(), values.size(), options, &choice);
    CAFFE_ENFORCE(chosen.ok(), chosen.message());
  });
}

// 10^8 values and more, in 2048 bins.
BinCounts Counts(const std::string& kind) {
  BinCounts bins;
  bins.min = 0;
  bins.max = 1;
  std::mt19937_64 generator(1);
  std::uniform_real_distribution<double> exponent(0, std::log(1e8));
  for (int b = 0; b < 2048; ++b) {
    const double x = std::abs(b - 1024.0) / 34;
    bins.counts.push_back(static_cast<uint64_t>(
        kind == "tails" ? 1e12 * std::exp(-x)
        : kind == "any" ? std::exp(exponent(generator))
                        // Even, with nothing around it.
                        : (b >= 682 && b < 1365 ? 6e9 + 1 : 0)));
  }
  bins.counts.front() += 1;
  return bins;
}

std::unique_ptr<BenchmarkRun> MakeOursOfCounts(const std::string& kind) {
  ChooseOptions options;
  options.method = ChooseMethod::kKl;
  return MakeRun([counts = Counts(kind), options] {
    Choice choice;
    const Status chosen = ChooseFromCounts(counts, options, &choice);
    CAFFE_ENFORCE(chosen.ok(), chosen.message());
  });
}

// Symmetric int8, an output channel at a time.
std::unique_ptr<BenchmarkRun> MakeOursByChannel(ChooseMethod method) {
  ChooseOptions options;
  options.method = method;
  options.preserve_sparsity = true;
  options.type = QuantizedType::Int8();
  struct Layer {
    int64_t channels;
    int64_t inner;
    int repeated;
  };
  // Convolutions of the first to the last stage, and the FC layer.
  const std::vector<Layer> layers = {
      {64, 147, 1},   {64, 64, 1},    {64, 256, 2},   {64, 576, 3},
      {256, 64, 4},   {128, 256, 1},  {128, 512, 3},  {128, 1152, 4},
      {512, 128, 4},  {512, 256, 1},  {256, 512, 1},  {256, 1024, 5},
      {256, 2304, 6}, {1024, 256, 6}, {1024, 512, 1}, {512, 1024, 1},
      {512, 2048, 2}, {512, 4608, 3}, {2048, 512, 3}, {2048, 1024, 1},
      {1000, 2048, 1}};
  std::vector<std::pair<Layer, std::vector<float>>> weights;
  for (const Layer& layer : layers) {
    weights.push_back({layer, Normal(layer.channels * layer.inner)});
  }
  return MakeRun([weights = std::move(weights), options] {
    for (const auto& [layer, values] : weights) {
      for (int i = 0; i < layer.repeated; ++i) {
        TensorChoice choice;
        const Status chosen =
            ChooseForTensor(values.data(), {layer.channels, layer.inner},
                            {Granularity::kChannel, 0, 0}, options, &choice);
        CAFFE_ENFORCE(chosen.ok(), chosen.message());
      }
    }
  });
}

}  // namespace

void AddChooseBenchmarks() {
  for (const std::string kind : {"any", "tails", "even"}) {
    AddBenchmark("Choose KL of counts, " + kind, "ours", 0,
                 [=] { return MakeOursOfCounts(kind); });
  }
  AddBenchmark(
      "Choose MSE by channel, ResNet-50", "ours", 25502912 * sizeof(float),
      [] { return MakeOursByChannel(ChooseMethod::kMse); }, "", 1);
  for (const std::size_t count : {1 << 14, 1 << 20}) {
    AddBenchmark("Choose MSE 2^" + std::to_string(count == 1 << 14 ? 14 : 20),
                 "ours", count * sizeof(float),
                 [=] { return MakeOurs("MSE", Normal(count)); });
  }
  struct Size {
    std::size_t count;
    const char* name;
  };
  for (const Size size : {Size{1 << 14, "2^14"}, Size{1 << 20, "2^20"}}) {
    for (const std::string method :
         {"MIN_MAX", "P99", "L2_APPROX", "L2", "L1", "KL"}) {
      const std::string group = "Choose " + method + " " + size.name;
      const bool is_search = method == "L2" || method == "L1" || method == "KL";
      const std::size_t bytes = size.count * sizeof(float);
      // A search takes the host up to half a minute, as long for 2^20 values.
      if (is_search && size.count > 1 << 14) continue;
      const int most_repetitions = is_search ? 1 : 0;
      AddBenchmark(
          group, "host", bytes,
          [=] { return MakeHost(method, Normal(size.count)); }, "",
          most_repetitions);
      AddBenchmark(group, "ours", bytes,
                   [=] { return MakeOurs(method, Normal(size.count)); });
    }
  }
}

}  // namespace caffe2_quantization
