// How a benchmark file adds its cases (the host's side of the boundary).
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_REGISTRY_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_REGISTRY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace caffe2_quantization {

// What one repetition needs; run() is timed, construction is not.
class BenchmarkRun {
 public:
  virtual ~BenchmarkRun() = default;
  virtual void Run() = 0;
};

// Adds a case. `target` forces the kernels of ours to one target of
// kernels::SupportedTargetNames() while it runs; empty: the best. However many
// repetitions are asked for, most_repetitions are made; 0: no limit.
void AddBenchmark(const std::string& group, const std::string& variant,
                  std::size_t bytes,
                  std::function<std::unique_ptr<BenchmarkRun>()> make,
                  const std::string& target = "", int most_repetitions = 0);

// Adds a case that is made and run with so many OpenMP threads.
void AddThreadedBenchmark(const std::string& group, const std::string& variant,
                          int threads,
                          std::function<std::unique_ptr<BenchmarkRun>()> make);

// A BenchmarkRun of a lambda and the state that it captures.
template <typename Body>
std::unique_ptr<BenchmarkRun> MakeRun(Body body) {
  class LambdaRun final : public BenchmarkRun {
   public:
    explicit LambdaRun(Body body) : body_(std::move(body)) {}
    void Run() override { body_(); }

   private:
    Body body_;
  };
  return std::make_unique<LambdaRun>(std::move(body));
}

// One function a benchmark file; registry.cc calls them all.
void AddByteWeightDequantBenchmarks();
void AddChooseBenchmarks();
void AddConvolutionBenchmarks();
void AddDigitsBenchmarks();
void AddInt8NetsBenchmarks();
void AddHistogramBenchmarks();
void AddInt8ArithmeticBenchmarks();
void AddInt8ChannelsBenchmarks();
void AddInt8ConvBenchmarks();
void AddInt8EngineBenchmarks();
void AddInt8FCBenchmarks();
void AddInt8LargeBenchmarks();
void AddInt8MovesBenchmarks();
void AddInt8OrderBenchmarks();
void AddInt8PoolBenchmarks();
void AddInt8QuantizeBenchmarks();
void AddMatMulBenchmarks();
void AddMinMaxBenchmarks();
void AddObserverBenchmarks();
void AddQTensorCodecBenchmarks();
void AddQTensorFCBenchmarks();
void AddQTensorLoadBenchmarks();
void AddQTensorQuantizeBenchmarks();
void AddQuantizeBenchmarks();
void AddQuantizedNetsBenchmarks();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BENCHMARKS_REGISTRY_H_
