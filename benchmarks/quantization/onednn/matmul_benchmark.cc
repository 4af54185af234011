// Products of u8 and s8 matrices by oneDNN, beside the host's FC of engine
// DNNLOWP with the same operands, which makes codes of the sums as well.
#include <memory>

#include "benchmarks/registry.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/onednn/matmul.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Shape {
  int64_t m, k, n;
};

// One net: activations come quantized, as from the operator before.
std::unique_ptr<BenchmarkRun> MakeHostRun(const Shape& shape) {
  auto workspace = std::make_shared<caffe2::Workspace>();
  auto* x =
      workspace->CreateBlob("x")->GetMutable<caffe2::int8::Int8TensorCPU>();
  x->scale = 1;
  x->zero_point = 0;
  x->t.Resize(shape.m, shape.k);
  std::fill_n(x->t.mutable_data<uint8_t>(), x->t.numel(), uint8_t{3});
  FeedFloats(workspace.get(), "b", std::vector<float>(shape.n));
  std::vector<float> w(shape.n * shape.k);
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] = static_cast<float>(i % 251) - 100;
  }
  FeedFloats(workspace.get(), "w", w, {shape.n, shape.k});
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "FC", {"x", "w", "b"}, {"y"})
      .Float("Y_scale", 1000)
      .Int("Y_zero_point", 100);
  definition.set_engine("DNNLOWP");
  const std::shared_ptr<caffe2::OperatorBase> op =
      caffe2::CreateOperator(definition, workspace.get());
  return MakeRun([workspace, op] { op->Run(); });
}

std::unique_ptr<BenchmarkRun> MakeOurRun(const Shape& shape) {
  std::vector<int8_t> w(shape.n * shape.k);
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] = static_cast<int8_t>(i % 251 - 100);
  }
  std::shared_ptr<const onednn::PackedMatrix> packed;
  const Status status = onednn::PackedMatrix::Pack(
      w.data(), shape.k, shape.n, onednn::PackedMatrix::Order::kRowsOfN,
      &packed);
  CAFFE_ENFORCE(status.ok(), status.message());
  const auto a =
      std::make_shared<std::vector<uint8_t>>(shape.m * shape.k, uint8_t{3});
  const auto c = std::make_shared<std::vector<int32_t>>(shape.m * shape.n);
  return MakeRun([packed, a, c, m = shape.m] {
    const Status status = packed->Multiply(a->data(), m, c->data());
    CAFFE_ENFORCE(status.ok(), status.message());
  });
}

}  // namespace

void AddMatMulBenchmarks() {
  for (const int64_t size : {256, 1024, 4096}) {
    for (const int64_t m : {1, 16, 64, 256}) {
      const Shape shape{m, size, size};
      const std::string group =
          "MatMul/M " + std::to_string(m) + " N K " + std::to_string(size);
      AddBenchmark(group, "host", 0, [shape] { return MakeHostRun(shape); });
      AddBenchmark(group, "ours, sums alone", 0,
                   [shape] { return MakeOurRun(shape); });
    }
  }
}

}  // namespace caffe2_quantization
