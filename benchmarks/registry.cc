#include "benchmarks/registry.h"

#include <omp.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <utility>

#include "benchmarks/benchmark_case.h"
#include "caffe2/core/common.h"
#include "caffe2/core/common_omp.h"
#include "caffe2/core/init.h"
#include "operators/registration.h"
#include "quantization/kernels/isa.h"

namespace caffe2_quantization {

// operators/int8/products/given_packed_weight_fill_op.cc
void RegisterInt8GivenPackedWeightFill();

namespace {

struct Entry {
  std::string group;
  std::string variant;
  std::function<std::unique_ptr<BenchmarkRun>()> make;
  std::string target;
  int threads;  // 0: as the environment says
};

std::deque<Entry> g_entries;
std::vector<BenchmarkCase> g_cases;
int g_default_threads = 1;

void* SetUp(const BenchmarkCase* benchmark) {
  const auto* entry = static_cast<const Entry*>(benchmark->parameter);
  if (!entry->target.empty()) kernels::ForceTargetForTest(entry->target);
  omp_set_num_threads(entry->threads > 0 ? entry->threads : g_default_threads);
  return entry->make().release();
}

void Run(void* state) { static_cast<BenchmarkRun*>(state)->Run(); }

void TearDown(void* state) {
  delete static_cast<BenchmarkRun*>(state);
  kernels::ClearForcedTargetForTest();
}

void Add(Entry new_entry, std::size_t bytes, int most_repetitions) {
  g_entries.push_back(std::move(new_entry));
  const Entry& entry = g_entries.back();
  g_cases.push_back({entry.group.c_str(), entry.variant.c_str(), bytes, SetUp,
                     caffe2_quantization::Run, TearDown, most_repetitions,
                     &entry});
}

}  // namespace

void AddBenchmark(const std::string& group, const std::string& variant,
                  std::size_t bytes,
                  std::function<std::unique_ptr<BenchmarkRun>()> make,
                  const std::string& target, int most_repetitions) {
  Add({group, variant, std::move(make), target, 0}, bytes, most_repetitions);
}

void AddThreadedBenchmark(const std::string& group, const std::string& variant,
                          int threads,
                          std::function<std::unique_ptr<BenchmarkRun>()> make) {
  Add({group, variant, std::move(make), "", threads}, 0, 0);
}

}  // namespace caffe2_quantization

extern "C" {

const BenchmarkCase* caffe2_quantization_benchmark_cases(size_t* count) {
  using namespace caffe2_quantization;
  if (g_cases.empty()) {
    AddByteWeightDequantBenchmarks();
    AddDigitsBenchmarks();
    AddInt8ArithmeticBenchmarks();
    AddInt8NetsBenchmarks();
    AddQuantizedNetsBenchmarks();
    AddInt8ChannelsBenchmarks();
    AddInt8ConvBenchmarks();
    AddInt8EngineBenchmarks();
    AddInt8FCBenchmarks();
    AddInt8LargeBenchmarks();
    AddInt8MovesBenchmarks();
    AddInt8OrderBenchmarks();
    AddInt8PoolBenchmarks();
    AddInt8QuantizeBenchmarks();
    AddQTensorCodecBenchmarks();
    AddQTensorFCBenchmarks();
    AddQTensorLoadBenchmarks();
    AddQTensorQuantizeBenchmarks();
    AddChooseBenchmarks();
    AddConvolutionBenchmarks();
    AddHistogramBenchmarks();
    AddMatMulBenchmarks();
    AddMinMaxBenchmarks();
    AddQuantizeBenchmarks();
    AddObserverBenchmarks();
  }
  *count = g_cases.size();
  return g_cases.data();
}

void caffe2_quantization_benchmark_init(const char* program) {
  int argc = 1;
  char* name = const_cast<char*>(program);
  char** argv = &name;
  caffe2::GlobalInit(&argc, &argv);
  const std::string error =
      caffe2_quantization::kernels::ConfigureIsaFromEnvironment();
  if (!error.empty()) {
    std::fprintf(stderr, "%s\n", error.c_str());
    std::exit(2);
  }
  // The rest of the plugin would answer to names of the host's.
  caffe2_quantization::RegisterOnednnOperators();
  // Of a new name, for the weights of quantized nets.
  caffe2_quantization::RegisterInt8GivenPackedWeightFill();
  caffe2_quantization::g_default_threads = omp_get_max_threads();
}

const char* caffe2_quantization_benchmark_isa(void) {
  static const std::string name =
      caffe2_quantization::kernels::ActiveTargetName();
  return name.c_str();
}

const char* caffe2_quantization_benchmark_host_version(void) {
  static const std::string version =
      caffe2::GetBuildOptions().at("TORCH_VERSION");
  return version.c_str();
}

int caffe2_quantization_benchmark_threads(void) {
  return caffe2_quantization::g_default_threads;
}

}  // extern "C"
