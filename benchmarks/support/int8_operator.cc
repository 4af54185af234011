#include "benchmarks/support/int8_operator.h"

#include <utility>

#include "caffe2/core/tensor_int8.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

// Knuth's linear congruential generator: std's are slower than what is measured
// of large matrices.
class FastRandom {
 public:
  uint32_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state_ >> 32);
  }

 private:
  uint64_t state_ = 1;
};

int64_t Count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

}  // namespace

void FeedRandom(caffe2::Workspace* workspace, const std::string& name,
                std::vector<int64_t> shape, float limit) {
  FastRandom random;
  std::vector<float> values(static_cast<std::size_t>(Count(shape)));
  for (float& value : values) {
    value = limit * static_cast<float>(static_cast<int32_t>(random.Next())) *
            0x1p-31f;
  }
  FeedFloats(workspace, name, values, std::move(shape));
}

void FeedRandomCodes(caffe2::Workspace* workspace, const std::string& name,
                     std::vector<int64_t> shape, float scale,
                     int32_t zero_point) {
  FastRandom random;
  auto* const tensor =
      workspace->CreateBlob(name)->GetMutable<caffe2::int8::Int8TensorCPU>();
  tensor->scale = scale;
  tensor->zero_point = zero_point;
  tensor->t.Resize(shape);
  auto* const codes = tensor->t.mutable_data<uint8_t>();
  for (int64_t i = 0; i < tensor->t.numel(); ++i) {
    codes[i] = static_cast<uint8_t>(random.Next() >> 24);
  }
}

std::unique_ptr<caffe2::OperatorBase> CreateWithEngine(
    const caffe2::OperatorDef& definition, caffe2::Workspace* workspace) {
  if (!definition.engine().empty()) {
    const std::string key =
        definition.type() + "_ENGINE_" + definition.engine();
    CAFFE_ENFORCE(caffe2::CPUOperatorRegistry()->Has(key),
                  "there is no operator ", key);
  }
  return caffe2::CreateOperator(definition, workspace);
}

const std::vector<Variant>& Int8Variants() {
  static const std::vector<Variant> variants = {
      {"host", "DNNLOWP"}, {"host, floats", ""}, {"ours", "ONEDNN"}};
  return variants;
}

std::unique_ptr<BenchmarkRun> MakeOperatorRun(
    const caffe2::OperatorDef& definition,
    std::shared_ptr<caffe2::Workspace> workspace) {
  const std::shared_ptr<caffe2::OperatorBase> op =
      CreateWithEngine(definition, workspace.get());
  return MakeRun([workspace, op] { op->Run(); });
}

std::string WithThreads(const std::string& family, int threads) {
  return family + ", " + std::to_string(threads) +
         (threads == 1 ? " thread" : " threads");
}

}  // namespace caffe2_quantization
