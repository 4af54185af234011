#include "operators/blob_content_hash_op.h"

#include <gtest/gtest.h>

#include "serialization/content_hash.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

class BlobContentHashOpTest : public testing::Test {
 protected:
  std::vector<std::string> Texts(const std::string& name) const {
    return Fetch<std::string>(workspace_, name);
  }
  std::string HashOf(const std::string& name) const {
    return HashOfBlob(*workspace_.GetBlob(name));
  }
  OpBuilder Op(const std::vector<std::string>& inputs,
               const std::vector<std::string>& outputs) {
    definition_.Clear();
    return OpBuilder(&definition_, "BlobContentHash", inputs, outputs);
  }
  bool Run() { return workspace_.RunOperatorOnce(definition_); }
  void ExpectError(const std::string& wanted) {
    const std::string error = ErrorOf([&] { Run(); });
    EXPECT_NE(error.find("BlobContentHash: " + wanted), std::string::npos)
        << error;
  }

  caffe2::Workspace workspace_;
  caffe2::OperatorDef definition_;
};

TEST_F(BlobContentHashOpTest, HashesItsInputs) {
  FeedFloats(&workspace_, "a", {1, 2});
  FeedFloats(&workspace_, "b", {1, 3});
  Op({"a", "b", "a"}, {"hashes"});
  ASSERT_TRUE(Run());
  EXPECT_EQ(Texts("hashes"),
            (std::vector<std::string>{HashOf("a"), HashOf("b"), HashOf("a")}));
  EXPECT_NE(HashOf("a"), HashOf("b"));
}

TEST_F(BlobContentHashOpTest, HashesWhatANetReads) {
  for (const char* name : {"x", "w", "b", "y"}) {
    FeedFloats(&workspace_, name, {static_cast<float>(name[0])});
  }
  NetBuilder net("n", "simple");
  net.Op("Mul", {"x", "w"}, {"y"});
  net.Op("Add", {"y", "b"}, {"z"});
  ASSERT_NE(workspace_.CreateNet(net.Build()), nullptr);
  Op({}, {"hashes", "names"}).String("net", "n").Strings("fed", {"x", "other"});
  ASSERT_TRUE(Run());
  EXPECT_EQ(Texts("names"), (std::vector<std::string>{"w", "b"}));
  EXPECT_EQ(Texts("hashes"),
            (std::vector<std::string>{HashOf("w"), HashOf("b")}));
  Op({}, {"hashes", "names"})
      .String("net", "n")
      .Strings("fed", {"x", "w", "b"});
  ASSERT_TRUE(Run());
  EXPECT_TRUE(Texts("names").empty() && Texts("hashes").empty());
}

TEST_F(BlobContentHashOpTest, SaysWhatItCannotHash) {
  FeedFloats(&workspace_, "a", {1});
  Op({}, {"hashes"});
  ExpectError("0 inputs, expected one or more");
  Op({"a"}, {"hashes", "names"}).String("net", "n");
  ExpectError("1 inputs, expected none beside the argument net");
  Op({}, {"hashes"}).String("net", "n");
  ExpectError("1 outputs, expected 2, hashes and names");
  Op({}, {"hashes", "names"}).String("net", "n");
  ExpectError("there is no net 'n' in the workspace");
}

}  // namespace
}  // namespace caffe2_quantization
