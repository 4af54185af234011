#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/model_files.h"
#include "tests/workflow/data_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MinidbSourceTest : public testing::Test {
 protected:
  void AddRecord(const std::string& key, const std::string& value) {
    const int32_t sizes[] = {static_cast<int32_t>(key.size()),
                             static_cast<int32_t>(value.size())};
    bytes_.append(reinterpret_cast<const char*>(sizes), sizeof(sizes));
    bytes_ += key + value;
  }
  void AddRecord(const std::string& key, const caffe2::TensorProtos& sample) {
    AddRecord(key, sample.SerializeAsString());
  }
  static caffe2::TensorProtos Sample(float value, int label,
                                     const std::string& name = "") {
    caffe2::TensorProtos sample;
    AddFloats(name, {1, 2}, {value, -value}, &sample);
    AddInts(name.empty() ? "" : "label", {}, {label}, &sample);
    return sample;
  }
  Status Open(const std::vector<std::string>& extras = {},
              const std::string& input = "",
              const std::vector<std::string>& free_inputs = {"x"}) {
    DataOptions options;
    options.path = folder_.Write("d.minidb", bytes_);
    options.input = input;
    WantedBlobs wanted;
    wanted.inputs = {"x", "w"};
    wanted.free_inputs = free_inputs;
    wanted.extras = extras;
    return OpenBatchSource(options, wanted, &source_);
  }
  std::string ErrorOf(int64_t batch) {
    Status status = Open();
    std::vector<float> values;
    if (status.ok()) status = ReadRest(source_.get(), "x", batch, &values);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr("d.minidb: "));
    return status.message();
  }

  TemporaryFolder folder_;
  std::string bytes_;
  std::unique_ptr<BatchSource> source_;
};

TEST_F(MinidbSourceTest, StacksSamples) {
  for (int i = 1; i <= 5; ++i) AddRecord(std::to_string(i), Sample(i, i, "x"));
  ASSERT_TRUE(Open({"label"}).ok());
  EXPECT_EQ(source_->form(), "minidb");
  EXPECT_EQ(source_->samples(), 5);
  EXPECT_THAT(source_->blobs(), ElementsAre("x", "label"));
  caffe2::Workspace workspace;
  ASSERT_TRUE(source_->Next(3, &workspace).ok());
  EXPECT_THAT(workspace.GetBlob("x")->Get<caffe2::Tensor>().sizes().vec(),
              ElementsAre(3, 1, 2));
  EXPECT_THAT(workspace.GetBlob("label")->Get<caffe2::Tensor>().sizes().vec(),
              ElementsAre(3));
  EXPECT_THAT(ReadAll<float>(source_.get(), "x", 2),
              ElementsAre(1, -1, 2, -2, 3, -3, 4, -4, 5, -5));
  EXPECT_THAT(ReadAll<int>(source_.get(), "label", 2),
              ElementsAre(1, 2, 3, 4, 5));
  ExpectSkipping<float>(source_.get(), "x", 2);
}

TEST_F(MinidbSourceTest, TensorsWithoutNamesGoByTheirOrder) {
  AddRecord("a", Sample(1, 7));
  AddRecord("b", Sample(2, 8));
  ASSERT_TRUE(Open({"label"}).ok());
  EXPECT_THAT(source_->blobs(), ElementsAre("x", "label"));
  EXPECT_THAT(ReadAll<int>(source_.get(), "label", 2), ElementsAre(7, 8));
  ASSERT_TRUE(Open().ok());
  EXPECT_THAT(source_->blobs(), ElementsAre("x"));
  EXPECT_THAT(source_->notes(), ElementsAre(HasSubstr("'tensor 1'")));
}

TEST_F(MinidbSourceTest, TensorsWithoutNamesGoToTheInputThatIsNamed) {
  AddRecord("a", Sample(1, 7));
  AddRecord("b", Sample(2, 8));
  // Whether the init net makes both inputs, or none.
  for (const std::vector<std::string>& free_inputs :
       {std::vector<std::string>(), {"x", "w"}}) {
    ASSERT_TRUE(Open({"label"}, "w", free_inputs).ok());
    EXPECT_THAT(source_->blobs(), ElementsAre("w", "label"));
    EXPECT_THAT(source_->notes(), IsEmpty());
    EXPECT_THAT(ReadAll<float>(source_.get(), "w", 2),
                ElementsAre(1, -1, 2, -2));
    EXPECT_THAT(ReadAll<int>(source_.get(), "label", 2), ElementsAre(7, 8));
  }
  const Status status = Open({"label"}, "v");
  EXPECT_THAT(status.message(), HasSubstr("'v' is no input of the net"));
}

TEST_F(MinidbSourceTest, NamesOfTheDataAreBetterThanTheInputThatIsNamed) {
  AddRecord("a", Sample(1, 7, "x"));
  ASSERT_TRUE(Open({"label"}, "x").ok());
  EXPECT_THAT(source_->blobs(), ElementsAre("x", "label"));
  EXPECT_THAT(source_->notes(),
              ElementsAre("input 'x' is not needed: the blobs of the data have "
                          "names"));
}

TEST_F(MinidbSourceTest, AShapeMayChangeBetweenBatchesOnly) {
  AddRecord("a", Sample(1, 7, "x"));
  AddRecord("b", Sample(1, 7, "x"));
  caffe2::TensorProtos wide;
  AddFloats("x", {3}, {1, 2, 3}, &wide);
  AddInts("label", {}, {1}, &wide);
  AddRecord("c", wide);
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(ReadAll<float>(source_.get(), "x", 2).size(), 7u);
  EXPECT_THAT(ErrorOf(3),
              HasSubstr("record 'c' (offset 88): its tensor 'x' is float [3], "
                        "expected float [1, 2] as those before it"));
}

TEST_F(MinidbSourceTest, RefusesWhatIsNoSample) {
  AddRecord("a", Sample(1, 7, "x"));
  const std::string good = bytes_;
  AddRecord("b", std::string("\xff\xff\xff"));
  EXPECT_THAT(ErrorOf(1), HasSubstr("record 'b'"));
  EXPECT_THAT(ErrorOf(1), HasSubstr("no TensorProtos"));

  bytes_ = good;
  AddRecord("b", Sample(1, 7, "z"));
  EXPECT_THAT(ErrorOf(1), HasSubstr("is called 'z', expected 'x'"));

  bytes_ = good;
  caffe2::TensorProtos lies = Sample(1, 7, "x");
  lies.mutable_protos(0)->set_dims(0, 1000000000000);
  AddRecord("b\n", lies);
  EXPECT_THAT(ErrorOf(1), HasSubstr("record 'b?'"));
  EXPECT_THAT(ErrorOf(1), HasSubstr("but data for at most 2"));

  bytes_ = good;
  caffe2::TensorProtos one = Sample(1, 7, "x");
  one.mutable_protos()->RemoveLast();
  AddRecord("b", one);
  EXPECT_THAT(ErrorOf(1), HasSubstr("it has 1 tensors, expected 2"));

  bytes_.clear();
  AddRecord("a", Sample(1, 7, "z"));
  EXPECT_THAT(ErrorOf(1), HasSubstr("no tensor is an input of the net"));
}

TEST_F(MinidbSourceTest, NamesThePlaceOfABrokenRecord) {
  for (int i = 0; i < 30; ++i) {
    AddRecord(std::to_string(100 + i), Sample(1, 7, "x"));
  }
  bytes_.resize(bytes_.size() - 1);
  EXPECT_THAT(ErrorOf(1), HasSubstr("minidb, offset"));
}

}  // namespace
}  // namespace caffe2_quantization
