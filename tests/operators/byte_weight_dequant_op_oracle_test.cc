// ByteWeightDequant against the host's own operator, in one process.
#include <gtest/gtest.h>

#include <cstring>

#include "operators/byte_weight_dequant_op.h"
#include "tests/support/every_target.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

std::vector<int64_t> RandomShape(TestRandom* random) {
  std::vector<int64_t> shape(random->Integer(0, 4));
  for (auto& dim : shape) dim = random->Integer(1, 9);
  if (random->OneIn(20)) shape = {random->Integer(1, 5000)};
  return shape;
}

caffe2::OperatorDef RandomDefinition(const std::vector<int64_t>& shape,
                                     TestRandom* random) {
  caffe2::OperatorDef definition;
  OpBuilder op(&definition, "ByteWeightDequant", {"bytes"}, {"ours"});
  if (!shape.empty() || random->OneIn(2)) op.Ints("shape", shape);
  if (random->OneIn(2)) {
    const float magnitude = std::ldexp(1.0f, random->Integer(-140, 100));
    op.Float("min", random->Float(-1, 1) * magnitude);
  }
  if (random->OneIn(2)) op.Float("max", random->Float(-10, 10));
  return definition;
}

TEST(ByteWeightDequantOracle, SameBitsAsTheHostOver10000Inputs) {
  TestRandom random;
  const auto targets = kernels::SupportedTargetNames();
  caffe2::Workspace workspace;
  for (int i = 0; i < 10000; ++i) {
    const auto& target = targets[i % targets.size()];
    ASSERT_TRUE(kernels::ForceTargetForTest(target));
    const auto shape = RandomShape(&random);
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    // Now and then more bytes than the shape asks for: the host takes the
    // first.
    const int64_t size = count + (random.OneIn(10) ? random.Integer(1, 20) : 0);
    std::string bytes(size, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random.Byte());
    if (random.OneIn(3)) {
      Feed<std::string>(&workspace, "bytes", {bytes});
    } else {
      Feed<uint8_t>(&workspace, "bytes",
                    std::vector<uint8_t>(bytes.begin(), bytes.end()));
    }
    auto definition = RandomDefinition(shape, &random);
    ByteWeightDequantOp ours(definition, &workspace);
    definition.set_output(0, "host");
    auto host = caffe2::CreateOperator(definition, &workspace);
    ASSERT_EQ(dynamic_cast<ByteWeightDequantOp*>(host.get()), nullptr);
    ASSERT_TRUE(ours.Run() && host->Run());
    const auto& a = workspace.GetBlob("ours")->Get<caffe2::Tensor>();
    const auto& b = workspace.GetBlob("host")->Get<caffe2::Tensor>();
    ASSERT_EQ(a.sizes(), b.sizes());
    ASSERT_EQ(a.numel(), count);
    ASSERT_EQ(
        std::memcmp(a.data<float>(), b.data<float>(), count * sizeof(float)), 0)
        << "case " << i << " on " << target << ": "
        << definition.ShortDebugString();
  }
  kernels::ClearForcedTargetForTest();
}

TEST(ByteWeightDequantOracle, SameBitsForALargeTensor) {
  // Larger than the last cache level, so that streaming stores are used.
  TestRandom random;
  const int64_t count =
      static_cast<int64_t>(kernels::LastLevelCacheBytes() / sizeof(float)) +
      12347;
  caffe2::Workspace workspace;
  std::vector<uint8_t> bytes(count);
  for (auto& byte : bytes) byte = random.Byte();
  Feed(&workspace, "bytes", bytes);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "ByteWeightDequant", {"bytes"}, {"host"})
      .Ints("shape", {count})
      .Float("min", -0.7f)
      .Float("max", 1.3f);
  ASSERT_TRUE(caffe2::CreateOperator(definition, &workspace)->Run());
  definition.set_output(0, "ours");
  const float* host =
      workspace.GetBlob("host")->Get<caffe2::Tensor>().data<float>();
  OnEveryTarget([&] {
    ASSERT_TRUE(ByteWeightDequantOp(definition, &workspace).Run());
    const float* ours =
        workspace.GetBlob("ours")->Get<caffe2::Tensor>().data<float>();
    EXPECT_EQ(std::memcmp(ours, host, count * sizeof(float)), 0);
  });
}

}  // namespace
}  // namespace caffe2_quantization
