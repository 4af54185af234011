#include "serialization/quantization_params_proto.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <limits>
#include <string>

#include "proto/quantization_params.pb.h"
#include "tests/quantization/quantization_params_testing.h"

namespace caffe2_quantization {
namespace {

std::string BytesOf(const QuantizationParams& params) {
  std::string bytes;
  const Status status = QuantizationParamsToBytes(params, &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  return bytes;
}

Status FromBytes(const std::string& bytes, QuantizationParams* params) {
  return QuantizationParamsFromBytes(bytes.data(), bytes.size(), params);
}

std::string PathOf(const std::string& name) {
  return TestDataPath("serialization/data/quantization_params_" + name +
                      "_1.pb");
}

// How the files were made; never again for a version that is out.
TEST(QuantizationParamsProto, DISABLED_WriteVersion1) {
  for (const auto& [name, params] : GoldenParams()) {
    std::ofstream(PathOf(name), std::ios::binary) << BytesOf(params);
  }
}

TEST(QuantizationParamsProto, FilesOfVersion1AreReadAndWrittenForGood) {
  for (const auto& [name, params] : GoldenParams()) {
    const std::string bytes = ReadWhole(PathOf(name));
    EXPECT_EQ(BytesOf(params), bytes) << name;
    QuantizationParams read;
    const Status status = FromBytes(bytes, &read);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(read, params);
  }
}

TEST(QuantizationParamsProto, RandomParamsComeBack) {
  TestRandom random;
  for (int i = 0; i < 2000; ++i) {
    const QuantizationParams params = RandomQuantizationParams(&random);
    QuantizationParams read;
    const Status status = FromBytes(BytesOf(params), &read);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(read, params);
  }
}

TEST(QuantizationParamsProto, RefusesAndChangesNothing) {
  using Proto = caffe2_quantization::QuantizationParamsProto;
  const std::pair<std::function<void(Proto*)>, const char*> cases[] = {
      {[](Proto* p) { p->set_format_version(2); },
       "format version 2, this program reads 1"},
      {[](Proto* p) { p->clear_format_version(); },
       "no format_version, expected quantization parameters"},
      {[](Proto* p) { p->clear_precision(); }, "no precision"},
      {[](Proto* p) { p->clear_is_signed(); }, "no is_signed"},
      {[](Proto* p) { p->clear_symmetry(); }, "no symmetry"},
      {[](Proto* p) { p->clear_granularity(); }, "no granularity"},
      {[](Proto* p) { p->clear_axis(); }, "no axis"},
      {[](Proto* p) { p->clear_block_size(); }, "no block_size"},
      {[](Proto* p) { p->set_precision(4000000000u); },
       "precision is 4000000000, expected 1 to 16 bits, or 32 signed"},
      {[](Proto* p) { p->mutable_unknown_fields()->AddVarint(99, 1); },
       "field 99 is unknown, or has a value that is"},
      {[](Proto* p) { p->set_block_size(-1); },
       "block_size is -1 with granularity tensor, expected 0"},
      {[](Proto* p) { p->set_axis(-1); }, "axis is -1, expected 0 or more"},
      {[](Proto* p) { p->add_scales(1); },
       "2 scales and 1 zero points, expected as many of each"},
      {[](Proto* p) {
         p->set_scales(0, std::numeric_limits<float>::quiet_NaN());
       },
       "scales[0] is nan, expected a finite number"},
      {[](Proto* p) { p->set_min(1); },
       "observed min without max, expected both or neither"},
  };
  for (const auto& [change, message] : cases) {
    Proto proto;
    ASSERT_TRUE(QuantizationParamsToProto(QuantizationParams(), &proto).ok());
    change(&proto);
    const QuantizationParams before = QuantizationParams::Int4Symmetric();
    QuantizationParams read = before;
    EXPECT_EQ(FromBytes(proto.SerializeAsString(), &read).message(),
              std::string("quantization parameters: ") + message);
    EXPECT_EQ(read, before);
  }
}

TEST(QuantizationParamsProto, AValueThatAnEnumerationLacksIsRefused) {
  std::string bytes = BytesOf(QuantizationParams());
  const std::size_t at = bytes.find('\x20');  // symmetry: field 4, a varint
  ASSERT_NE(at, std::string::npos);
  bytes[at + 1] = 9;
  QuantizationParams read;
  EXPECT_EQ(FromBytes(bytes, &read).message(),
            "quantization parameters: field 4 is unknown, or has a value that "
            "is");
}

TEST(QuantizationParamsProto, HostileBytesAreRefused) {
  QuantizationParams read;
  EXPECT_FALSE(FromBytes("", &read).ok());
  // A packed field that claims 2 GiB.
  EXPECT_FALSE(FromBytes("\x08\x01\x42\xFF\xFF\xFF\xFF\x07", &read).ok());
  TestRandom random;
  const std::string good = BytesOf(GoldenParams()[3].second);
  for (std::size_t size = 0; size < good.size(); ++size) {
    if (FromBytes(good.substr(0, size), &read).ok()) {
      ASSERT_TRUE(read.Validate().ok());
    }
  }
  for (int i = 0; i < 5000; ++i) {
    std::string bad = good;
    bad[random.Integer(0, bad.size() - 1)] = static_cast<char>(random.Byte());
    if (FromBytes(bad, &read).ok()) {
      ASSERT_TRUE(read.Validate().ok());
    }
  }
}

TEST(QuantizationParamsProto, WhatIsNotValidIsNotWritten) {
  QuantizationParams params;
  params.scales[0] = 0;
  std::string bytes = "as it was";
  EXPECT_EQ(QuantizationParamsToBytes(params, &bytes).message(),
            params.Validate().message());
  EXPECT_EQ(bytes, "as it was");
}

}  // namespace
}  // namespace caffe2_quantization
