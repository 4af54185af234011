#include "workflow/batch_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/workflow/data_testing.h"
#include "tests/workflow/workflow_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class BatchSourceTest : public testing::Test {
 protected:
  std::string FormOf(const std::string& path) {
    const Status status = OpenFor(path, {"x"}, &source_);
    return status.ok() ? source_->form() : status.message();
  }

  TemporaryFolder folder_;
  std::unique_ptr<BatchSource> source_;
};

TEST_F(BatchSourceTest, TellsTheFormByTheContents) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {2, 1}, {1, 2}, &tensors);
  EXPECT_EQ(FormOf(folder_.Write("a", tensors)), "TensorProtos");
  EXPECT_EQ(FormOf(folder_.Write("b", tensors.DebugString())), "TensorProtos");
  EXPECT_EQ(FormOf(folder_.Write("c", "1,2\n3,4\n")), "CSV");
  EXPECT_EQ(FormOf(WriteZip(folder_.Path("d"),
                            {{"x.npy", Npy<float>("<f4", {2}, {1, 2})}})),
            "npz");
  const std::string value = tensors.SerializeAsString();
  const int32_t sizes[] = {1, static_cast<int32_t>(value.size())};
  EXPECT_EQ(FormOf(folder_.Write(
                "e", std::string(reinterpret_cast<const char*>(sizes), 8) +
                         "k" + value)),
            "minidb");
  EXPECT_EQ(FormOf(folder_.Write("f.ppm", "P6 1 1 255\n123")), "images");
}

TEST_F(BatchSourceTest, SaysWhatCannotBeData) {
  EXPECT_THAT(FormOf(folder_.Path("nowhere")), HasSubstr("No such file"));
  EXPECT_THAT(FormOf(folder_.Path("")), HasSubstr("0 images and 0 CSV"));
  EXPECT_THAT(FormOf(folder_.Write("a", "")), HasSubstr("the file is empty"));
  EXPECT_THAT(FormOf(folder_.Write("a", Npy<float>("<f4", {1}, {1}))),
              HasSubstr("expected an .npz"));
  EXPECT_THAT(FormOf(folder_.Write("a", std::string("\0\1\2\3\4\5\6\7\x8", 9))),
              HasSubstr("expected a TensorProtos"));
  folder_.Write("a.csv", "1");
  folder_.Write("a.png", "1");
  EXPECT_THAT(FormOf(folder_.Path("")), HasSubstr("1 images and 1 CSV"));
  ASSERT_EQ(mkfifo(folder_.Path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(FormOf(folder_.Path("pipe")), HasSubstr("not a regular file"));
}

TEST_F(BatchSourceTest, ABatchHasALimit) {
  caffe2::Workspace workspace;
  void* data = nullptr;
  const auto type = caffe2::TypeMeta::Make<float>();
  EXPECT_TRUE(MakeBatch("d", "x", 2, {3}, type, &workspace, &data).ok());
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{600000000},
        {int64_t{1} << 40, int64_t{1} << 40}}) {
    EXPECT_THAT(
        MakeBatch("d", "x", 1, shape, type, &workspace, &data).message(),
        HasSubstr("more than 2147483648 bytes"));
  }
}

TEST_F(BatchSourceTest, TensorsGiveTheirRows) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {5, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, &tensors);
  AddFloats("other", {1}, {1}, &tensors);
  ASSERT_EQ(FormOf(folder_.Write("a", tensors)), "TensorProtos");
  EXPECT_EQ(source_->samples(), 5);
  EXPECT_THAT(source_->notes(), ElementsAre(HasSubstr("'other'")));
  ExpectSkipping<float>(source_.get(), "x", 2);
}

}  // namespace
}  // namespace caffe2_quantization
