// Choosing scale and zero point of an array: the host's Int8GenQuantParams and
// ours, of one tensor, with 2048 bins.
#include <cstring>
#include <random>

#include "benchmarks/registry.h"
#include "operators/int8_quant_blobs.h"
#include "quantization/choose.h"

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

}  // namespace

void AddChooseBenchmarks() {
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
