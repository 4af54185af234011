// Operators and nets of one engine, for measurements beside the host's.
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_INT8_OPERATOR_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_INT8_OPERATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/registry.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/workspace.h"

namespace caffe2_quantization {

// Feeds uniform floats from -limit to limit, the same ones every time.
void FeedRandom(caffe2::Workspace* workspace, const std::string& name,
                std::vector<int64_t> shape, float limit = 1);

// Feeds an Int8TensorCPU of random codes.
void FeedRandomCodes(caffe2::Workspace* workspace, const std::string& name,
                     std::vector<int64_t> shape, float scale,
                     int32_t zero_point);

// Makes the operator. Enforces that the engine has it: the host would take
// its own without a word.
std::unique_ptr<caffe2::OperatorBase> CreateWithEngine(
    const caffe2::OperatorDef& definition, caffe2::Workspace* workspace);

// Of one operator: engine DNNLOWP is the baseline, then the host's floats, then
// ours.
struct Variant {
  const char* name;
  const char* engine;  // "" computes in floats
};
const std::vector<Variant>& Int8Variants();

// Runs one operator again and again; keeps the workspace.
std::unique_ptr<BenchmarkRun> MakeOperatorRun(
    const caffe2::OperatorDef& definition,
    std::shared_ptr<caffe2::Workspace> workspace);

// "FC, 1 thread", "FC, 2 threads": a family of groups (main.cc).
std::string WithThreads(const std::string& family, int threads);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_INT8_OPERATOR_H_
