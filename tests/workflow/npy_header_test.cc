#include "workflow/npy_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Status Parse(const std::string& bytes, NpyHeader* header) {
  size_t at = 0;
  return ReadNpyHeader(
      [&](char* data, size_t size) {
        if (size > bytes.size() - at) return Status::Corruption("cut short");
        std::memcpy(data, bytes.data() + at, size);
        at += size;
        return Status::Ok();
      },
      header);
}
std::string ErrorOf(const std::string& dict, int version = 1) {
  NpyHeader header;
  const Status status = Parse(NpyBytes(dict, "", version), &header);
  EXPECT_FALSE(status.ok()) << dict;
  return status.message();
}

TEST(NpyHeaderTest, ReadsWhatNumpyWrites) {
  NpyHeader header;
  const std::string bytes = NpyBytes(
      "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4, 5), }    \n",
      "data");
  ASSERT_TRUE(Parse(bytes, &header).ok());
  EXPECT_EQ(header.type, NpyType::kInt16);
  EXPECT_EQ(header.item_bytes, 2u);
  EXPECT_THAT(header.shape, ElementsAre(3, 4, 5));
  EXPECT_EQ(header.data_bytes, 120);
  EXPECT_EQ(header.header_bytes + 4, static_cast<int64_t>(bytes.size()));
}

TEST(NpyHeaderTest, ReadsOtherSpellings) {
  NpyHeader header;
  ASSERT_TRUE(
      Parse(
          NpyBytes("{\"shape\":(7L,),\"fortran_order\":False,\"descr\":\"f8\"}",
                   "", 2),
          &header)
          .ok());
  EXPECT_EQ(header.type, NpyType::kFloat64);
  EXPECT_THAT(header.shape, ElementsAre(7));
  ASSERT_TRUE(
      Parse(NpyBytes("{'descr':'|b1','fortran_order':False,'shape':()}", "", 3),
            &header)
          .ok());
  EXPECT_THAT(header.shape, IsEmpty());
  EXPECT_EQ(header.data_bytes, 1);
}

TEST(NpyHeaderTest, SaysWhatIsWrong) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("expected a dict"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("lacks a key"));
  EXPECT_THAT(ErrorOf("{'descr': '<f4', 'fortran_order': False}"),
              HasSubstr("lacks a key"));
  EXPECT_THAT(ErrorOf("{'what': 1}"), HasSubstr("key 'what'"));
  EXPECT_THAT(ErrorOf("{'shape': (1, 2}"), HasSubstr("expected ',' or ')'"));
  EXPECT_THAT(ErrorOf("{'shape': (-1,)}"), HasSubstr("expected a dimension"));
  EXPECT_THAT(ErrorOf("{'shape': (9223372036854775808,)}"),
              HasSubstr("63 bits"));
  EXPECT_THAT(ErrorOf("{'descr': '|O'"), HasSubstr("'|O', expected"));
  EXPECT_THAT(ErrorOf("{'descr': <f4"), HasSubstr("a type in quotes"));
  EXPECT_THAT(ErrorOf("{'fortran_order': Maybe"), HasSubstr("True or False"));
  EXPECT_THAT(
      ErrorOf("{'descr':'<f4','fortran_order':False,'shape':(1,)} more"),
      HasSubstr("expected nothing more"));
  std::string many = "{'shape': (";
  for (int i = 0; i < 40; ++i) many += "1,";
  EXPECT_THAT(ErrorOf(many), HasSubstr("more than 32 dimensions"));
}

TEST(NpyHeaderTest, NoBytesBreakIt) {
  TestRandom random;
  const std::string good = NpyBytes(
      "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4), }", "");
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int64_t i = random.Integer(1, 4); i > 0; --i) {
      bytes[static_cast<size_t>(
          random.Integer(0, static_cast<int64_t>(bytes.size()) - 1))] =
          static_cast<char>(random.Byte());
    }
    bytes.resize(static_cast<size_t>(
        random.Integer(0, static_cast<int64_t>(bytes.size()))));
    NpyHeader header;
    if (Parse(bytes, &header).ok()) {
      EXPECT_GE(header.data_bytes, 0);
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
