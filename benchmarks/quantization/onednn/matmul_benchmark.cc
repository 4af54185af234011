// Products of u8 and s8 matrices that end in codes, beside the host's FC of
// engine DNNLOWP with the same operands.
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

// As the host's FC: weights with a zero point, a bias of zeros.
struct Product {
  std::shared_ptr<const onednn::PackedMatrix> packed;
  std::vector<uint8_t> a, codes;
  std::vector<int32_t> zero_points, offsets;
  std::vector<float> multipliers;
  kernels::OutputStage stage;
};

std::unique_ptr<BenchmarkRun> MakeOurRun(const Shape& shape) {
  std::vector<int8_t> w(shape.n * shape.k);
  for (std::size_t i = 0; i < w.size(); ++i) {
    w[i] = static_cast<int8_t>(i % 251 - 100);
  }
  const auto product = std::make_shared<Product>();
  const Status status = onednn::PackedMatrix::Pack(
      w.data(), shape.k, shape.n, onednn::PackedMatrix::Order::kRowsOfN,
      &product->packed);
  CAFFE_ENFORCE(status.ok(), status.message());
  product->a.assign(shape.m * shape.k, 3);
  product->codes.resize(shape.m * shape.n);
  product->zero_points.assign(shape.n, -25);
  product->offsets.assign(shape.n, 0);
  product->multipliers.assign(shape.n, 1e-3f);
  product->stage.columns = shape.n;
  product->stage.weight_zero_points = product->zero_points.data();
  product->stage.column_offsets = product->offsets.data();
  product->stage.multipliers = product->multipliers.data();
  product->stage.zero_point = 100;
  return MakeRun([product, m = shape.m] {
    const Status status =
        MultiplyToCodes(*product->packed, product->a.data(), m, product->stage,
                        product->codes.data());
    CAFFE_ENFORCE(status.ok(), status.message());
  });
}

}  // namespace

void AddMatMulBenchmarks() {
  for (const int64_t size : {256, 512, 1024, 2048, 4096}) {
    for (const int64_t m : {1, 16, 64, 256}) {
      const Shape shape{m, size, size};
      const std::string group =
          "MatMul/M " + std::to_string(m) + " N K " + std::to_string(size);
      AddBenchmark(group, "host", 0, [shape] { return MakeHostRun(shape); });
      AddBenchmark(group, "ours", 0, [shape] { return MakeOurRun(shape); });
    }
  }
}

}  // namespace caffe2_quantization
