#include "inspect/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "inspect/inspect_float.h"
#include "inspect/inspect_json.h"
#include "inspect/inspect_tensor.h"
#include "netdef/given_weights.h"
#include "profiles/profile.h"
#include "serialization/per_channel_qtensor.h"
#include "serialization/qtensor_codec.h"
#include "tests/support/model_files.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string Source(const std::string& path) {
  const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  return std::string(root == nullptr ? "." : root) + '/' + path;
}

InspectReport InspectSource(const std::string& path) {
  InspectReport report;
  const Status status = InspectFile(Source(path), &report);
  EXPECT_TRUE(status.ok()) << status.message();
  for (const ModelFault& fault : report.faults) {
    ADD_FAILURE() << path << ": " << fault.ToString();
  }
  return report;
}

InspectReport Inspect(const std::string& bytes) {
  InspectReport report;
  InspectBytes(bytes.data(), bytes.size(), &report);
  return report;
}
InspectReport Inspect(const google::protobuf::MessageLite& message) {
  return Inspect(message.SerializePartialAsString());
}

std::string FirstFault(const InspectReport& report) {
  EXPECT_FALSE(report.faults.empty());
  return report.faults.empty() ? "" : report.faults[0].ToString();
}

void FillQTensor(caffe2::QTensorProto* proto) {
  for (const int dim : {2, 3}) proto->add_dims(dim);
  proto->set_precision(3);
  proto->set_scale(0.5);
  proto->set_bias(-1);
  proto->set_is_signed(true);
  // 1, -2, 3, 0, -5, 7
  for (const int byte : {0xAC, 0x64, 0x0C, 0x48}) proto->add_data(byte);
  proto->set_name("q");
}

caffe2::BlobProto QTensorBlob() {
  caffe2::BlobProto blob;
  blob.set_name("q");
  blob.set_type("QTensor");
  FillQTensor(blob.mutable_qtensor());
  return blob;
}

// ---- Forms ------------------------------------------------------------------

TEST(InspectTest, ANetWithQTensors) {
  const InspectReport report =
      InspectSource("examples/digits/init_net_qtensor.pb");
  EXPECT_EQ(report.form, ModelForm::kNetDef);
  EXPECT_FALSE(report.is_text);
  EXPECT_EQ(report.operator_count, 12u);
  ASSERT_THAT(report.nets, SizeIs(1));
  const InspectedNet& net = report.nets[0];
  EXPECT_EQ(net.name, "digits_init_qtensor");
  ASSERT_THAT(net.operators, SizeIs(12));
  EXPECT_EQ(net.operators[1].type, "QTensorDequantize");
  EXPECT_THAT(net.operators[1].inputs, ElementsAre("conv1_w_q"));
  EXPECT_THAT(net.operators[1].outputs, ElementsAre("conv1_w"));
  ASSERT_THAT(net.blobs, SizeIs(12));
  EXPECT_EQ(net.blobs[0].name, "conv1_w_q");
  EXPECT_EQ(net.blobs[0].made_by, 0);
  EXPECT_EQ(net.blobs[0].reads, 1u);

  ASSERT_THAT(report.qtensors, SizeIs(4));
  const InspectedQTensor& weight = report.qtensors[1];
  EXPECT_EQ(weight.name, "conv2_w_q");
  EXPECT_EQ(weight.field, "NetDef.op[3].arg[0].qtensors[0]");
  EXPECT_THAT(weight.dims, ElementsAre(32, 16, 3, 3));
  EXPECT_EQ(weight.precision, 8);
  EXPECT_TRUE(weight.is_signed);
  EXPECT_EQ(weight.bytes, 5184u);
  EXPECT_EQ(weight.float_bytes, 18432u);
  EXPECT_NEAR(weight.range.min, -0.7044, 1e-4);
  EXPECT_NEAR(weight.range.max, 0.7099, 1e-4);
  EXPECT_EQ(report.qtensor_bytes, 15282u);

  ASSERT_THAT(report.tensors, SizeIs(4));
  EXPECT_EQ(report.tensors[0].name, "conv1_b");
  EXPECT_EQ(report.tensors[0].type, "float");
  EXPECT_THAT(report.tensors[0].dims, ElementsAre(16));
  EXPECT_EQ(report.tensors[0].bytes, 64u);
}

TEST(InspectTest, ANetOfByteWeights) {
  const InspectReport report =
      InspectSource("examples/digits/init_net_byte.pb");
  ASSERT_THAT(report.tensors, SizeIs(8));
  EXPECT_EQ(report.tensors[2].name, "conv2_w_bytes");
  EXPECT_EQ(report.tensors[2].type, "uint8");
  EXPECT_EQ(report.tensors[2].bytes, 4608u);
  EXPECT_EQ(report.tensors[2].range.min, 0);
  EXPECT_EQ(report.tensors[2].range.max, 255);
}

TEST(InspectTest, EveryTypeOfTensor) {
  const InspectReport report =
      InspectSource("tests/fuzz/corpus/inspect/tensors.pb");
  EXPECT_EQ(report.form, ModelForm::kTensorProtos);
  const struct {
    const char* name;
    const char* type;
    uint64_t values;
    uint64_t bytes;
    double min, max;
    uint64_t nan_count;
  } expected[] = {
      {"f", "float", 3, 12, -INFINITY, 1.5, 1},
      {"d", "double", 3, 24, -2, 3, 0},
      {"i", "int32", 3, 12, -1, 300, 0},
      {"l", "int64", 3, 24, -4611686018427387904.0, 7, 0},
      {"h", "float16", 3, 6, -1, INFINITY, 0},
      {"b", "bool", 3, 3, 0, 1, 0},
      {"y", "byte", 4, 4, 0, 255, 0},
      {"s", "string", 2, 9, 0, 0, 0},
      {"p", "float", 2, 8, 1, 2, 0},
      {"w", "uint8", 2, 2, 1, 2, 0},
      {"none", "float", 0, 0, 0, 0, 0},
  };
  ASSERT_THAT(report.tensors, SizeIs(std::size(expected)));
  for (std::size_t i = 0; i < std::size(expected); ++i) {
    SCOPED_TRACE(expected[i].name);
    const InspectedTensor& tensor = report.tensors[i];
    EXPECT_EQ(tensor.name, expected[i].name);
    EXPECT_EQ(tensor.type, expected[i].type);
    EXPECT_EQ(tensor.values, expected[i].values);
    EXPECT_EQ(tensor.bytes, expected[i].bytes);
    EXPECT_EQ(tensor.range.min, expected[i].min);
    EXPECT_EQ(tensor.range.max, expected[i].max);
    EXPECT_EQ(tensor.range.nan_count, expected[i].nan_count);
  }
}

TEST(InspectTest, ADatabaseThatSaveWroteInChunks) {
  const InspectReport report =
      InspectSource("tests/fuzz/corpus/inspect/chunks.minidb");
  EXPECT_EQ(report.form, ModelForm::kMinidb);
  EXPECT_FALSE(report.is_predictor);
  ASSERT_THAT(report.blobs, SizeIs(6));
  EXPECT_EQ(report.blobs[0].name, "f");
  EXPECT_EQ(report.blobs[0].type, "Tensor");
  EXPECT_EQ(report.blobs[0].records, 3u);
  EXPECT_EQ(report.blobs[4].type, "std::string");
  ASSERT_THAT(report.tensors, SizeIs(5));
  EXPECT_THAT(report.tensors[0].dims, ElementsAre(3, 4));
  EXPECT_EQ(report.tensors[0].values, 12u);
  EXPECT_EQ(report.tensors[0].range.max, 11);
  // 0.1 * (byte - 3), of 0 to 11.
  EXPECT_EQ(report.tensors[4].type, "int8 (uint8)");
  EXPECT_NEAR(report.tensors[4].range.max, 11, 1e-4);
}

TEST(InspectTest, APredictor) {
  const InspectReport report =
      InspectSource("tests/fuzz/corpus/inspect/predictor.minidb");
  EXPECT_EQ(report.form, ModelForm::kMinidb);
  EXPECT_TRUE(report.is_predictor);
  ASSERT_THAT(report.nets, SizeIs(3));
  EXPECT_EQ(report.nets[0].label, "PREDICT_INIT_NET_TYPE");
  EXPECT_EQ(report.nets[2].operators[0].type, "FC");
  ASSERT_THAT(report.meta, SizeIs(3));
  EXPECT_EQ(report.meta[0].key, "PARAMETERS_BLOB_TYPE");
  EXPECT_THAT(report.meta[0].values, ElementsAre("w", "b"));
  EXPECT_THAT(report.tensors, SizeIs(2));
}

TEST(InspectTest, TextSaysTheSameAsBinary) {
  for (const char* name : {"every_argument", "meta_net", "predict_net",
                           "qtensor", "tensors", "wide_qtensor"}) {
    SCOPED_TRACE(name);
    const std::string path = std::string("tests/fuzz/corpus/inspect/") + name;
    InspectReport binary = InspectSource(path + ".pb");
    InspectReport text = InspectSource(path + ".pbtxt");
    EXPECT_FALSE(binary.is_text);
    EXPECT_TRUE(text.is_text);
    text.path = binary.path;
    text.is_text = binary.is_text;
    text.file_bytes = binary.file_bytes;
    for (InspectedBlob& blob : text.blobs) blob.bytes = binary.file_bytes;
    EXPECT_EQ(ToJson({text}), ToJson({binary}));
  }
}

TEST(InspectTest, NetsAndTensorsInArguments) {
  const InspectReport report =
      InspectSource("tests/fuzz/corpus/inspect/every_argument.pb");
  ASSERT_THAT(report.nets, SizeIs(3));
  EXPECT_EQ(report.nets[1].label, "NetDef.op[7].arg[0].n");
  EXPECT_EQ(report.nets[2].name, "deep");
  EXPECT_EQ(report.operator_count, 10u);
  ASSERT_THAT(report.qtensors, SizeIs(2));
  EXPECT_EQ(report.qtensors[0].name, "q");
  EXPECT_EQ(report.qtensors[1].name, "r");
  EXPECT_TRUE(report.qtensors[1].is_per_channel);
  EXPECT_EQ(report.qtensors[1].channels, 2u);
  EXPECT_EQ(report.qtensors[1].scales.min, 0.5);
  EXPECT_EQ(report.qtensors[1].scales.max, 2);
  // Row 0 is 0.5 * {1, -2, 3}, row 1 is 2 * ({0, -5, 7} + 1).
  EXPECT_EQ(report.qtensors[1].range.min, -8);
  EXPECT_EQ(report.qtensors[1].range.max, 16);
  EXPECT_EQ(report.nets[0].operators[6].engine, "ONEDNN");
}

// ---- QTensors ---------------------------------------------------------------

TEST(InspectTest, AQTensorBlob) {
  const InspectReport report = Inspect(QTensorBlob());
  EXPECT_EQ(report.form, ModelForm::kBlobProto);
  EXPECT_TRUE(report.ok());
  ASSERT_THAT(report.qtensors, SizeIs(1));
  const InspectedQTensor& tensor = report.qtensors[0];
  EXPECT_EQ(tensor.integers.min, -5);
  EXPECT_EQ(tensor.integers.max, 7);
  EXPECT_EQ(tensor.range.min, -3);
  EXPECT_EQ(tensor.range.max, 3);
  EXPECT_EQ(tensor.bytes, 4u);
  EXPECT_EQ(tensor.float_bytes, 24u);
}

TEST(InspectTest, ValuesOfEveryPrecision) {
  TestRandom random;
  for (int precision = 1; precision <= 64; ++precision) {
    for (const bool is_signed : {false, true}) {
      SCOPED_TRACE(precision);
      // More than a block of the walk, and no multiple of 8.
      const int n = precision % 5 == 0 ? 8192 + 77 : 45;
      QTensorCPU tensor({n}, static_cast<unsigned char>(precision), is_signed);
      tensor.SetScale(-0.25);
      tensor.SetBias(3);
      for (std::size_t i = 0; i < tensor.nbytes(); ++i) {
        tensor.mutable_data()[i] = random.Byte();
      }
      InspectedRange integers, values;
      AddQTensorValues(tensor, &integers, &values);
      InspectedRange expected;
      for (std::size_t i = 0; i < tensor.size(); ++i) {
        double x = 0;
        for (int bit = precision - 1; bit >= 0; --bit) {
          x = 2 * x + tensor.GetBitAtIndex(static_cast<unsigned char>(bit), i);
        }
        const bool negative =
            is_signed &&
            tensor.GetBitAtIndex(static_cast<unsigned char>(precision), i);
        expected.Add(negative ? -x : x);
      }
      // Sums of bits beyond a double's round differently.
      EXPECT_DOUBLE_EQ(integers.min, expected.min);
      EXPECT_DOUBLE_EQ(integers.max, expected.max);
      EXPECT_EQ(integers.count, tensor.size());
      EXPECT_DOUBLE_EQ(values.min, -0.25 * (integers.max + 3));
      EXPECT_DOUBLE_EQ(values.max, -0.25 * (integers.min + 3));
    }
  }
}

TEST(InspectTest, AQTensorInParts) {
  const caffe2::BlobProto whole = QTensorBlob();
  caffe2::BlobProto first = whole;
  first.mutable_qtensor()->clear_data();
  caffe2::BlobProto second;
  *second.mutable_qtensor()->mutable_data() = whole.qtensor().data();
  const InspectReport report = Inspect(first.SerializePartialAsString() +
                                       second.SerializePartialAsString());
  EXPECT_TRUE(report.ok());
  ASSERT_THAT(report.qtensors, SizeIs(1));
  EXPECT_EQ(report.qtensors[0].range.max, 3);
}

// ---- Broken files -----------------------------------------------------------

TEST(InspectTest, BrokenFilesSayWhereAndList) {
  caffe2::NetDef net;
  net.set_name("n");
  auto* op = net.add_op();
  op->set_type("GivenQTensorFill");
  op->add_output("q");
  auto* argument = op->add_arg();
  argument->set_name("qtensors");
  FillQTensor(argument->add_qtensors());
  const std::string bytes = net.SerializeAsString();
  EXPECT_TRUE(Inspect(bytes).ok());

  InspectReport cut = Inspect(bytes.substr(0, bytes.size() - 5));
  EXPECT_EQ(cut.form, ModelForm::kNetDef);
  EXPECT_EQ(cut.fault_count, 1u);
  EXPECT_THAT(FirstFault(cut), HasSubstr("NetDef.op[0].arg[0].qtensors[0]"));

  argument->mutable_qtensors(0)->set_precision(0);
  const InspectReport bad = Inspect(net);
  EXPECT_EQ(bad.fault_count, 1u);
  EXPECT_THAT(FirstFault(bad),
              HasSubstr("NetDef.op[0].arg[0].qtensors[0]: QTensor 'q': field "
                        "precision is 0, expected 1 to 64"));
  EXPECT_TRUE(bad.faults[0].has_offset);
  EXPECT_THAT(bad.qtensors, SizeIs(1));
}

TEST(InspectTest, ValuesThatContradictTheDims) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {2, 3}, {1, 2}, &tensors);
  EXPECT_THAT(FirstFault(Inspect(tensors)),
              HasSubstr("TensorProtos.protos[0]: has data of 2 values, "
                        "expected 6 by its dims"));
  tensors.Clear();
  AddFloats("x", {-1}, {}, &tensors);
  EXPECT_THAT(FirstFault(Inspect(tensors)), HasSubstr("below 0"));
  tensors.Clear();
  AddFloats("x", std::vector<int64_t>(65, 1), {}, &tensors);
  EXPECT_THAT(FirstFault(Inspect(tensors)), HasSubstr("more than 64 dims"));
  tensors.Clear();
  AddFloats("x", {4}, {1, 2}, &tensors);
  tensors.mutable_protos(0)->mutable_segment()->set_begin(3);
  tensors.mutable_protos(0)->mutable_segment()->set_end(5);
  EXPECT_THAT(FirstFault(Inspect(tensors)),
              HasSubstr("segment is from 3 to 5, expected within 0 and 4"));

  NetBuilder net("n", "");
  net.Op("GivenTensorFill", {}, {"w"})
      .Ints("shape", {2, 2})
      .Floats("values", {1, 2, 3});
  EXPECT_THAT(FirstFault(Inspect(net.Build())),
              HasSubstr("NetDef.op[0]: has 3 values, expected 4 by its shape"));
}

// Codes of several scales: how many there are, and no range.
TEST(InspectTest, WeightsThatANetCarriesAsCodes) {
  GivenWeights given;
  given.shape = {2, 3};
  given.values = "abcdef";
  given.scales = {0.5f, 0.25f};
  given.zero_points = {0, 1};
  caffe2::NetDef net;
  *net.add_op() = GivenWeightsFill("w", given);
  const InspectReport report = Inspect(net);
  EXPECT_THAT(report.faults, IsEmpty());
  ASSERT_THAT(report.tensors, SizeIs(1));
  const InspectedTensor& tensor = report.tensors[0];
  EXPECT_EQ(tensor.name, "w");
  EXPECT_EQ(tensor.type, "int8 weights");
  EXPECT_THAT(tensor.dims, ElementsAre(2, 3));
  EXPECT_EQ(tensor.values, 6);
  EXPECT_EQ(tensor.bytes, 6);
  EXPECT_EQ(tensor.range.count, 0);

  given.values = "abc";
  *net.mutable_op(0) = GivenWeightsFill("w", given);
  EXPECT_THAT(FirstFault(Inspect(net)),
              HasSubstr("NetDef.op[0]: has 3 values, expected 6 by its shape"));
}

TEST(InspectTest, ACutDatabase) {
  const std::string bytes =
      ReadText(Source("tests/fuzz/corpus/inspect/chunks.minidb"));
  const InspectReport cut = Inspect(bytes.substr(0, bytes.size() - 3));
  EXPECT_EQ(cut.form, ModelForm::kMinidb);
  EXPECT_THAT(FirstFault(cut), HasSubstr("record: value_size is"));
  EXPECT_THAT(cut.blobs, SizeIs(5));

  // Without its second record, the first tensor is not whole.
  const std::string second = "f#%1";
  const std::size_t at = bytes.find(second) - 8;
  const std::size_t next = bytes.find("f#%2") - 8;
  const InspectReport missing =
      Inspect(bytes.substr(0, at) + bytes.substr(next));
  EXPECT_THAT(FirstFault(missing), HasSubstr("7 values in all its records, "
                                             "expected 12"));
}

TEST(InspectTest, FilesThatAreNone) {
  EXPECT_EQ(FirstFault(Inspect("")), "the file is empty");
  EXPECT_EQ(Inspect("\x01\xFF\xFF\xFF").form, ModelForm::kUnknown);
  EXPECT_THAT(FirstFault(Inspect("just words\n")),
              HasSubstr("line 1, column 1"));
  InspectReport report;
  EXPECT_FALSE(InspectFile("/nowhere/at all", &report).ok());
  EXPECT_FALSE(InspectFile(Source("tests"), &report).ok());
}

// ---- Hostile files ----------------------------------------------------------

TEST(InspectTest, ManyOperatorsAreCountedAndNotAllListed) {
  // Two bytes an operator; each would be an entry of some 200.
  std::string bytes = "\x0A\x01n";
  for (int i = 0; i < 1000000; ++i) bytes += std::string("\x12\x00", 2);
  const InspectReport report = Inspect(bytes);
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.operator_count, 1000000u);
  EXPECT_GT(report.unlisted, 0u);
  EXPECT_LT(report.nets[0].operators.size(), 1000000u);
  EXPECT_THAT(report.notes, SizeIs(1));
}

TEST(InspectTest, LongNamesAreCut) {
  caffe2::NetDef net;
  net.set_name(std::string(1 << 20, 'n'));
  net.add_op()->set_type(std::string(1 << 20, 't'));
  const InspectReport report = Inspect(net);
  EXPECT_LT(report.nets[0].name.size(), 300u);
  EXPECT_LT(report.nets[0].operators[0].type.size(), 300u);
}

TEST(InspectTest, NetsInNetsEnd) {
  caffe2::NetDef net;
  net.add_op()->set_type("x");
  for (int i = 0; i < 200; ++i) {
    caffe2::NetDef outer;
    outer.add_op()->add_arg()->mutable_n()->Swap(&net);
    net.Swap(&outer);
  }
  const InspectReport report = Inspect(net);
  EXPECT_FALSE(report.ok());
  EXPECT_LT(report.nets.size(), 50u);
}

TEST(InspectTest, JsonTakesWhateverANameHolds) {
  caffe2::BlobProto blob = QTensorBlob();
  blob.set_name("\xFF\n\"");
  blob.mutable_qtensor()->set_scale(
      std::numeric_limits<double>::infinity());  // refused, and told as null
  const json parsed = json::parse(ToJson({Inspect(blob)}));
  const json& file = parsed["files"][0];
  EXPECT_EQ(file["form"], "BlobProto");
  EXPECT_TRUE(file["qtensors"][0]["scale"].is_null());
  EXPECT_EQ(file["fault_count"], 1);
  EXPECT_TRUE(file["faults"][0]["offset"].is_number());
}

// ---- Against floats ---------------------------------------------------------

class CompareWithFloatTest : public testing::Test {
 protected:
  // A database of one record.
  std::string Database(const std::string& file, const std::string& key,
                       const std::string& value) {
    const auto number = [](std::size_t n) {
      const auto size = static_cast<int32_t>(n);
      return std::string(reinterpret_cast<const char*>(&size), 4);
    };
    return folder_.Write(
        file, number(key.size()) + number(value.size()) + key + value);
  }
  std::string Floats(const std::string& name,
                     const std::vector<float>& values) {
    caffe2::TensorProtos tensors;
    AddFloats(name, {static_cast<int64_t>(values.size())}, values, &tensors);
    return folder_.Write("float.pb", tensors);
  }
  FloatComparison MustCompare(const std::string& path,
                              const std::string& float_path) {
    InspectReport report;
    Status status = InspectFile(path, &report);
    EXPECT_TRUE(status.ok()) << status.message();
    status = CompareWithFloat(float_path, &report);
    EXPECT_TRUE(status.ok()) << status.message();
    return report.against_float.value_or(FloatComparison());
  }

  TemporaryFolder folder_;
};

TEST_F(CompareWithFloatTest, TheDigits) {
  const std::string digits = Source("examples/digits/");
  for (const char* name : {"init_net_qtensor.pb", "init_net_byte.pb"}) {
    SCOPED_TRACE(name);
    const FloatComparison comparison =
        MustCompare(digits + name, digits + "init_net.pb");
    EXPECT_THAT(comparison.notes, IsEmpty());
    ASSERT_THAT(comparison.weights, SizeIs(4));
    EXPECT_GT(comparison.SqnrDecibel(), 35);
    EXPECT_LT(comparison.SqnrDecibel(), 55);
    EXPECT_LT(comparison.cost.file_bytes, comparison.float_cost.file_bytes);
    EXPECT_GT(comparison.cost.load_seconds, 0);
    for (const ComparedWeight& weight : comparison.weights) {
      EXPECT_EQ(weight.clipped, 0u) << weight.blob;
      EXPECT_GT(weight.at_limits, 0u) << weight.blob;
      EXPECT_LE(weight.largest_error, 0.501 * weight.scales.max) << weight.blob;
    }
  }
}

TEST_F(CompareWithFloatTest, NumbersOfAQTensor) {
  // 0.5 * (x - 1) of x in {1, -2, 3, 0, -5, 7}, in a database.
  const std::string path =
      Database("q.minidb", "q", QTensorBlob().SerializeAsString());
  const FloatComparison comparison =
      MustCompare(path, Floats("q", {0, -1.5, 1.25, -0.5, -3, 4}));
  ASSERT_THAT(comparison.weights, SizeIs(1));
  const ComparedWeight& weight = comparison.weights[0];
  EXPECT_EQ(weight.scales.max, 0.5);
  EXPECT_EQ(weight.zero_offsets.max, 1);
  EXPECT_EQ(weight.representable.min, -4);
  EXPECT_EQ(weight.representable.max, 3);
  EXPECT_EQ(weight.float_range.max, 4);
  EXPECT_EQ(weight.at_limits, 1u);  // the 7
  EXPECT_EQ(weight.clipped, 1u);    // the 4
  EXPECT_EQ(weight.integers, 15u);  // -7 to 7
  EXPECT_EQ(weight.integers_used, 6u);
  EXPECT_EQ(weight.largest_error, 1);
  EXPECT_DOUBLE_EQ(weight.noise, 0.25 * 0.25 + 1);
  EXPECT_DOUBLE_EQ(
      weight.SqnrDecibel(),
      10 * std::log10((1.5 * 1.5 + 1.25 * 1.25 + 0.25 + 9 + 16) / 1.0625));
}

TEST_F(CompareWithFloatTest, AQTensorOfEachChannel) {
  caffe2::BlobProto blob = QTensorBlob();
  blob.set_name("w_q");
  caffe2::QTensorProto* tensor = blob.mutable_qtensor();
  for (const double scale : {0.5, 2.0}) tensor->add_scales(scale);
  for (const double bias : {0.0, 1.0}) tensor->add_biases(bias);
  tensor->set_is_multiparam(true);
  const FloatComparison comparison = MustCompare(
      folder_.Write("q.pb", blob), Floats("w", {0.5, -1, 1.5, 2, -8, 16}));
  ASSERT_THAT(comparison.weights, SizeIs(1));
  EXPECT_EQ(comparison.weights[0].weight, "w");
  EXPECT_EQ(comparison.weights[0].scales.count, 2u);
  EXPECT_EQ(comparison.weights[0].zero_offsets.min, -1);
  EXPECT_EQ(comparison.weights[0].noise, 0);
  EXPECT_EQ(comparison.weights[0].SqnrDecibel(),
            std::numeric_limits<double>::infinity());
}

TEST_F(CompareWithFloatTest, BytesOfEachChannel) {
  NetBuilder net("n", "");
  net.Op("GivenTensorByteStringToUInt8Fill", {}, {"b"})
      .Ints("shape", {2, 2})
      .Strings("values", {std::string("\x00\xFF\x00\xFF", 4)});
  net.Op("ByteWeightDequant", {"b"}, {"w"})
      .Ints("shape", {2, 2})
      .Int("axis", 0)
      .Floats("mins", {-1, 0})
      .Floats("maxs", {1, 255});
  const FloatComparison comparison = MustCompare(
      folder_.Write("b.pb", net.Build()), Floats("w", {-1, 1, 1, 255}));
  ASSERT_THAT(comparison.weights, SizeIs(1));
  const ComparedWeight& weight = comparison.weights[0];
  EXPECT_EQ(weight.blob, "b");
  EXPECT_NEAR(weight.scales.min, 2.0 / 255, 1e-6);
  EXPECT_NEAR(weight.scales.max, 1, 1e-6);
  EXPECT_NEAR(weight.zero_offsets.max, 127.5, 1e-3);
  EXPECT_EQ(weight.at_limits, 4u);
  EXPECT_NEAR(weight.largest_error, 1, 1e-6);
}

TEST_F(CompareWithFloatTest, WhatCannotBeCompared) {
  const std::string path = folder_.Write("q.pb", QTensorBlob());
  const FloatComparison other = MustCompare(path, Floats("other", {1}));
  EXPECT_THAT(other.weights, IsEmpty());
  ASSERT_THAT(other.notes, SizeIs(2));
  EXPECT_THAT(other.notes[0], HasSubstr("no float tensor 'q'"));

  const auto error = [&](const std::string& float_path) {
    InspectReport report;
    EXPECT_TRUE(InspectFile(path, &report).ok());
    const Status status = CompareWithFloat(float_path, &report);
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(report.against_float.has_value());
    return status.message();
  };
  EXPECT_THAT(error(folder_.Path("nowhere")), HasSubstr("No such file"));
  EXPECT_THAT(error(folder_.Write("cut.pb", std::string("\x0A\x05", 2))),
              HasSubstr("cut.pb: offset 0"));
  EXPECT_THAT(error(Source("tests/fuzz/corpus/inspect/meta_net.pb")),
              HasSubstr("holds no weights"));
  // Dims that would be allocated before anyone looks for values.
  caffe2::BlobProto blob;
  blob.set_name("w");
  blob.set_type("Tensor");
  blob.mutable_tensor()->add_dims(int64_t{1} << 40);
  EXPECT_THAT(error(folder_.Write("w.pb", blob)),
              HasSubstr("has 0 values, expected 1099511627776"));
}

TEST(Inspect, AProfile) {
  NetInfo info;
  info.net_name = "n";
  info.runs = info.recorded_runs = 3;
  info.inputs.resize(1);
  info.inputs[0].tensor_name = "data";
  info.operators.resize(1);
  info.operators[0].op_index = 2;
  info.operators[0].inner = {{"then_net", 1}};
  std::string bytes, json;
  ASSERT_TRUE(ProfileToBytes(info, &bytes).ok());
  ASSERT_TRUE(ProfileToJson(info, &json).ok());
  for (const std::string& contents : {bytes, json, "\n " + json}) {
    const InspectReport report = Inspect(contents);
    EXPECT_TRUE(report.ok());
    EXPECT_EQ(report.form, ModelForm::kProfile);
    EXPECT_EQ(report.is_text, contents != bytes);
    ASSERT_TRUE(report.profile.has_value());
    EXPECT_EQ(report.profile->runs, 3u);
    EXPECT_EQ(report.profile->inputs[0].tensor_name, "data");
    EXPECT_EQ(PathText(report.profile->operators[0]), "2/then_net/1");
    EXPECT_EQ(report.operator_count, 1u);
  }
  const InspectReport cut = Inspect(bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(cut.form, ModelForm::kProfile);
  EXPECT_FALSE(cut.ok());
  EXPECT_FALSE(cut.profile.has_value());
  EXPECT_NE(cut.faults[0].what.find("cut short"), std::string::npos);
  // JSON of something else is none.
  EXPECT_NE(Inspect("{\"format_version\": 1}x").form, ModelForm::kProfile);
}

}  // namespace
}  // namespace caffe2_quantization
