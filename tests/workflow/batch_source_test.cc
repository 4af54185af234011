#include "workflow/batch_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/model_files.h"
#include "tests/workflow/data_testing.h"

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

// As by another process, between two batches.
TEST_F(BatchSourceTest, AFileThatIsShortenedMeanwhileIsAnError) {
  constexpr int64_t kRows = 200'000;
  const std::vector<float> values(2 * kRows, 1.25f);
  std::string minidb, csv;
  caffe2::TensorProtos sample;
  AddFloats("x", {2}, {1.25f, 1.25f}, &sample);
  const std::string value = sample.SerializeAsString();
  const int32_t sizes[] = {1, static_cast<int32_t>(value.size())};
  for (int64_t i = 0; i < kRows; ++i) {
    minidb +=
        std::string(reinterpret_cast<const char*>(sizes), 8) + "k" + value;
    csv += "1.25,1.25\n";
  }
  const std::string image = "P5 2 1 255\nab";
  mkdir(folder_.Path("images").c_str(), 0777);
  for (const char* name : {"images/0.pgm", "images/1.pgm", "images/2.pgm"}) {
    folder_.Write(name, image);
  }
  const auto npz = [&](bool deflate) {
    std::vector<float> array = values;
    for (size_t i = 0; deflate && i < array.size(); ++i) {
      array[i] = static_cast<float>(i * 2654435761u);  // stays large
    }
    return WriteZip(folder_.Path("npz"),
                    {{"x.npy", Npy<float>("<f4", {kRows, 2}, array)}}, deflate);
  };
  const auto expect = [this](const std::string& path, const std::string& file,
                             int64_t batch, off_t left) {
    SCOPED_TRACE(file);
    struct stat info;
    ASSERT_EQ(stat(file.c_str(), &info), 0);
    DataOptions options;
    options.path = path;
    options.images.color = ImageOptions::Color::kGray;
    ASSERT_TRUE(OpenFor(options, {"x"}, &source_).ok());
    caffe2::Workspace workspace;
    Status status = source_->Next(batch, &workspace);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(truncate(file.c_str(), left), 0);
    std::vector<float> rest;
    status = ReadRest(source_.get(), "x", batch, &rest);
    EXPECT_EQ(status.message(),
              file + ": " + std::to_string(left) + " bytes, expected " +
                  std::to_string(info.st_size) +
                  " as when it was opened: another process has changed it");
  };
  for (const off_t left : {0, 1000, 400'000}) {
    const std::string path = folder_.Write("minidb", minidb);
    expect(path, path, 7, left);
    const std::string table = folder_.Write("csv", csv);
    expect(table, table, 7, left);
    expect(npz(false), folder_.Path("npz"), 7, left);
    expect(npz(true), folder_.Path("npz"), 7, left);
  }
  // Within the last number, which would read as another one.
  const std::string table = folder_.Write("csv", csv);
  expect(table, table, 7, static_cast<off_t>(csv.size()) - 2);
  for (const off_t left : {0, 5, 12}) {
    folder_.Write("images/2.pgm", image);
    expect(folder_.Path("images"), folder_.Path("images/2.pgm"), 1, left);
  }
  for (const char* name : {"images/0.pgm", "images/1.pgm", "images/2.pgm"}) {
    unlink(folder_.Path(name).c_str());
  }
  rmdir(folder_.Path("images").c_str());
}

TEST_F(BatchSourceTest, SaysWhatCannotBeData) {
  EXPECT_THAT(FormOf(folder_.Path("nowhere")), HasSubstr("No such file"));
  EXPECT_THAT(FormOf(folder_.Path("")), HasSubstr("0 images and 0 CSV"));
  EXPECT_THAT(FormOf(folder_.Write("a", "")), HasSubstr("the file is empty"));
  EXPECT_THAT(FormOf(folder_.Write("a", Npy<float>("<f4", {1}, {1}))),
              HasSubstr("expected an .npz"));
  EXPECT_THAT(
      FormOf(folder_.Write("a", std::string("\0\1\2\3\4\5\6\7\x8", 9))),
      HasSubstr("not a TensorProtos, or cut short (9 bytes): offset 0"));
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
