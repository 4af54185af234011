#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>

#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"
#include "tests/workflow/workflow_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

class CsvSourceTest : public testing::Test {
 protected:
  Status OpenFolder(const std::vector<std::string>& inputs) {
    options_.path = folder_.Path("");
    return OpenFor(options_, inputs, &source_);
  }
  void Open(const std::string& text) {
    options_.path = folder_.Write("d.csv", text);
    const Status status = OpenFor(options_, {"x"}, &source_);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(source_->form(), "CSV");
  }
  std::string ErrorOf(const std::string& text) {
    options_.path = folder_.Write("d.csv", text);
    Status status = OpenFor(options_, {"x"}, &source_);
    std::vector<float> values;
    if (status.ok()) status = ReadRest(source_.get(), "x", 2, &values);
    EXPECT_FALSE(status.ok()) << text;
    return status.message();
  }

  TemporaryFolder folder_;
  DataOptions options_;
  std::unique_ptr<BatchSource> source_;
};

TEST_F(CsvSourceTest, ReadsNumbers) {
  Open("1,2.5,-3e2\n\n +4 ,\t.5,1e-40\r\n  \n7,8,9");
  EXPECT_EQ(source_->samples(), 3);
  EXPECT_THAT(source_->notes(), IsEmpty());
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 2),
              ElementsAre(1, 2.5f, -300, 4, 0.5f, 1e-40f, 7, 8, 9));
  ExpectSkipping<float>(source_.get(), "x", 3);
  Open("nan,inf\n-inf,0\n");
  const auto values = ReadAll<float>(source_.get(), "x", 1);
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[2], -INFINITY);
}

TEST_F(CsvSourceTest, SkipsAHeader) {
  Open(
      "\xef\xbb\xbf"
      "a,b\n1,2\n");
  EXPECT_EQ(source_->samples(), 1);
  EXPECT_THAT(source_->notes(),
              ElementsAre(EndsWith("first line is a header")));
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 1), ElementsAre(1, 2));
  Open(
      "\xef\xbb\xbf"
      "1,2\n");
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 1), ElementsAre(1, 2));
}

TEST_F(CsvSourceTest, ARowHasTheShapeThatIsGiven) {
  options_.shapes["x"] = {3, 2, 1};
  Open("1,2,3,4,5,6\n");
  caffe2::Workspace workspace;
  ASSERT_TRUE(source_->Next(1, &workspace).ok());
  EXPECT_THAT(workspace.GetBlob("x")->Get<caffe2::Tensor>().sizes().vec(),
              ElementsAre(1, 3, 2, 1));
  EXPECT_THAT(ErrorOf("1,2,3,4,5\n"),
              HasSubstr("d.csv:1:1: 5 numbers, expected 6 for the shape "
                        "[3, 2, 1] of 'x'"));
  options_.shapes["y"] = {1};
  EXPECT_THAT(ErrorOf("1,2,3,4,5,6\n"), HasSubstr("given for 'y'"));
}

TEST_F(CsvSourceTest, FilesOfInputsStandSideBySide) {
  folder_.Write("x.csv", "1,2\n3,4\n");
  folder_.Write("y.csv", "5\n6\n");
  ASSERT_TRUE(OpenFolder({"y", "x"}).ok());
  EXPECT_EQ(source_->samples(), 2);
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 1), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ReadAll<float>(source_.get(), "y", 1), ElementsAre(5, 6));
  folder_.Write("y.csv", "5\n");
  EXPECT_THAT(OpenFolder({"y", "x"}).message(),
              HasSubstr("'y' has 1 rows, expected 2"));
}

TEST_F(CsvSourceTest, OtherFilesFollowEachOther) {
  folder_.Write("b.csv", "h\n3\n4");
  folder_.Write("a.csv", "h\n1\n2\n");
  folder_.Write("c.csv", "5");
  ASSERT_TRUE(OpenFolder({"x"}).ok());
  EXPECT_EQ(source_->samples(), 5);
  EXPECT_THAT(source_->notes(),
              ElementsAre(HasSubstr("a.csv"), HasSubstr("b.csv")));
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 2),
              ElementsAre(1, 2, 3, 4, 5));
  ExpectSkipping<float>(source_.get(), "x", 1);
  EXPECT_THAT(OpenFolder({"x", "y"}).message(),
              HasSubstr("say which input they are for, of: x, y"));
  options_.input = "y";
  EXPECT_TRUE(OpenFolder({"x", "y"}).ok());
  EXPECT_THAT(source_->blobs(), ElementsAre("y"));
  options_.input = "z";
  EXPECT_THAT(OpenFolder({"x", "y"}).message(),
              HasSubstr("'z' is no input of the net; it has: x, y"));
}

TEST_F(CsvSourceTest, NamesThePlace) {
  EXPECT_THAT(ErrorOf("1,2\n3,four\n"),
              EndsWith("d.csv:2:3: 'four' is no number"));
  EXPECT_THAT(ErrorOf("1,2\n\n3,\n"), EndsWith("d.csv:3:3: '' is no number"));
  EXPECT_THAT(ErrorOf("1,two\n"), EndsWith("d.csv:1:3: 'two' is no number"));
  EXPECT_THAT(ErrorOf("1,2\n3,1e39\n"),
              EndsWith("d.csv:2:3: '1e39' is beyond the floats"));
  EXPECT_THAT(ErrorOf("1,2\n3,1e999\n"), HasSubstr("beyond the floats"));
  EXPECT_THAT(ErrorOf("1,2\n3,4,5\n"),
              HasSubstr("d.csv:2:5: more than 2 numbers"));
  EXPECT_THAT(ErrorOf("1,2\n3\n"),
              HasSubstr("d.csv:2:1: fewer than 2 numbers"));
  EXPECT_THAT(ErrorOf("a,b\n"), HasSubstr("no line with numbers"));
  EXPECT_THAT(ErrorOf(" \n\n"), HasSubstr("no line with numbers"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("the file is empty"));
}

TEST_F(CsvSourceTest, LinesCrossThePiecesThatAreRead) {
  TestRandom random;
  std::string text;
  std::vector<float> values;
  for (int row = 0; row < 400; ++row) {
    for (int column = 0; column < 1000; ++column) {
      const auto value = static_cast<float>(random.Integer(-99999, 99999));
      values.push_back(value);
      text += (column > 0 ? "," : "") + std::to_string(static_cast<int>(value));
    }
    text += '\n';
  }
  ASSERT_GT(text.size(), 2u << 20);
  Open(text);
  EXPECT_EQ(ReadAll<float>(source_.get(), "x", 7), values);
}

}  // namespace
}  // namespace caffe2_quantization
