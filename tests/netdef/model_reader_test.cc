#include "netdef/model_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>

#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/model_reader_text.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

MessageScan Scan(const std::string& bytes,
                 const MessageSchema& message = schema::kNetDef) {
  return ScanMessage(message, message.name, bytes.data(), bytes.size());
}

std::string FaultOf(const std::string& bytes) {
  const MessageScan scan = Scan(bytes);
  EXPECT_TRUE(scan.broken);
  return scan.fault.ToString();
}

caffe2::NetDef SmallNet() {
  NetBuilder net("small", "simple");
  net.Op("Relu", {"x"}, {"y"}).Floats("f", {1, 2, 3});
  net.Op("Add", {"y", "b"}, {"z"}).Ints("i", {4, -5});
  return net.Build();
}

TEST(ScanMessageTest, FindsNothingWrongWithAWholeMessage) {
  const MessageScan scan = Scan(SmallNet().SerializeAsString());
  EXPECT_FALSE(scan.broken);
  EXPECT_EQ(scan.unknown_fields, 0u);
  EXPECT_EQ(scan.likely, SmallNet().SerializeAsString().size());
}

TEST(ScanMessageTest, ACutIsFoundInTheInnermostField) {
  const std::string bytes = SmallNet().SerializeAsString();
  // The net's type is before the two bytes of num_workers.
  EXPECT_EQ(FaultOf(bytes.substr(0, bytes.size() - 3)),
            "offset " + std::to_string(bytes.size() - 10) +
                ": NetDef.type: field 3 takes 6 bytes, but only 5 are left");
  const std::size_t floats = bytes.find("\x2D", 0, 1);
  EXPECT_EQ(FaultOf(bytes.substr(0, floats + 8)),
            "offset " + std::to_string(floats + 5) +
                ": NetDef.op[0].arg[0].floats[1]: field 5 takes 4 bytes, but "
                "only 2 are left");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // Where a field of the net ends, a shorter net is whole.
    caffe2::NetDef net;
    EXPECT_EQ(!Scan(bytes.substr(0, size)).broken,
              net.ParsePartialFromString(bytes.substr(0, size)))
        << size;
  }
}

TEST(ScanMessageTest, NamesOffsetAndField) {
  // Packed floats of 3 bytes.
  EXPECT_EQ(FaultOf("\x12\x07\x2A\x05\x2A\x03zzz"),
            "offset 4: NetDef.op[0].arg[0].floats[0]: has 3 bytes of packed "
            "values, expected a multiple of 4");
  EXPECT_EQ(FaultOf("\x12\x06\x2A\x04\x32\x02\x01\x80"),
            "offset 4: NetDef.op[0].arg[0].ints[0]: has packed values with a "
            "varint that is cut off or too long");
  EXPECT_EQ(FaultOf(std::string("\x12\x01\x00", 3)),
            "offset 2: NetDef.op[0]: a field has number 0, expected 1 or more");
}

TEST(ScanMessageTest, UnknownFieldsAreCounted) {
  const MessageScan scan = Scan("\x0A\x01n\xA0\x06\x07\x12\x02\x50\x01");
  EXPECT_FALSE(scan.broken);
  EXPECT_EQ(scan.unknown_fields, 2u);
  EXPECT_EQ(scan.first_unknown.ToString(),
            "offset 3: NetDef: field 100 is unknown, or of another type");
  EXPECT_EQ(scan.likely, 3u);
}

TEST(ScanMessageTest, GoesAsDeepAsProtobufAndNoDeeper) {
  std::string bytes;
  for (int depth = 0; depth < 99; ++depth) {
    // A net in an argument of an operator of it: three messages each time.
    const int field = depth % 3 == 0 ? 8 : depth % 3 == 1 ? 5 : 2;
    std::string outer(1, static_cast<char>(field << 3 | 2));
    for (std::size_t rest = bytes.size();; rest >>= 7) {
      outer += static_cast<char>(rest < 0x80 ? rest : rest | 0x80);
      if (rest < 0x80) break;
    }
    bytes = outer + bytes;
  }
  EXPECT_FALSE(Scan(bytes).broken);
  caffe2::NetDef net;
  EXPECT_TRUE(net.ParsePartialFromString(bytes));
  caffe2::NetDef outer;
  outer.add_op()->add_arg()->mutable_n()->CopyFrom(net);
  EXPECT_THAT(FaultOf(outer.SerializeAsString()), HasSubstr("100 deep"));
}

TEST(DetectMessageTest, TellsTheMessagesApart) {
  const auto detect = [](const google::protobuf::MessageLite& message) {
    const std::string bytes = message.SerializePartialAsString();
    MessageScan scan;
    return DetectMessage(bytes.data(), bytes.size(), &scan);
  };
  EXPECT_EQ(detect(SmallNet()), ModelForm::kNetDef);
  caffe2::NetDef nameless = SmallNet();
  nameless.clear_name();
  EXPECT_EQ(detect(nameless), ModelForm::kNetDef);

  caffe2::BlobProto blob;
  blob.set_name("w");
  blob.set_type("Tensor");
  blob.mutable_tensor()->add_dims(1);
  blob.mutable_tensor()->add_float_data(1);
  EXPECT_EQ(detect(blob), ModelForm::kBlobProto);

  caffe2::TensorProtos tensors;
  tensors.add_protos()->CopyFrom(blob.tensor());
  EXPECT_EQ(detect(tensors), ModelForm::kTensorProtos);
}

TEST(LooksLikeTest, TextAndMinidb) {
  const std::string text = "name: \"x\"\t# ä\r\n";
  EXPECT_TRUE(LooksLikeText(text.data(), text.size()));
  const std::string binary = SmallNet().SerializeAsString();
  EXPECT_FALSE(LooksLikeText(binary.data(), binary.size()));

  caffe2::BlobProto blob;
  blob.set_name("w");
  blob.set_type("std::string");
  blob.set_content(std::string(100, '\x01'));
  const std::string value = blob.SerializeAsString();
  const std::string minidb = std::string("\x01\0\0\0", 4) +
                             static_cast<char>(value.size()) +
                             std::string("\0\0\0w", 4) + value;
  EXPECT_TRUE(LooksLikeMinidb(minidb.data(), minidb.size()));
  // Cut short it is one still.
  EXPECT_TRUE(LooksLikeMinidb(minidb.data(), 20));
  EXPECT_FALSE(LooksLikeMinidb(minidb.data(), 8));
  EXPECT_FALSE(LooksLikeMinidb(binary.data(), binary.size()));
}

// ---- Text -------------------------------------------------------------------

// The net that a text means; its fault when it is none.
std::string ReadText(const std::string& text, caffe2::NetDef* net) {
  std::string wire;
  ModelFault fault;
  std::size_t fault_at = 0;
  if (!TextToWire(schema::kNetDef, text, &wire, &fault, &fault_at)) {
    return fault.ToString();
  }
  EXPECT_TRUE(net->ParsePartialFromString(wire));
  return "";
}

std::string TextFault(const std::string& text) {
  caffe2::NetDef net;
  const std::string fault = ReadText(text, &net);
  EXPECT_NE(fault, "");
  return fault;
}

TEST(TextToWireTest, ReadsWhatTheHostPrints) {
  const caffe2::NetDef net = SmallNet();
  caffe2::NetDef back;
  EXPECT_EQ(ReadText(caffe2::ProtoDebugString(net), &back), "");
  EXPECT_EQ(back.SerializeAsString(), net.SerializeAsString());
}

TEST(TextToWireTest, ReadsEveryForm) {
  const std::string text =
      "# a comment\n"
      "name: 'a' \"b\\x41\\101\\n\\u00e9\"\n"
      "op [{ type: \"A\" input: ['x', \"y\"] }, < type: \"B\" >];\n"
      "op { arg { floats: [1, -2.5, 1e-3f, inf, -Infinity, nan, .5, 1.] } "
      "arg: { i: -9223372036854775808, ints: 0x1F; ints: 017 ints: [] } "
      "is_gradient_op: t device_option { device_type: 1 } "
      "arg { t { data_type: INT64 dims: 1 } } }";
  caffe2::NetDef net;
  ASSERT_EQ(ReadText(text, &net), "");
  // The host means the same.
  caffe2::NetDef host;
  ASSERT_TRUE(caffe2::TextFormat::ParseFromString(text, &host));
  EXPECT_EQ(net.SerializeAsString(), host.SerializeAsString());
  EXPECT_EQ(net.name(), "abAA\n\xC3\xA9");
  ASSERT_EQ(net.op_size(), 3);
  EXPECT_EQ(net.op(1).type(), "B");
  EXPECT_EQ(net.op(2).arg(0).floats_size(), 8);
  EXPECT_TRUE(std::isnan(net.op(2).arg(0).floats(5)));
  EXPECT_EQ(net.op(2).arg(1).i(), INT64_MIN);
  EXPECT_EQ(net.op(2).arg(1).ints(1), 15);
}

TEST(TextToWireTest, FaultsNameLineColumnAndField) {
  EXPECT_EQ(TextFault("just words"),
            "line 1, column 1: NetDef: found just, expected a field of NetDef");
  EXPECT_EQ(TextFault("name: \"n\"\nop {\n  tyqe: \"A\"\n}"),
            "line 3, column 3: NetDef.op[0]: found tyqe, expected a field of "
            "OperatorDef");
  EXPECT_EQ(TextFault("op { }\nop { arg { i: x } }"),
            "line 2, column 15: NetDef.op[1].arg[0].i: found x, expected an "
            "integer");
  EXPECT_EQ(TextFault("op {"),
            "line 1, column 5: NetDef.op[0]: the text ends, expected the name "
            "of a field");
  EXPECT_EQ(TextFault("name: \"a\n\""),
            "line 1, column 7: NetDef.name: found a string without its closing "
            "quote");
  EXPECT_EQ(TextFault("num_workers: 2147483648"),
            "line 1, column 14: NetDef.num_workers: found 2147483648, expected "
            "an integer of at most 2147483647");
  EXPECT_EQ(TextFault("name: \"a\" name: \"b\""),
            "line 1, column 11: NetDef.name: is there twice");
  EXPECT_THAT(TextFault("name: \"\\q\""), HasSubstr("unknown escape"));
  EXPECT_THAT(TextFault("op { arg { t { data_type: 77 } } }"),
              HasSubstr("a value that its type has not"));
  EXPECT_THAT(TextFault("op { arg { f: 0x10 } }"), HasSubstr("decimal number"));
}

TEST(TextToWireTest, StopsWhereTheHostWouldRunOutOfStack) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "op{arg{n{";
  EXPECT_THAT(TextFault(text), HasSubstr("100 deep"));
}

}  // namespace
}  // namespace caffe2_quantization
