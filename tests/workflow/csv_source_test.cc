#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>

#include "tests/support/model_files.h"
#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"

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

TEST_F(CsvSourceTest, AFirstLineOfColumnNumbers) {
  const auto note = [&] {
    return source_->notes().empty() ? "" : source_->notes()[0];
  };
  // With fractions among the rows, or of eight columns, it is a header.
  Open("0,1,2,3\n1,2,3,4\n0.5,6,7,8\n");
  EXPECT_EQ(source_->samples(), 2);
  EXPECT_THAT(note(), HasSubstr("d.csv: its first line, 0,1,2 ..., numbers the "
                                "columns and is taken for a header; "
                                "--csv-header no"));
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 1),
              ElementsAre(1, 2, 3, 4, 0.5f, 6, 7, 8));
  ExpectSkipping<float>(source_.get(), "x", 4);
  Open("0,1,2,3,4,5,6,7\n9,9,9,9,9,9,9,9\n");
  EXPECT_EQ(source_->samples(), 1);
  // Else it is a row that may be one.
  for (const char* text :
       {"0,1,2,3\n1,2,3,4\n", "0,1\n0.5,2\n", " 0 ,1\r\n5,6\r\n"}) {
    Open(text);
    EXPECT_EQ(source_->samples(), 2) << text;
    EXPECT_THAT(note(), HasSubstr("is taken for a sample; --csv-header yes"));
  }
  for (const char* text :
       {"0,1,2\n", "0,1,3\n.5,1,2\n", "0.0,1,2\n.5,1,2\n", "1,2,3\n.5,1,2\n",
        "0\n1\n0.5\n", "00,1,2\n.5,1,2\n"}) {
    Open(text);
    EXPECT_EQ(source_->notes().size(), 0u) << text;
  }
}

TEST_F(CsvSourceTest, TheHeaderThatIsGiven) {
  options_.csv_header = DataOptions::CsvHeader::kYes;
  Open("3,4\n1,2\n");
  EXPECT_THAT(source_->notes(), ElementsAre(EndsWith("is a header")));
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 1), ElementsAre(1, 2));
  EXPECT_THAT(ErrorOf("3,4\n"), HasSubstr("no line with numbers"));
  options_.csv_header = DataOptions::CsvHeader::kNo;
  Open("0,1,2\n.5,1,2\n");
  EXPECT_THAT(source_->notes(), IsEmpty());
  EXPECT_EQ(source_->samples(), 2);
  EXPECT_THAT(ErrorOf("a,b\n1,2\n"), EndsWith("d.csv:1:1: 'a' is no number"));
}

TEST_F(CsvSourceTest, LabelsAreIntegersOfTheirOwn) {
  folder_.Write("data.csv", "1,2\n3,4\n5,6\n");
  folder_.Write("label.csv", "class\n7\n 2.000e+00\n-1\n");
  options_.path = folder_.Path("");
  WantedBlobs wanted;
  wanted.inputs = wanted.free_inputs = {"data"};
  wanted.extras = {"label"};
  ASSERT_TRUE(OpenBatchSource(options_, wanted, &source_).ok());
  EXPECT_THAT(source_->blobs(), ElementsAre("label", "data"));
  EXPECT_EQ(source_->samples(), 3);
  EXPECT_THAT(ReadAll<int64_t>(source_.get(), "label", 2),
              ElementsAre(7, 2, -1));
  ExpectSkipping<int64_t>(source_.get(), "label", 1);
  // Beside files of one input that are not named after it, too.
  folder_.Write("a.csv", "1,2\n3,4\n");
  folder_.Write("b.csv", "5,6\n");
  unlink(folder_.Path("data.csv").c_str());
  ASSERT_TRUE(OpenBatchSource(options_, wanted, &source_).ok());
  EXPECT_THAT(ReadAll<float>(source_.get(), "data", 2),
              ElementsAre(1, 2, 3, 4, 5, 6));
  // Not taken, they are not data either.
  wanted.extras = {};
  folder_.Write("label.csv", "not even numbers");
  ASSERT_TRUE(OpenBatchSource(options_, wanted, &source_).ok());
  EXPECT_THAT(source_->blobs(), ElementsAre("data"));
  EXPECT_EQ(source_->samples(), 3);
  EXPECT_THAT(source_->notes(), ElementsAre("data blob 'label' is no input of "
                                            "the net: ignored"));
  // An input of that name takes them as any data.
  wanted.inputs = wanted.free_inputs = {"label"};
  folder_.Write("label.csv", "0.5\n1\n");
  unlink(folder_.Path("a.csv").c_str());
  unlink(folder_.Path("b.csv").c_str());
  ASSERT_TRUE(OpenBatchSource(options_, wanted, &source_).ok());
  EXPECT_THAT(ReadAll<float>(source_.get(), "label", 2), ElementsAre(0.5f, 1));
}

TEST_F(CsvSourceTest, LabelsThatAreNone) {
  folder_.Write("x.csv", "1\n2\n");
  options_.path = folder_.Path("");
  WantedBlobs wanted;
  wanted.inputs = wanted.free_inputs = {"x"};
  wanted.extras = wanted.labels = {"truth"};
  const auto error = [&](const std::string& text) {
    folder_.Write("truth.csv", text);
    Status status = OpenBatchSource(options_, wanted, &source_);
    std::vector<int64_t> labels;
    if (status.ok()) status = ReadRest(source_.get(), "truth", 1, &labels);
    EXPECT_FALSE(status.ok()) << text;
    return status.message();
  };
  EXPECT_THAT(
      error("1\n2.5\n"),
      EndsWith("truth.csv:2:1: '2.5' is no class, expected an integer"));
  EXPECT_THAT(error("1\nnan\n"), HasSubstr("'nan' is no class"));
  EXPECT_THAT(error("16777217\n1\n"), HasSubstr("'16777217' is no class"));
  EXPECT_THAT(
      error("1,0\n0,1\n"),
      HasSubstr("truth.csv:1:1: 2 numbers, expected one, the sample's"));
  EXPECT_THAT(error("1\n2\n3\n"), HasSubstr("has 2 rows, expected 3"));
  folder_.Write("truth.csv", "1\n");
  unlink(folder_.Path("x.csv").c_str());
  EXPECT_THAT(
      OpenBatchSource(options_, wanted, &source_).message(),
      HasSubstr("no tensor is an input of the net; the data has: truth"));
}

TEST_F(CsvSourceTest, SomeFilesWithTheNameOfAnInputAreNotGuessedAt) {
  folder_.Write("x.csv", "1\n");
  folder_.Write("more.csv", "2\n");
  EXPECT_THAT(
      OpenFolder({"x"}).message(),
      HasSubstr("x.csv' has the name of an input, and of the 2 files of "
                "data 1 have one"));
  options_.input = "x";
  ASSERT_TRUE(OpenFolder({"x"}).ok());
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 2), ElementsAre(2, 1));
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
