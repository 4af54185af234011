#include "serialization/wire_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "base/return_if_error.h"
#include "tests/serialization/qtensor_testing.h"

namespace caffe2_quantization {
namespace {

Status ReadAll(const std::string& bytes) {
  WireReader reader(bytes.data(), bytes.size());
  WireField field;
  while (!reader.AtEnd()) {
    RETURN_IF_ERROR(reader.Next(&field));
  }
  return Status::Ok();
}

std::string ErrorOf(const std::string& bytes) {
  return ReadAll(bytes).message();
}

TEST(WireReaderTest, EveryWireType) {
  const std::string bytes =
      Message()
          .Varint(1, 300)
          .Fixed64(2, 1.5)
          .Bytes(3, "abc")
          .Group(4, Message().Varint(1, 7).Group(9, Message().Bytes(2, "xy")))
          .Fixed32(5, 8)
          .Varint(536870911, 1)
          .str();
  WireReader reader(bytes.data(), bytes.size());
  const struct {
    uint32_t number;
    WireType type;
    size_t offset;
    size_t size;
  } expected[] = {
      {1, WireType::kVarint, 0, 2},   {2, WireType::kFixed64, 3, 8},
      {3, WireType::kBytes, 12, 3},   {4, WireType::kGroup, 17, 8},
      {5, WireType::kFixed32, 27, 4}, {536870911, WireType::kVarint, 32, 1},
  };
  for (const auto& want : expected) {
    WireField field;
    ASSERT_FALSE(reader.AtEnd());
    const Status status = reader.Next(&field);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(field.number, want.number);
    EXPECT_EQ(field.type, want.type);
    EXPECT_EQ(field.offset, want.offset);
    EXPECT_EQ(field.size(), want.size);
  }
  EXPECT_TRUE(reader.AtEnd());
}

TEST(WireReaderTest, NestedOffsetsCountFromTheOutside) {
  const std::string bytes =
      Message().Varint(1, 1).Bytes(5, Message().Varint(2, 3).str()).str();
  WireReader outer(bytes.data(), bytes.size());
  WireField field;
  ASSERT_TRUE(outer.Next(&field).ok());
  ASSERT_TRUE(outer.Next(&field).ok());
  WireReader inner = outer.Nested(field);
  ASSERT_TRUE(inner.Next(&field).ok());
  EXPECT_EQ(field.offset, 4u);
  EXPECT_EQ(inner.OffsetOf(field.begin), 5u);
}

TEST(WireReaderTest, ErrorsNameOffsetAndField) {
  EXPECT_EQ(ErrorOf(Message().Varint(1, 1).Raw("\xFF").str()),
            "offset 2: the tag of a field is cut off or too long");
  EXPECT_EQ(ErrorOf("\x80\x80\x80\x80\x80\x01"),
            "offset 0: the tag of a field is cut off or too long");
  EXPECT_EQ(ErrorOf(std::string("\x02\x00", 2)),
            "offset 0: a field has number 0, expected 1 or more");
  EXPECT_EQ(ErrorOf("\x0E"),
            "offset 0: field 1 has wire type 6, expected 0 to 5");
  EXPECT_EQ(ErrorOf("\x08\x80"),
            "offset 0: field 1 has a varint that is cut off or too long");
  EXPECT_EQ(ErrorOf("\x08" + std::string(10, '\x80') + "\x01"),
            "offset 0: field 1 has a varint that is cut off or too long");
  EXPECT_EQ(ErrorOf("\x0A\x80"),
            "offset 0: field 1 has a length that is cut off or too long");
  EXPECT_EQ(ErrorOf("\x0A\x05xyz"),
            "offset 0: field 1 takes 5 bytes, but only 3 are left");
  EXPECT_EQ(ErrorOf("\x09xyz"),
            "offset 0: field 1 takes 8 bytes, but only 3 are left");
  EXPECT_EQ(ErrorOf("\x0Dxyz"),
            "offset 0: field 1 takes 4 bytes, but only 3 are left");
  EXPECT_EQ(ErrorOf("\x0C"), "offset 0: field 1 ends a group that never began");
  EXPECT_EQ(ErrorOf("\x0B\x08\x01"),
            "offset 0: field 1 is a group that never ends");
  EXPECT_EQ(ErrorOf("\x0B\x14"),
            "offset 1: field 2 ends a group, expected the end of group 1");
  EXPECT_EQ(ErrorOf(std::string(200, '\x0B')),
            "offset 0: field 1 holds groups more than 100 deep");
}

TEST(WireReaderTest, AnyBytesAreReadOrRefused) {
  TestRandom random;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random.Integer(0, 40), '\0');
    for (char& c : bytes) {
      c = static_cast<char>(random.OneIn(2) ? random.Integer(0, 31)
                                            : random.Byte());
    }
    // A copy of the exact size, so that AddressSanitizer sees one byte too
    // many.
    const std::vector<char> exact(bytes.begin(), bytes.end());
    WireReader reader(exact.data(), exact.size());
    WireField field;
    while (!reader.AtEnd() && reader.Next(&field).ok()) {
      ASSERT_LE(field.tag, field.begin);
      ASSERT_LE(field.begin, field.end);
      ASSERT_LE(reader.OffsetOf(field.end), bytes.size());
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
