// Int8Flatten, Int8Reshape, Int8Slice and Int8Transpose under the engine
// ONEDNN: what the host's do, with the parameters of their input, against a
// plain definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

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
  for (const char* type : kTypes) {
    caffe2::Workspace workspace;
    FeedCodes<uint16_t>(&workspace, "x", {0, 1, 2, 3, 4, 5, 6, 7}, {2, 4}, 0.5f,
                        40000);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition(type, "_16")));
    EXPECT_EQ(FetchCodes(workspace, "y"), ExpectedOf(type, 0.5f, 40000));
  }
}

// A case of one operator: sizes of the output, and which code of the input each
// of its codes is.
struct Move {
  std::vector<int64_t> sizes, from;
};

int64_t Product(const std::vector<int64_t>& sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

Move DrawMove(TestRandom* random, const std::string& type,
              const std::vector<int64_t>& x, OpBuilder op) {
  const auto rank = static_cast<int64_t>(x.size());
  const int64_t count = Product(x);
  Move move;
  for (int64_t i = 0; i < count; ++i) move.from.push_back(i);
  if (type == "Int8Flatten") {
    const int64_t axis = random->Integer(0, rank);
    op.Int("axis", axis);
    move.sizes = {Product({x.begin(), x.begin() + axis}),
                  Product({x.begin() + axis, x.end()})};
    return move;
  }
  if (type == "Int8Reshape") {
    // Two of its dimensions as one, and one of size 1 more; one is not said.
    move.sizes = x;
    const int64_t at = random->Integer(0, rank - 2);
    move.sizes[at] *= move.sizes[at + 1];
    move.sizes.erase(move.sizes.begin() + at + 1);
    move.sizes.insert(move.sizes.begin() + random->Integer(0, rank - 1), 1);
    auto said = move.sizes;
    if (random->OneIn(2)) said[random->Integer(0, rank - 1)] = -1;
    op.Ints("shape", said);
    return move;
  }
  std::vector<int64_t> strides(rank, 1);
  for (int64_t i = rank - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * x[i + 1];
  std::vector<int64_t> begins(rank, 0), y_strides = strides;
  move.sizes = x;
  if (type == "Int8Slice") {
    std::vector<int64_t> ends(rank, -1);
    const int64_t axis = random->Integer(0, rank - 1);
    begins[axis] = random->Integer(0, x[axis] - 1);
    const int64_t end = random->Integer(begins[axis] + 1, x[axis]);
    move.sizes[axis] = end - begins[axis];
    ends[axis] = random->OneIn(2) ? end : end - x[axis] - 1;
    op.Ints("starts", begins).Ints("ends", ends);
  } else {
    std::vector<int64_t> axes(rank);
    for (int64_t i = 0; i < rank; ++i) axes[i] = rank - 1 - i;
    if (!random->OneIn(5)) {
      std::shuffle(axes.begin(), axes.end(), random->generator());
      op.Ints("axes", axes);
    }
    for (int64_t i = 0; i < rank; ++i) {
      move.sizes[i] = x[axes[i]];
      y_strides[i] = strides[axes[i]];
    }
  }
  move.from.resize(Product(move.sizes));
  for (std::size_t i = 0; i < move.from.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    move.from[i] = 0;
    for (int64_t dim = rank - 1; dim >= 0; --dim) {
      move.from[i] += (rest % move.sizes[dim] + begins[dim]) * y_strides[dim];
      rest /= move.sizes[dim];
    }
  }
  return move;
}

// Of few and many codes, in few and many dimensions, with some of size 1.
std::vector<int64_t> RandomSizes(TestRandom* random) {
  std::vector<int64_t> sizes(random->Integer(2, 5));
  for (int64_t& size : sizes) {
    size = random->OneIn(4) ? 1 : random->Integer(1, 6);
  }
  for (int i = 0; i < 2; ++i) {
    const auto at = random->Integer(0, static_cast<int64_t>(sizes.size()) - 1);
    if (random->OneIn(2)) sizes[at] = random->Integer(1, 70);
  }
  return sizes;
}

template <typename T>
void ExpectMove(TestRandom* random, const std::string& type,
                const std::string& suffix) {
  const std::vector<int64_t> sizes = RandomSizes(random);
  std::vector<T> codes(Product(sizes));
  for (T& code : codes) code = static_cast<T>(random->Integer(0, 65535));
  const float scale = random->Float(0.001f, 3);
  const auto zero_point = static_cast<int32_t>(random->Integer(0, 255));
  caffe2::Workspace workspace;
  FeedCodes(&workspace, "x", codes, sizes, scale, zero_point);
  caffe2::OperatorDef definition;
  OpBuilder op(&definition, type, {"x"}, {"y"});
  definition.set_engine("ONEDNN" + suffix);
  if (type == "Int8Reshape") definition.add_output("old");
  const Move move = DrawMove(random, type, sizes, op);
  Int8Values expected{move.sizes, {}, scale, zero_point};
  for (const int64_t i : move.from) expected.codes.push_back(codes[i]);
  const onednn::ThreadsScope threads(random->OneIn(10) ? 3 : 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  ASSERT_EQ(FetchCodes(workspace, "y").sizes, move.sizes)
      << definition.ShortDebugString();
  ASSERT_EQ(FetchCodes(workspace, "y"), expected)
      << definition.ShortDebugString() << " of " << at::IntArrayRef(sizes);
}

TEST(HostMoveOp, LikeTheDefinition) {
  TestRandom random;
  const int64_t cases = CaseCount(400, 2000);
  for (const char* type : kTypes) {
    for (int64_t i = 0; i < cases && !testing::Test::HasFatalFailure(); ++i) {
      const char* const suffixes[] = {"", "_16", "_ACC16", "_ROWWISE",
                                      "_ROWWISE_16"};
      if (random.OneIn(2)) {
        ExpectMove<uint8_t>(&random, type, suffixes[i % 5]);
      } else {
        ExpectMove<uint16_t>(&random, type, suffixes[i % 5]);
      }
    }
  }
}

// A matrix that is divided among threads, of either type.
TEST(HostMoveOp, TransposesManyCodes) {
  const onednn::ThreadsScope threads(3);
  constexpr int64_t kRows = 701, kColumns = 1030;
  std::vector<uint16_t> codes(kRows * kColumns);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint16_t>(i * 2654435761u >> 13);
  }
  caffe2::Workspace workspace;
  FeedCodes(&workspace, "x", codes, {kRows, kColumns}, 0.5f, 9);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("Int8Transpose")));
  const Int8Values y = FetchCodes(workspace, "y");
  EXPECT_EQ(y.sizes, (std::vector<int64_t>{kColumns, kRows}));
  int64_t wrong = 0;
  for (int64_t i = 0; i < kRows * kColumns; ++i) {
    wrong += y.codes[i % kColumns * kRows + i / kColumns] != codes[i];
  }
  EXPECT_EQ(wrong, 0);
}

TEST(HostMoveOp, TransposesNoCodes) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {}, {0, 4}, 0.5f, 9);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("Int8Transpose")));
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{4, 0}, {}, 0.5f, 9}));
  FeedCodes<uint8_t>(&workspace, "x", {7}, {}, 0.5f, 9);
  auto definition = Definition("Int8Transpose");
  definition.clear_arg();
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{}, {7}, 0.5f, 9}));
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
