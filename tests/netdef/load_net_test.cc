#include "netdef/load_net.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/model_files.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

caffe2::NetDef SmallNet() {
  NetBuilder net("small", "simple");
  net.Op("Relu", {"x"}, {"y"});
  net.Op("Add", {"y", "b"}, {"z"});
  return net.Build();
}

class LoadNetTest : public testing::Test {
 protected:
  // The error of reading the file as a NetDef; the net must stay as it was.
  std::string NetError(const std::string& path) {
    caffe2::NetDef net;
    net.set_name("untouched");
    const Status status = ReadNetDef(path, &net);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(net.name(), "untouched");
    EXPECT_THAT(status.message(), StartsWith(path + ": "));
    return status.message();
  }

  std::string TensorsError(const std::string& path) {
    caffe2::Workspace workspace;
    std::vector<std::string> names;
    const Status status = ReadTensors(path, &workspace, &names);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), StartsWith(path + ": "));
    return status.message();
  }
  std::string TensorsError(const caffe2::TensorProtos& tensors) {
    return TensorsError(folder_.Write("tensors.pb", tensors));
  }

  TemporaryFolder folder_;
};

TEST_F(LoadNetTest, ReadsBinary) {
  caffe2::NetDef net;
  const Status status = ReadNetDef(folder_.Write("a.pb", SmallNet()), &net);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(net.name(), "small");
  EXPECT_EQ(net.op_size(), 2);
}

TEST_F(LoadNetTest, ReadsTextWhateverTheFileIsCalled) {
  const std::string path = folder_.Write(
      "a.pb", std::string("# by hand\nop { type: \"Relu\" input: \"x\" "
                          "output: \"y\" }\n"));
  caffe2::NetDef net;
  const Status status = ReadNetDef(path, &net);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(net.name(), "net");
  EXPECT_EQ(net.op(0).type(), "Relu");
}

TEST_F(LoadNetTest, RefusesWhatIsNoFileOrNoNet) {
  EXPECT_THAT(NetError(folder_.Path("missing.pb")), HasSubstr("No such file"));
  EXPECT_THAT(NetError(folder_.Path("")), HasSubstr("not a regular file"));
  EXPECT_THAT(NetError(folder_.Write("e.pb", std::string())),
              HasSubstr("empty"));
  EXPECT_THAT(NetError(folder_.Write("t.pb", std::string("just words\n"))),
              HasSubstr("no NetDef in protobuf's text form"));
  EXPECT_THAT(NetError(folder_.Write("b.pb", std::string("\x01\x02\xff", 3))),
              HasSubstr("not a NetDef, or cut short (3 bytes)"));
}

TEST_F(LoadNetTest, FaultsOfATextHaveLineColumnAndField) {
  EXPECT_THAT(
      NetError(folder_.Write("t.pbtxt", std::string("name: \"n\"\nop {\n  "
                                                    "tyqe: \"A\"\n}\n"))),
      HasSubstr("29 bytes of text that is no NetDef in protobuf's text form: "
                "line 3, column 3: NetDef.op[0]: found tyqe, expected a field "
                "of OperatorDef"));
  EXPECT_THAT(TensorsError(folder_.Write(
                  "t.pbtxt", std::string("protos {\n dims: x }\n"))),
              HasSubstr("no TensorProtos in protobuf's text form: line 2, "
                        "column 8: TensorProtos.protos[0].dims[0]: found x, "
                        "expected an integer"));
}

TEST_F(LoadNetTest, FaultsOfBytesHaveOffsetAndField) {
  EXPECT_THAT(NetError(folder_.Write(
                  "b.pb", std::string("\x12\x07\x2A\x05\x2A\x03zzz"))),
              HasSubstr("not a NetDef, or cut short (9 bytes): offset 4: "
                        "NetDef.op[0].arg[0].floats[0]: has 3 bytes of packed "
                        "values, expected a multiple of 4"));
}

TEST_F(LoadNetTest, AFaultOfAnotherMessageSaysWhichItIs) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {2}, {1, 2}, &tensors);
  EXPECT_THAT(NetError(folder_.Write("t.pb", tensors)),
              HasSubstr("; it is a TensorProtos"));
  caffe2::BlobProto blob;
  blob.set_name("w");
  blob.set_type("std::string");
  blob.set_content("\x01");
  EXPECT_THAT(NetError(folder_.Write("b.pb", blob)),
              HasSubstr("; it is a BlobProto"));
}

TEST_F(LoadNetTest, ReadsANetWithoutOperatorsWhereItMay) {
  caffe2::NetDef named;
  named.set_name("init");
  // Without a control character, so that it could be a text.
  caffe2::NetDef long_name;
  long_name.set_name(std::string(40, 'n'));
  for (const caffe2::NetDef& each : {caffe2::NetDef(), named, long_name}) {
    const std::string path = folder_.Write("e.pb", each);
    EXPECT_NE(NetError(path), "");
    caffe2::NetDef net;
    const Status status = ReadNetDef(path, &net, WithoutOperators::kIsRead);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(net.name(), each.name().empty() ? "net" : each.name());
  }
}

TEST(ParseNetDefTest, KeepsAllOfIt) {
  for (const std::string& bytes :
       {SmallNet().SerializeAsString(), caffe2::ProtoDebugString(SmallNet()),
        std::string()}) {
    caffe2::NetDef net;
    ASSERT_TRUE(ParseNetDef(bytes, &net).ok());
    EXPECT_EQ(net.SerializeAsString(),
              bytes.empty() ? "" : SmallNet().SerializeAsString());
  }
}

TEST_F(LoadNetTest, RefusesACutFile) {
  const std::string path = folder_.Write("a.pb", SmallNet());
  const std::string bytes = ReadText(path);
  // One byte less ends inside the last field.
  EXPECT_THAT(
      NetError(folder_.Write("cut.pb", bytes.substr(0, bytes.size() - 1))),
      HasSubstr("cut short"));
}

TEST_F(LoadNetTest, RefusesOtherMessages) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {2}, {1, 2}, &tensors);
  EXPECT_THAT(NetError(folder_.Write("t.pb", tensors)),
              HasSubstr("no operators"));
  caffe2::NetDef untyped = SmallNet();
  untyped.mutable_op(1)->clear_type();
  EXPECT_THAT(NetError(folder_.Write("u.pb", untyped)),
              HasSubstr("operator 1 has no type"));
  EXPECT_THAT(TensorsError(folder_.Write("n.pb", SmallNet())),
              HasSubstr("TensorProtos"));
}

TEST_F(LoadNetTest, ReadsTensorsOfEveryShape) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {2, 3}, {1, 2, 3, 4, 5, 6}, &tensors);
  AddInts("n", {0, 4}, {}, &tensors);
  AddInts("scalar", {}, {7}, &tensors);
  caffe2::Workspace workspace;
  std::vector<std::string> names;
  const Status status =
      ReadTensors(folder_.Write("t.pb", tensors), &workspace, &names);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(names, ElementsAre("x", "n", "scalar"));
  EXPECT_THAT(Fetch<float>(workspace, "x"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Fetch<int>(workspace, "scalar"), ElementsAre(7));
  EXPECT_EQ(workspace.GetBlob("n")->Get<caffe2::Tensor>().numel(), 0);
}

TEST_F(LoadNetTest, RefusesTensorsThatContradictThemselves) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {-1}, {}, &tensors);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("expected none below 0"));

  tensors.clear_protos();
  AddFloats("x", {int64_t{1} << 40, int64_t{1} << 40}, {1}, &tensors);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("overflows 63 bits"));

  tensors.clear_protos();
  AddFloats("x", {0, int64_t{1} << 40, int64_t{1} << 40}, {}, &tensors);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("overflows 63 bits"));

  tensors.clear_protos();
  AddFloats("x", {1000, 1000}, {1, 2}, &tensors);
  EXPECT_THAT(TensorsError(tensors),
              HasSubstr("1000000 elements, but data for at most 2"));

  tensors.clear_protos();
  AddFloats("x", {2}, {1, 2, 3}, &tensors);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("tensor 'x'"));

  tensors.clear_protos();
  AddFloats("x", {1}, {1}, &tensors);
  AddFloats("x", {1}, {1}, &tensors);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("'x' is there twice"));

  tensors.clear_protos();
  AddFloats("", {1}, {1}, &tensors);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("tensor 0 has no name"));
}

TEST_F(LoadNetTest, RefusesPartsAndOtherDevices) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {2}, {1, 2}, &tensors);
  tensors.mutable_protos(0)->mutable_segment()->set_begin(0);
  tensors.mutable_protos(0)->mutable_segment()->set_end(1);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("segment"));

  tensors.clear_protos();
  AddFloats("x", {2}, {1, 2}, &tensors);
  tensors.mutable_protos(0)->mutable_device_detail()->set_device_type(
      caffe2::PROTO_CUDA);
  EXPECT_THAT(TensorsError(tensors), HasSubstr("expected a CPU tensor"));
}

TEST(InputsOfTest, AreWhatNoOperatorMakesBefore) {
  caffe2::NetDef net = SmallNet();
  EXPECT_THAT(InputsOf(net), ElementsAre("x", "b"));
  net.add_external_input("unused");
  net.add_external_input("b");
  EXPECT_THAT(InputsOf(net), ElementsAre("unused", "b", "x"));
}

}  // namespace
}  // namespace caffe2_quantization
