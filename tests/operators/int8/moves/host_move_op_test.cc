// Int8Flatten, Int8Reshape, Int8Slice and Int8Transpose under the engine
// ONEDNN: what the host's do, with the parameters of their input.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& suffix = "") {
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, type, {"x"}, {"y"});
  definition.set_engine("ONEDNN" + suffix);
  if (type == "Int8Reshape") {
    definition.add_output("old");
    builder.Ints("shape", {4, -1});
  } else if (type == "Int8Slice") {
    builder.Ints("starts", {0, 1}).Ints("ends", {-1, 3});
  } else if (type == "Int8Transpose") {
    builder.Ints("axes", {1, 0});
  } else {
    builder.Int("axis", 0);
  }
  return definition;
}

Int8Values ExpectedOf(const std::string& type, float scale,
                      int32_t zero_point) {
  if (type == "Int8Flatten") {
    return {{1, 8}, {0, 1, 2, 3, 4, 5, 6, 7}, scale, zero_point};
  }
  if (type == "Int8Reshape") {
    return {{4, 2}, {0, 1, 2, 3, 4, 5, 6, 7}, scale, zero_point};
  }
  if (type == "Int8Slice") return {{2, 2}, {1, 2, 5, 6}, scale, zero_point};
  return {{4, 2}, {0, 4, 1, 5, 2, 6, 3, 7}, scale, zero_point};
}

constexpr const char* kTypes[] = {"Int8Flatten", "Int8Reshape", "Int8Slice",
                                  "Int8Transpose"};

// The host ends the process, or refuses, unless Y_scale and Y_zero_point are
// those of the input.
TEST(HostMoveOp, KeepsTheParametersOfEachRun) {
  for (const std::string type : kTypes) {
    for (const char* suffix : {"", "_ROWWISE"}) {
      SCOPED_TRACE(type + suffix);
      caffe2::Workspace workspace;
      FeedCodes<uint8_t>(&workspace, "x", {0, 1, 2, 3, 4, 5, 6, 7}, {2, 4},
                         0.5f, 9);
      auto definition = Definition(type, suffix);
      OpBuilder(&definition).Float("Y_scale", 7).Int("Y_zero_point", 1);
      const auto op = caffe2::CreateOperator(definition, &workspace);
      ASSERT_TRUE(op->Run());
      EXPECT_EQ(FetchCodes(workspace, "y"), ExpectedOf(type, 0.5f, 9));
      auto* const x =
          workspace.GetBlob("x")->GetMutable<caffe2::int8::Int8TensorCPU>();
      x->scale = 0.1f;
      x->zero_point = 200;
      ASSERT_TRUE(op->Run());
      EXPECT_EQ(FetchCodes(workspace, "y"), ExpectedOf(type, 0.1f, 200));
    }
  }
}

TEST(HostMoveOp, CodesOf16Bits) {
  for (const char* type : {"Int8Flatten", "Int8Reshape", "Int8Slice"}) {
    caffe2::Workspace workspace;
    FeedCodes<uint16_t>(&workspace, "x", {0, 1, 2, 3, 4, 5, 6, 7}, {2, 4}, 0.5f,
                        40000);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition(type, "_16")));
    EXPECT_EQ(FetchCodes(workspace, "y"), ExpectedOf(type, 0.5f, 40000));
  }
}

TEST(HostMoveOp, AnEnginePreferenceDoesNotLeadInACircle) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 1, 2, 3, 4, 5, 6, 7}, {2, 4}, 0.5f,
                     9);
  auto definition = Definition("Int8Slice");
  definition.clear_engine();
  caffe2::SetGlobalEnginePref({{caffe2::CPU, {"ONEDNN"}}});
  const std::string error =
      ErrorOf([&] { workspace.RunOperatorOnce(definition); });
  caffe2::SetGlobalEnginePref({});
  EXPECT_EQ(error, "");
  EXPECT_EQ(FetchCodes(workspace, "y"), ExpectedOf("Int8Slice", 0.5f, 9));
}

TEST(HostMoveOp, RefusesWhatItCannotRead) {
  for (const std::string type : kTypes) {
    caffe2::Workspace workspace;
    const auto expect = [&](const std::string& part) {
      const std::string error =
          ErrorOf([&] { workspace.RunOperatorOnce(Definition(type)); });
      EXPECT_NE(error.find(type + ": " + part), std::string::npos) << error;
    };
    FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {1, 2}, 0, 0);
    expect("tensor 'x': ");
    FeedCodes<int32_t>(&workspace, "x", {1, 2}, {1, 2}, 1, 0);
    expect("tensor 'x' is an Int8TensorCPU of int, expected uint8 or uint16");
    workspace.RemoveBlob("x");
    FeedFloats(&workspace, "x", {1, 2}, {1, 2});
    expect("blob 'x' holds a ");
  }
}

// So many codes are written past the cache, and not by the host.
TEST(HostMoveOp, SlicesPastTheCache) {
  const int64_t width = 100, kept = 71;
  const int64_t rows =
      static_cast<int64_t>(kernels::LastLevelCacheBytes() / 4) / kept + 1;
  std::vector<uint8_t> codes(2 * rows * width);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  }
  caffe2::Workspace workspace;
  FeedCodes(&workspace, "x", codes, {2, rows, width}, 0.5f, 9);
  const auto expect = [&](const std::vector<int64_t>& starts,
                          const std::vector<int64_t>& ends,
                          const std::vector<int64_t>& sizes, int64_t first) {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "Int8Slice", {"x"}, {"y"})
        .Ints("starts", starts)
        .Ints("ends", ends);
    definition.set_engine("ONEDNN");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const auto& y = workspace.GetBlob("y")->Get<caffe2::int8::Int8TensorCPU>();
    EXPECT_EQ(y.t.sizes().vec(), sizes);
    EXPECT_EQ(y.scale, 0.5f);
    EXPECT_EQ(y.zero_point, 9);
    const uint8_t* out = y.t.data<uint8_t>();
    int64_t wrong = 0;
    for (int64_t i = 0; i < sizes[0]; ++i) {
      for (int64_t k = 0; k < sizes[1]; ++k, out += sizes[2]) {
        wrong += !std::equal(out, out + sizes[2],
                             &codes[(i * rows + k) * width + first]);
      }
    }
    EXPECT_EQ(wrong, 0);
  };
  expect({0, 0, 17}, {-1, -1, 17 + kept}, {2, rows, kept}, 17);
  expect({0, 3}, {-1, -2}, {2, rows - 4, width}, 3 * width);
  expect({1}, {-1}, {1, rows, width}, rows * width);
}

}  // namespace
}  // namespace caffe2_quantization
