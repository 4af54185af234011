// Relu and Int8Relu under the engine ONEDNN: in place, of codes and of floats,
// and beside the host's float operator. Codes are compared with DNNLOWP's in
// relu_op_test.cc.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

caffe2::OperatorDef Definition(const std::string& type, const std::string& y,
                               const std::string& suffix = "") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x"}, {y});
  definition.set_engine("ONEDNN" + suffix);
  return definition;
}

TEST(ReluOp, CodesBelowTheZeroPointBecomeIt) {
  for (const char* type : {"Relu", "Int8Relu"}) {
    for (const char* y : {"y", "x"}) {
      caffe2::Workspace workspace;
      FeedCodes<uint8_t>(&workspace, "x", {0, 99, 100, 101, 255}, {1, 5}, 0.5f,
                         100);
      ASSERT_TRUE(workspace.RunOperatorOnce(Definition(type, y)));
      EXPECT_EQ(FetchCodes(workspace, y),
                (Int8Values{{1, 5}, {100, 100, 100, 101, 255}, 0.5f, 100}));
    }
  }
}

// Parameters of 16 bits, although activation_precision is 8.
TEST(ReluOp, CodesOf16Bits) {
  caffe2::Workspace workspace;
  FeedCodes<uint16_t>(&workspace, "x", {0, 40000, 65535}, {3}, 0.5f, 30000);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("Relu", "x", "_16")));
  EXPECT_EQ(FetchCodes(workspace, "x"),
            (Int8Values{{3}, {30000, 40000, 65535}, 0.5f, 30000}));
}

TEST(ReluOp, OfFloatsGivesFloats) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {-1, 0, 2.5f, std::nanf("")});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("Relu", "x")));
  const auto y = Fetch<float>(workspace, "x");
  EXPECT_EQ(std::vector<float>(y.begin(), y.begin() + 3),
            (std::vector<float>{0, 0, 2.5f}));
  EXPECT_TRUE(std::isnan(y[3]));
}

TEST(ReluOp, DequantizesInPlace) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 100, 104}, {3, 1}, 0.5f, 100);
  auto definition = Definition("Int8Relu", "x");
  OpBuilder(&definition).Int("dequantize_output", 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(Fetch<float>(workspace, "x"), (std::vector<float>{0, 0, 2}));
}

// The float operator sees the input as it was: were it to run on what Relu
// wrote over it, no operator in place would ever be wrong.
TEST(ReluOp, IsMeasuredAgainstTheInputBeforeItIsWrittenOver) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 100, 104}, {3}, 0.5f, 100);
  auto definition = Definition("Int8Relu", "x");
  OpBuilder(&definition).Int("measure_quantization_error", 1);
  testing::internal::CaptureStderr();
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("output 'x' of Int8Relu: 1 runs, L2 relative error 0, "),
            std::string::npos)
      << log;
}

TEST(ReluOp, RefusesWhatItCannotRead) {
  caffe2::Workspace workspace;
  const auto error = [&] {
    return ErrorOf([&] { workspace.RunOperatorOnce(Definition("Relu", "y")); });
  };
  FeedCodes<uint8_t>(&workspace, "x", {1}, {1}, 0, 0);
  EXPECT_NE(error().find("Relu: tensor 'x': "), std::string::npos) << error();
  FeedCodes<uint16_t>(&workspace, "x", {1}, {1}, 1, 0);
  EXPECT_NE(error().find("tensor 'x' is an Int8TensorCPU of "),
            std::string::npos)
      << error();
  workspace.RemoveBlob("x");
  Feed<int>(&workspace, "x", {1});
  EXPECT_NE(error().find("tensor 'x' is of type int, expected float"),
            std::string::npos)
      << error();
}

}  // namespace
}  // namespace caffe2_quantization
