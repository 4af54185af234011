#include "serialization/content_hash.h"

#include <gtest/gtest.h>

#include <set>

#include "caffe2/core/db.h"
#include "caffe2/core/qtensor.h"
#include "caffe2/core/tensor_int8.h"
#include "netdef/net_inputs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

TEST(ContentHash, IsXxh3Of128Bits) {
  // xxhsum -H2 of nothing, and of "abc".
  ContentHash hash;
  EXPECT_EQ(hash.Hex(), "99aa06d3014798d86001c324468d497f");
  hash.AddBytes("ab", 2);
  hash.AddBytes("c", 1);
  EXPECT_EQ(hash.Hex(), "06b05ab6733a618578af5f94892f3950");
}

TEST(ContentHash, TextsDoNotRunIntoEachOther) {
  ContentHash a, b;
  a.Add("ab");
  a.Add("c");
  b.Add("a");
  b.Add("bc");
  EXPECT_NE(a.Hex(), b.Hex());
}

std::string HashOfFloats(const std::vector<float>& values,
                         const std::vector<int64_t>& shape) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "any name", values, shape);
  return HashOfBlob(*workspace.GetBlob("any name"));
}

TEST(HashOfBlob, TellsValuesShapesAndTypesApart) {
  const std::string one = HashOfFloats({1, 2, 3, 4}, {4});
  EXPECT_EQ(HashOfFloats({1, 2, 3, 4}, {4}), one);
  caffe2::Blob empty, ints, text, tensor_of_text, quantized, qtensor;
  auto* values = caffe2::BlobGetMutableTensor(&ints, {4}, at::dtype<int>())
                     ->mutable_data<int>();
  const float floats[] = {1, 2, 3, 4};
  std::memcpy(values, floats, sizeof(floats));
  *text.GetMutable<std::string>() = "1234";
  *caffe2::BlobGetMutableTensor(&tensor_of_text, {1}, at::dtype<std::string>())
       ->mutable_data<std::string>() = "1234";
  auto* int8 = quantized.GetMutable<caffe2::int8::Int8TensorCPU>();
  int8->scale = 0.5;
  int8->t.Resize(2);
  int8->t.mutable_data<uint8_t>()[0] = 1;
  int8->t.mutable_data<uint8_t>()[1] = 2;
  const std::string with_scale = HashOfBlob(quantized);
  int8->scale = 0.25;
  const std::string other_scale = HashOfBlob(quantized);
  const std::set<std::string> all = {
      one,
      HashOfFloats({1, 2, 3, 5}, {4}),
      HashOfFloats({2, 1, 3, 4}, {4}),
      HashOfFloats({1, 2, 3, 4}, {2, 2}),
      HashOfFloats({1, 2, 3}, {3}),
      HashOfBlob(empty),
      HashOfBlob(ints),
      HashOfBlob(text),
      HashOfBlob(tensor_of_text),
      with_scale,
      other_scale,
  };
  EXPECT_EQ(all.size(), 11u);
}

TEST(HashOfBlob, WhatCannotBeSerializedCountsByItsType) {
  caffe2::Blob one, other;
  one.Reset(new caffe2::db::DBReader());
  other.Reset(new caffe2::db::DBReader());
  EXPECT_EQ(HashOfBlob(one), HashOfBlob(other));
  EXPECT_NE(HashOfBlob(one), HashOfBlob(caffe2::Blob()));
}

TEST(HashesOfInputs, AreOfWhatIsThereAndNotFed) {
  NetBuilder net("n", "simple");
  net.Op("Mul", {"x", "w"}, {"y"}).Int("broadcast", 1);
  net.Op("Add", {"y", "b"}, {"z"});
  net.Input("x").Input("w");
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {1});
  FeedFloats(&workspace, "w", {1});
  FeedFloats(&workspace, "y", {1});
  auto hashes = HashesOfInputs(net.Build(), workspace, {"x"});
  ASSERT_EQ(hashes.size(), 1u);
  EXPECT_EQ(hashes[0].name, "w");
  EXPECT_EQ(hashes[0].hash, HashOfBlob(*workspace.GetBlob("w")));
  FeedFloats(&workspace, "b", {2});
  hashes = HashesOfInputs(net.Build(), workspace, {});
  ASSERT_EQ(hashes.size(), 3u);
  EXPECT_EQ(hashes[2].name, "b");
}

}  // namespace
}  // namespace caffe2_quantization
