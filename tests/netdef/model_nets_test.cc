#include "netdef/model_nets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "caffe2/utils/proto_utils.h"
#include "netdef/load_blobs.h"
#include "netdef/predictor_file.h"
#include "serialization/qtensor_codec.h"
#include "tests/support/model_files.h"
#include "tests/support/net_builder.h"
#include "tests/support/predictor_testing.h"

namespace caffe2_quantization {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

std::vector<std::string> TypesOf(const caffe2::NetDef& net) {
  std::vector<std::string> types;
  for (const caffe2::OperatorDef& op : net.op()) types.push_back(op.type());
  return types;
}

class ModelNetsTest : public testing::Test {
 protected:
  std::string Write(const std::string& bytes) {
    return folder_.Write("model", bytes);
  }

  InitModel Init(const std::string& path) {
    InitModel init;
    const Status status = ReadInitModel(path, &init);
    EXPECT_TRUE(status.ok()) << status.message();
    return init;
  }
  InitModel Init(const caffe2::NetDef& net) {
    return Init(folder_.Write("init.pb", net));
  }

  // The one error of reading the bytes as a predictor, or of loading its
  // parameters, which names the file; the workspace gets no blob "w" from it.
  std::string Error(const std::string& bytes) {
    const std::string path = Write(bytes);
    InitModel init;
    PredictModel predict;
    caffe2::Workspace workspace;
    Status status = ReadPredictModel(path, &predict);
    if (status.ok()) status = ReadInitModel(path, &init);
    if (status.ok()) status = MakeWeights(init, {}, &workspace);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), StartsWith(path + ": "));
    EXPECT_THAT(status.message().substr(path.size()),
                testing::Not(HasSubstr(path)));
    return status.message().substr(path.size() + 2);
  }
  std::string Error(const PredictorParts& parts) {
    return Error(parts.Bytes());
  }

  TemporaryFolder folder_;
};

// ---- Predictors -------------------------------------------------------------

TEST_F(ModelNetsTest, APredictorHasItsNetsAndWeights) {
  for (const char* suffix : {"", "_pick"}) {
    SCOPED_TRACE(suffix);
    const std::string path = Write(PredictorParts(suffix).Bytes());
    PredictModel predict;
    const Status status = ReadPredictModel(path, &predict);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(predict.is_predictor);
    EXPECT_EQ(predict.net.name(), "pick");
    EXPECT_THAT(predict.inputs, ElementsAre("x"));

    const InitModel init = Init(path);
    EXPECT_THAT(TypesOf(init.net),
                ElementsAre("Load", "ConstantFill", "ConstantFill"));
    EXPECT_THAT(init.parameters, ElementsAre("w"));
    EXPECT_THAT(init.placeholders, ElementsAre("x"));
    EXPECT_THAT(init.notes, IsEmpty());
    caffe2::Workspace workspace;
    const Status made = MakeWeights(init, {}, &workspace);
    ASSERT_TRUE(made.ok()) << made.message();
    EXPECT_THAT(Fetch<float>(workspace, "w"), ElementsAre(1, 2));
    EXPECT_THAT(Fetch<float>(workspace, "x"), ElementsAre(0, 0));
  }
}

TEST_F(ModelNetsTest, ParametersOfEveryKindAndInAnyOrder) {
  PredictorParts parts;
  QTensorCPU qtensor(std::vector<int>{3}, 4, true);
  qtensor.SetScale(0.5);
  uint8_t* planes = qtensor.mutable_data();
  std::fill(planes, planes + qtensor.nbytes(), uint8_t{0});
  std::string qtensor_bytes;
  ASSERT_TRUE(QTensorToBytes(qtensor, "q", &qtensor_bytes).ok());
  caffe2::BlobProto text;
  text.set_name("text");
  text.set_type("std::string");
  text.set_content("abc");
  caffe2::BlobProto int8;
  int8.set_name("int8");
  int8.set_type("Int8TensorCPU");
  int8.mutable_qtensor()->add_dims(2);
  int8.mutable_qtensor()->set_precision(8);
  int8.mutable_qtensor()->set_scale(0.5);
  int8.mutable_qtensor()->set_bias(3);
  int8.mutable_qtensor()->set_is_signed(false);
  int8.mutable_qtensor()->set_data_type(caffe2::TensorProto_DataType_UINT8);
  int8.mutable_qtensor()->add_data(7);
  int8.mutable_qtensor()->add_data(9);
  caffe2::BlobProto gpu = FloatBlob("gpu", {1}, {5});
  gpu.mutable_tensor()->mutable_device_detail()->set_device_type(
      caffe2::PROTO_CUDA);
  parts.records = {
      {"big#%1", FloatBlob("big", {2, 3}, {4, 5}, 4).SerializeAsString()},
      {"q", qtensor_bytes},
      {"not listed", FloatBlob("not listed", {9}, {}).SerializeAsString()},
      {"big#%0", FloatBlob("big", {2, 3}, {0, 1, 2, 3}, 0).SerializeAsString()},
      {"text", text.SerializeAsString()},
      {"int8", int8.SerializeAsString()},
      {"none", FloatBlob("none", {0, 4}, {}).SerializeAsString()},
      {"gpu", gpu.SerializeAsString()},
      {"w", FloatBlob("w", {2}, {1, 2}).SerializeAsString()},
  };
  parts.meta.mutable_blobs(0)->clear_value();
  for (const char* name : {"big", "q", "text", "int8", "none", "gpu"}) {
    parts.meta.mutable_blobs(0)->add_value(name);
  }
  const InitModel init = Init(Write(parts.Bytes()));
  // What the net loads and the list lacks is one, too.
  EXPECT_THAT(init.parameters,
              ElementsAre("big", "q", "text", "int8", "none", "gpu", "w"));
  caffe2::Workspace workspace;
  const Status made = MakeWeights(init, {}, &workspace);
  ASSERT_TRUE(made.ok()) << made.message();
  EXPECT_THAT(Fetch<float>(workspace, "big"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_TRUE(workspace.GetBlob("q")->IsType<QTensorCPU>());
  EXPECT_EQ(workspace.GetBlob("text")->Get<std::string>(), "abc");
  EXPECT_TRUE(workspace.HasBlob("int8"));
  EXPECT_THAT(Fetch<float>(workspace, "gpu"), ElementsAre(5));
  EXPECT_THAT(Fetch<float>(workspace, "w"), ElementsAre(1, 2));
  EXPECT_FALSE(workspace.HasBlob("not listed"));
  // Without a choice every blob is loaded, so the one without values is found.
  caffe2::Workspace all;
  EXPECT_THAT(LoadAllBlobs(folder_.Path("model"), &all).message(),
              HasSubstr("record 'not listed': has the dims [9] = 9 elements, "
                        "but data for at most 0"));
}

TEST_F(ModelNetsTest, OtherOperatorsOfItsInitNetsAreRun) {
  PredictorParts parts;
  OpBuilder(parts.Net("GLOBAL_INIT_NET_TYPE")->add_op(), "Copy", {"w"}, {"v"});
  OpBuilder(parts.Net("PREDICT_INIT_NET_TYPE")->add_op(), "Copy", {"v"}, {"u"});
  caffe2::Workspace workspace;
  const InitModel init = Init(Write(parts.Bytes()));
  ASSERT_TRUE(MakeWeights(init, {}, &workspace).ok());
  EXPECT_THAT(Fetch<float>(workspace, "u"), ElementsAre(1, 2));
}

TEST_F(ModelNetsTest, APredictorWithoutInitNetsHasItsParameters) {
  PredictorParts parts;
  parts.meta.mutable_nets()->DeleteSubrange(0, 2);
  caffe2::Workspace workspace;
  const InitModel init = Init(Write(parts.Bytes()));
  EXPECT_THAT(TypesOf(init.net), ElementsAre("Load"));
  ASSERT_TRUE(MakeWeights(init, {}, &workspace).ok());
  EXPECT_THAT(Fetch<float>(workspace, "w"), ElementsAre(1, 2));
}

// ---- Predictors that are none -----------------------------------------------

TEST_F(ModelNetsTest, APredictorThatIsCutShortAnywhere) {
  const std::string bytes = PredictorParts().Bytes();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    EXPECT_NE(Error(bytes.substr(0, size)), "");
  }
  EXPECT_THAT(Error(bytes.substr(0, bytes.size() - 1)),
              HasSubstr("value_size is 30, expected 0 to 29, the bytes that "
                        "follow"));
}

TEST_F(ModelNetsTest, ARecordThatIsMissing) {
  PredictorParts parts;
  parts.records[0].first = "v";
  EXPECT_EQ(Error(parts),
            "there is no record 'w', expected one for each parameter");
  EXPECT_EQ(Error(MinidbBytes(parts.records)),
            "there is no record '!!META_NET_DEF', expected the one with a "
            "predictor's nets");
  parts.records[0].first = "w";
  parts.meta.mutable_nets(2)->set_key("PREDICT_NET");
  EXPECT_EQ(Error(parts),
            "found 0 nets 'PREDICT_NET_TYPE' in its MetaNetDef, expected one; "
            "its nets are: 'PREDICT_INIT_NET_TYPE', 'GLOBAL_INIT_NET_TYPE', "
            "'PREDICT_NET'");
  parts.meta.clear_nets();
  parts.meta.add_plans()->set_key("TRAIN_PLAN_TYPE");
  EXPECT_THAT(Error(parts), HasSubstr("bytes that are no MetaNetDef"));
  parts.meta.mutable_plans(0)->mutable_value();
  EXPECT_THAT(Error(parts),
              HasSubstr("its nets are: none; its plans, which are not read, "
                        "are: 'TRAIN_PLAN_TYPE'"));
}

TEST_F(ModelNetsTest, SeveralPredictorsInOneFile) {
  PredictorParts parts("_a");
  parts.AddNet("PREDICT_NET_TYPE_b", *parts.Net("PREDICT_NET_TYPE_a"));
  EXPECT_THAT(Error(parts),
              AllOf(HasSubstr("found 2 nets 'PREDICT_NET_TYPE'"),
                    HasSubstr("'PREDICT_NET_TYPE_a', 'PREDICT_NET_TYPE_b'")));
}

TEST_F(ModelNetsTest, RecordsOfAnotherType) {
  caffe2::BlobProto blob = FloatBlob("w", {2}, {1, 2});
  blob.set_type("Foo");
  PredictorParts parts;
  parts.records[0].second = blob.SerializeAsString();
  EXPECT_EQ(Error(parts),
            "record 'w': found a blob of the type 'Foo', expected Tensor, "
            "QTensor, Int8TensorCPU or std::string");
  for (const char* type : {"QTensor", "Int8TensorCPU"}) {
    blob.set_type(type);
    parts.records[0].second = blob.SerializeAsString();
    EXPECT_THAT(Error(parts), StartsWith("record 'w': ")) << type;
  }
  blob.set_type("Tensor");
  blob.clear_tensor();
  parts.records[0].second = blob.SerializeAsString();
  EXPECT_EQ(Error(parts), "record 'w': has the type 'Tensor', but no tensor");
  parts.records[0].second = "no message";
  EXPECT_THAT(Error(parts),
              AllOf(StartsWith("offset "), HasSubstr("record 'w'")));
  // A tensor where the nets should be.
  EXPECT_EQ(
      Error(MinidbBytes(
          {{"!!META_NET_DEF", FloatBlob("w", {1}, {1}).SerializeAsString()}})),
      "record '!!META_NET_DEF': found a blob of the type 'Tensor' "
      "without content, expected a std::string with a MetaNetDef");
  caffe2::BlobProto meta;
  meta.set_name("!!META_NET_DEF");
  meta.set_type("std::string");
  meta.set_content("\x12\x7f");
  EXPECT_THAT(
      Error(MinidbBytes({{"!!META_NET_DEF", meta.SerializeAsString()}})),
      StartsWith("record '!!META_NET_DEF': in its content offset 0: "
                 "MetaNetDef.nets[0]: field 2 takes 127 bytes, but "
                 "only 0 are left"));
}

TEST_F(ModelNetsTest, SizesThatAFileCannotHave) {
  PredictorParts parts;
  const auto error = [&](const caffe2::BlobProto& blob) {
    parts.records = {{"w", blob.SerializeAsString()}};
    return Error(parts);
  };
  EXPECT_EQ(error(FloatBlob("w", {int64_t{1} << 40}, {1})),
            "record 'w': has the dims [1099511627776] = 1099511627776 "
            "elements, but data for at most 1");
  // One that claims to be a small piece of a huge tensor.
  EXPECT_THAT(error(FloatBlob("w", {int64_t{1} << 40}, {1}, 0)),
              HasSubstr("record 'w': has 1099511627776 elements by its dims, "
                        "but the whole file only "));
  EXPECT_THAT(error(FloatBlob("w", {int64_t{1} << 40, int64_t{1} << 40}, {1})),
              HasSubstr("whose product overflows 63 bits"));
  EXPECT_THAT(error(FloatBlob("w", {-1}, {1})),
              HasSubstr("expected none below 0"));
  EXPECT_THAT(error(FloatBlob("w", {4}, {1, 2}, 3)),
              HasSubstr("the segment 3 to 5, expected within 0 and 4"));
  caffe2::BlobProto int8;
  int8.set_name("w");
  int8.set_type("Int8TensorCPU");
  int8.mutable_qtensor()->add_dims(int64_t{1} << 40);
  int8.mutable_qtensor()->set_precision(8);
  int8.mutable_qtensor()->set_scale(1);
  int8.mutable_qtensor()->set_bias(0);
  int8.mutable_qtensor()->set_is_signed(false);
  int8.mutable_qtensor()->add_data(1);
  EXPECT_EQ(error(int8),
            "record 'w': has data of 1 values, expected 1099511627776 by its "
            "dims");
  // A record that claims more bytes than there are.
  std::string bytes = PredictorParts().Bytes();
  bytes[4] = bytes[5] = bytes[6] = bytes[7] = 0x7f;
  EXPECT_THAT(Error(bytes), HasSubstr("2139062143"));
}

TEST_F(ModelNetsTest, TensorsThatAreNotWhole) {
  PredictorParts parts;
  const auto error = [&](const std::vector<caffe2::BlobProto>& pieces) {
    parts.records.clear();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      parts.records.emplace_back("w#%" + std::to_string(i),
                                 pieces[i].SerializeAsString());
    }
    return Error(parts);
  };
  const auto piece = [](int64_t begin, const std::vector<float>& values) {
    return FloatBlob("w", {6}, values, begin);
  };
  EXPECT_EQ(
      error({piece(0, {1, 2}), piece(3, {1, 2, 3})}),
      "tensor 'w' lacks its elements 2 to 2, expected a record with them");
  EXPECT_EQ(error({piece(0, {1, 2, 3, 4}), piece(3, {1, 2, 3})}),
            "tensor 'w' has its element 3 in two records, expected one");
  EXPECT_EQ(error({piece(0, {1, 2, 3, 4})}),
            "tensor 'w' has 4 values in all its records, expected 6 by its "
            "dims");
  EXPECT_THAT(error({piece(0, {1, 2, 3}), FloatBlob("w", {7}, {1, 2, 3}, 3)}),
              HasSubstr("other dims or another type"));
  EXPECT_THAT(error({FloatBlob("w", {1}, {1}), FloatBlob("w", {1}, {1})}),
              HasSubstr("has its element 0 in two records"));
}

TEST_F(ModelNetsTest, NetsOfAPredictorThatAreNone) {
  PredictorParts parts;
  parts.Net("GLOBAL_INIT_NET_TYPE")->mutable_op(0)->clear_type();
  EXPECT_THAT(Error(parts), AllOf(HasSubstr("net 'GLOBAL_INIT_NET_TYPE'"),
                                  HasSubstr("operator 0 has no type")));
  parts = PredictorParts();
  parts.Net("PREDICT_NET_TYPE")->clear_op();
  EXPECT_THAT(Error(parts), HasSubstr("has no operators, expected some"));
}

// ---- Init nets --------------------------------------------------------------

TEST_F(ModelNetsTest, AnInitNetMayBeEmpty) {
  caffe2::NetDef net;
  net.set_name("init");
  for (const std::string& path :
       {folder_.Write("name.pb", net), folder_.Write("none.pb", "")}) {
    const InitModel init = Init(path);
    EXPECT_EQ(init.net.op_size(), 0);
    EXPECT_THAT(init.notes,
                ElementsAre("no operators, so it makes no weights"));
    caffe2::Workspace workspace;
    EXPECT_TRUE(MakeWeights(init, {}, &workspace).ok());
    PredictModel predict;
    EXPECT_FALSE(ReadPredictModel(path, &predict).ok());
  }
  // Another message has no operators either.
  caffe2::TensorProtos tensors;
  AddFloats("x", {2}, {1, 2}, &tensors);
  InitModel init;
  EXPECT_THAT(
      ReadInitModel(folder_.Write("t.pb", tensors), &init).message(),
      AllOf(HasSubstr("no operators"), HasSubstr("it is a TensorProtos")));
}

TEST_F(ModelNetsTest, WhatCannotRunIsLeftOut) {
  // As the ONNX importer does it: the whole model behind its fills.
  NetBuilder net("init", "simple");
  net.Op("GivenTensorFill", {}, {"w"}).Ints("shape", {1}).Floats("values", {3});
  net.Op("Mul", {"x", "w"}, {"y"});
  net.Op("Relu", {"y"}, {"y"});
  net.Op("Copy", {"w"}, {"v"});
  net.Op("Softmax", {"y"}, {"prob"});
  const InitModel init = Init(net.Build());
  EXPECT_THAT(TypesOf(init.net), ElementsAre("GivenTensorFill", "Copy"));
  EXPECT_THAT(init.left_out_outputs, ElementsAre("y", "y", "prob"));
  EXPECT_THAT(init.notes,
              ElementsAre("3 of 5 operators make no weights and are left "
                          "out: operator 1 (Mul) reads 'x', which nothing "
                          "before it makes"));
  caffe2::Workspace workspace;
  ASSERT_TRUE(MakeWeights(init, {}, &workspace).ok());
  EXPECT_THAT(Fetch<float>(workspace, "v"), ElementsAre(3));
}

TEST_F(ModelNetsTest, FillsThatHoldAPlace) {
  NetBuilder net("init", "simple");
  net.Op("GivenTensorFill", {}, {"mobile"})
      .Ints("shape", {1, 1})
      .Floats("values", {0});
  net.Op("ConstantFill", {}, {"translator"}).Ints("shape", {1});
  // These are weights.
  net.Op("GivenTensorFill", {}, {"a"}).Ints("shape", {1}).Floats("values", {0});
  net.Op("GivenTensorFill", {}, {"b"})
      .Ints("shape", {1, 1})
      .Floats("values", {1});
  net.Op("ConstantFill", {}, {"c"}).Ints("shape", {1}).Float("value", 1);
  net.Op("ConstantFill", {}, {"d"}).Ints("shape", {4});
  EXPECT_THAT(Init(net.Build()).placeholders,
              ElementsAre("mobile", "translator"));
}

TEST_F(ModelNetsTest, FillsOfWhatIsFedAreNotRun) {
  NetBuilder net("init", "simple");
  // More memory than there is.
  net.Op("ConstantFill", {}, {"x"}).Ints("shape", {int64_t{1} << 45});
  net.Op("ConstantFill", {}, {"used"}).Ints("shape", {2}).Float("value", 7);
  net.Op("Copy", {"used"}, {"w"});
  const InitModel init = Init(net.Build());
  caffe2::Workspace workspace;
  const Status made = MakeWeights(init, {"x", "used"}, &workspace);
  ASSERT_TRUE(made.ok()) << made.message();
  EXPECT_FALSE(workspace.HasBlob("x"));
  EXPECT_THAT(Fetch<float>(workspace, "w"), ElementsAre(7, 7));
}

TEST(UnreadInputsTest, AreReadByNoOperatorNorByOneOfANetInIt) {
  NetBuilder inner("inner", "simple");
  inner.Op("Relu", {"in_branch"}, {"z"});
  NetBuilder step("step", "simple");
  step.Op("Relu", {"in_text"}, {"z"});
  NetBuilder net("net", "simple");
  net.Op("Relu", {"x"}, {"y"});
  caffe2::NetDef built = net.Build();
  *built.mutable_op(0)->add_arg()->mutable_n() = inner.Build();
  caffe2::Argument* text = built.mutable_op(0)->add_arg();
  text->set_name("step_net");
  text->set_s(caffe2::ProtoDebugString(step.Build()));
  for (const char* name : {"x", "unread", "in_branch", "in_text", "unread"}) {
    built.add_external_input(name);
  }
  EXPECT_THAT(UnreadInputs(built), ElementsAre("unread"));
}

TEST(UnreadInputsTest, NetsInTheBytesOfArgumentsEnd) {
  caffe2::NetDef net;
  for (int depth = 0; depth < 1000; ++depth) {
    caffe2::NetDef outer;
    caffe2::Argument* argument = outer.add_op()->add_arg();
    argument->set_name("net");
    argument->set_s(net.SerializeAsString());
    net.Swap(&outer);
  }
  net.add_external_input("x");
  EXPECT_THAT(UnreadInputs(net), ElementsAre("x"));
}

}  // namespace
}  // namespace caffe2_quantization
