// Int8 tensors of codes: what they hold, and what the host reads of them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

caffe2::OperatorDef Definition(float scale, int64_t zero_point) {
  caffe2::OperatorDef op;
  OpBuilder(&op, "Int8TensorFromCodes", {"codes"}, {"x"})
      .Float("scale", scale)
      .Int("zero_point", zero_point);
  return op;
}

TEST(Int8TensorFromCodes, TheHostReadsThem) {
  caffe2::Workspace workspace;
  Feed<uint8_t>(&workspace, "codes", {0, 3, 255, 4}, {2, 2});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(0.5f, 3)));
  EXPECT_EQ(FetchCodes(workspace, "x"),
            (Int8Values{{2, 2}, {0, 3, 255, 4}, 0.5f, 3}));
  caffe2::OperatorDef dequantize;
  OpBuilder(&dequantize, "Int8Dequantize", {"x"}, {"y"});
  ASSERT_TRUE(workspace.RunOperatorOnce(dequantize));
  EXPECT_EQ(Fetch<float>(workspace, "y"),
            (std::vector<float>{-1.5f, 0, 126, 0.5f}));

  Feed<uint16_t>(&workspace, "codes", {0, 1000, 65535});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(0.25f, 1000)));
  EXPECT_EQ(FetchCodes(workspace, "x"),
            (Int8Values{{3}, {0, 1000, 65535}, 0.25f, 1000}));
  caffe2::OperatorDef wide;
  OpBuilder(&wide, "Dequantize", {"x"}, {"y"});
  wide.set_engine("DNNLOWP_16");
  ASSERT_TRUE(workspace.RunOperatorOnce(wide));
  EXPECT_EQ(Fetch<float>(workspace, "y"),
            (std::vector<float>{-250, 0, 16133.75f}));
}

// It is a copy, in a storage that is new in each run.
TEST(Int8TensorFromCodes, HasAStorageOfItsOwn) {
  using caffe2::int8::Int8TensorCPU;
  caffe2::Workspace workspace;
  Feed<int32_t>(&workspace, "codes",
                {std::numeric_limits<int32_t>::min(), 7,
                 std::numeric_limits<int32_t>::max()});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(2, 0)));
  const auto& x = workspace.GetBlob("x")->Get<Int8TensorCPU>();
  const caffe2::Tensor first = x.t.Alias();
  Feed<int32_t>(&workspace, "codes", {1, 2, 3});
  EXPECT_EQ(first.data<int32_t>()[1], 7);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(2, 0)));
  EXPECT_EQ(x.t.data<int32_t>()[1], 2);
  EXPECT_EQ(first.data<int32_t>()[1], 7);
}

TEST(Int8TensorFromCodes, ShapesWithoutValues) {
  caffe2::Workspace workspace;
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{0, 3}, std::vector<int64_t>{3, 0, 2}}) {
    Feed<uint8_t>(&workspace, "codes", {}, sizes);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition(1, 0)));
    EXPECT_EQ(FetchCodes(workspace, "x").sizes, sizes);
  }
}

TEST(Int8TensorFromCodes, Refusals) {
  caffe2::Workspace workspace;
  const auto expect = [&](const caffe2::OperatorDef& op,
                          const std::string& part) {
    Feed<int>(&workspace, "x", {7});
    const std::string error = ErrorOf([&] { workspace.RunOperatorOnce(op); });
    EXPECT_NE(error.find("Int8TensorFromCodes: " + part), std::string::npos)
        << error.substr(0, 300);
    EXPECT_EQ(Fetch<int>(workspace, "x"), std::vector<int>{7});
  };
  Feed<uint8_t>(&workspace, "codes", {1});
  for (const float wrong : {0.0f, -1.0f, std::nanf(""), 0x1p-130f,
                            std::numeric_limits<float>::infinity()}) {
    expect(Definition(wrong, 0), "quantization parameters: scales[0] is ");
  }
  expect(Definition(1, 256),
         "argument zero_point is 256, expected a code of unsigned char, 0 to "
         "255");
  expect(Definition(1, -1), "argument zero_point is -1");
  expect(Definition(1, int64_t{1} << 40), "argument zero_point is 10995116277");
  caffe2::OperatorDef op = Definition(1, 0);
  op.mutable_arg()->DeleteSubrange(0, 1);
  expect(op, "argument scale is missing");
  op = Definition(1, 0);
  op.mutable_arg()->DeleteSubrange(1, 1);
  expect(op, "argument zero_point is missing");
  FeedFloats(&workspace, "codes", {1});
  expect(Definition(1, 0),
         "tensor 'codes' is of type float, expected uint8, uint16 or int32");
  FeedCodes<uint8_t>(&workspace, "codes", {1}, {1}, 1, 0);
  expect(Definition(1, 0), "blob 'codes' holds a");
}

}  // namespace
}  // namespace caffe2_quantization
