// Options: int8 inputs and outputs, engines, bits, methods, selectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantization/choose.h"
#include "tests/rewrite/net_case.h"
#include "tests/support/int8_blobs.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// An image classifier in small.
void AddClassifier(NetCase* net) {
  net->Data("x", {3, 3, 8, 8});
  net->Conv("x", "a", 3, 8, 3);
  net->Op("Relu", {"a"}, {"a"});
  net->Conv("a", "b", 8, 8, 3);
  net->Op("Sum", {"b", "a"}, {"s"});
  net->Op("Relu", {"s"}, {"s"});
  net->Op("MaxPool", {"s"}, {"p"}).Int("kernel", 2).Int("stride", 2);
  net->Op("Concat", {"p", "p"}, {"c", "sizes"}).Int("axis", 1);
  net->Op("AveragePool", {"c"}, {"v"}).Int("kernel", 2).Int("stride", 2);
  net->Fc("v", "y", 64, 5);
  net->Output("y");
}

TEST(Options, Int8InputsAndOutputs) {
  NetCase net;
  net.Data("x", {3, 3, 8, 8});
  net.Conv("x", "y", 3, 8, 3);
  net.Output("y");
  net.Data("v", {3, 6});
  net.Fc("v", "z", 6, 4);
  net.Output("z");
  net.options().int8_io = true;
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Quantize") + net.Count("Int8Dequantize"), 0);
  caffe2::Workspace workspace;
  for (const std::string name : {"x", "v"}) {
    for (const TensorChoice8& tensor : net.nets().recipe.tensors) {
      if (tensor.name != name || tensor.op_index != -1) continue;
      ASSERT_TRUE(tensor.is_int8);
      const std::vector<float> values = Fetch<float>(net.workspace(), name);
      std::vector<uint8_t> codes;
      for (const float value : values) {
        const double code = std::nearbyint(static_cast<double>(value) /
                                           tensor.parameters.scale) +
                            tensor.parameters.zero_point;
        codes.push_back(
            static_cast<uint8_t>(std::min(255.0, std::max(0.0, code))));
      }
      FeedCodes(
          &workspace, name, codes,
          net.workspace().GetBlob(name)->Get<caffe2::Tensor>().sizes().vec(),
          tensor.parameters.scale, tensor.parameters.zero_point);
    }
  }
  ASSERT_TRUE(workspace.RunNetOnce(net.nets().init));
  ASSERT_TRUE(workspace.RunNetOnce(net.nets().predict));
  for (const char* name : {"y", "z"}) {
    const Int8Values codes = FetchCodes(workspace, name);
    std::vector<float> values;
    for (const int code : codes.codes) {
      values.push_back(codes.scale * (code - codes.zero_point));
    }
    EXPECT_EQ(codes.sizes,
              net.workspace().GetBlob(name)->Get<caffe2::Tensor>().sizes());
    EXPECT_GT(SqnrOf(Fetch<float>(net.workspace(), name), values), 33) << name;
  }
}

// An output that floats are read of, too, stays float.
TEST(Options, Int8OutputsThatAreAlsoReadAsFloats) {
  NetCase net;
  net.Data("x", {3, 6});
  net.Fc("x", "y", 6, 4);
  net.Op("Exp", {"y"}, {"e"});
  net.Op("Exp", {"x"}, {"z"});
  for (const char* name : {"y", "e", "z"}) net.Output(name);
  net.options().int8_io = true;
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_GT(net.Sqnr("y"), 33);  // of floats
  EXPECT_GT(net.Sqnr("e"), 28);
  EXPECT_GT(net.Sqnr("z"), 1000);
}

TEST(Options, EngineDnnlowp) {
  NetCase net;
  AddClassifier(&net);
  net.options().engine = "DNNLOWP";
  ASSERT_EQ(net.Quantize(), "");
  for (const caffe2::OperatorDef& op : net.nets().predict.op()) {
    if (op.type().compare(0, 4, "Int8") == 0) {
      EXPECT_EQ(op.engine(), "DNNLOWP") << op.type();
    }
    for (const caffe2::Argument& argument : op.arg()) {
      EXPECT_NE(argument.name(), "input_order");
      EXPECT_NE(argument.name(), "output_order");
    }
  }
  for (const caffe2::OperatorDef& op : net.nets().init.op()) {
    EXPECT_EQ(op.type(), "GivenTensorFill");
  }
  EXPECT_EQ(net.Count("Int8ConvRelu"), 1);
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_EQ(net.Count("Int8SumRelu"), 1);
  EXPECT_EQ(net.Count("Int8MaxPool"), 1);
  EXPECT_EQ(net.Count("Int8AveragePool"), 1);
  EXPECT_EQ(net.Count("Int8FC"), 1);
  EXPECT_GT(net.Sqnr("y"), 25);
}

// Codes that are read in both orders, and operators that DNNLOWP lacks or that
// give other values there.
TEST(Options, EngineDnnlowpInBothOrders) {
  NetCase net;
  net.Data("x", {2, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Sigmoid", {"a"}, {"g"});
  net.Weight("w", {3, 5}, 1);
  net.Weight("b", {3}, 1);
  net.Op("FC", {"a", "w", "b"}, {"f"}).Int("axis", 3);
  net.Op("LeakyRelu", {"f"}, {"l"});
  net.Op("Concat", {"a", "a"}, {"c", "sizes"}).Int("axis", -3);
  net.Conv("c", "y", 12, 4, 3);
  net.Weight("k", {6, 1, 1}, 1);
  net.Op("Mul", {"a", "k"}, {"m"});
  for (const char* name : {"y", "l", "g", "m"}) net.Output(name);
  net.options().engine = "DNNLOWP";
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("g"), "unsupported");
  EXPECT_EQ(net.ReasonOf("l"), "not_registered");
  EXPECT_EQ(net.ReasonOf("m"), "unsupported");
  EXPECT_EQ(net.Count("Int8Concat"), 1);
  for (const char* name : {"y", "l", "g", "m"}) {
    EXPECT_GT(net.Sqnr(name), 25) << name;
  }
}

TEST(Options, Int8InputsAndOutputsOfDnnlowp) {
  NetCase net;
  net.Data("x", {3, 3, 8, 8});
  net.Conv("x", "y", 3, 8, 3);
  net.Output("y");
  net.options().engine = "DNNLOWP";
  net.options().int8_io = true;
  EXPECT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.nets().predict.op(net.nets().predict.op_size() - 1).output(0),
            "y");
}

TEST(Options, OneParameterSetForAWeight) {
  NetCase net;
  AddClassifier(&net);
  ASSERT_EQ(net.Quantize(), "");
  const double per_channel = net.Sqnr("y");
  net.options().per_channel = false;
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_LT(net.Sqnr("y"), per_channel);
  EXPECT_GT(net.Sqnr("y"), 24);
}

TEST(Options, FewerBits) {
  NetCase net;
  AddClassifier(&net);
  double before = 1000;
  for (const int bits : {8, 6, 4, 3}) {
    net.options().activation_bits = bits;
    net.options().weight_bits = bits;
    ASSERT_EQ(net.Quantize(), "");
    const double now = net.Sqnr("y");
    EXPECT_LT(now, before) << bits;
    EXPECT_GT(now, 5 * bits - 15) << bits;
    before = now;
    // No code is beyond them.
    const caffe2::Workspace& workspace = net.RunInt8();
    for (const std::string& name : workspace.Blobs()) {
      if (!workspace.GetBlob(name)->IsType<caffe2::int8::Int8TensorCPU>()) {
        continue;
      }
      for (const int code : FetchCodes(workspace, name).codes) {
        ASSERT_LT(code, 1 << bits) << name;
      }
    }
  }
}

TEST(Options, Methods) {
  NetCase net;
  AddClassifier(&net);
  for (const ChooseMethod method :
       {ChooseMethod::kMinMax, ChooseMethod::kMse, ChooseMethod::kL2,
        ChooseMethod::kL1, ChooseMethod::kL2Approx, ChooseMethod::kKl,
        ChooseMethod::kPercentile}) {
    net.options().activation_method = method;
    net.options().weight_method = method;
    if (method == ChooseMethod::kKl) {
      // A few values have no distribution.
      net.options().weight_method = ChooseMethod::kMinMax;
      net.options().keep_float = {"FC"};
    } else {
      net.options().keep_float.clear();
    }
    net.options().activation_percentile = 0.9999;
    net.options().weight_percentile = 0.9999;
    ASSERT_EQ(net.Quantize(), "") << Name(method);
    EXPECT_GT(net.Sqnr("y"), 15) << Name(method);
  }
}

TEST(Options, MethodThatNeedsHistograms) {
  NetCase net;
  AddClassifier(&net);
  ASSERT_EQ(net.Quantize(), "");
  Measurements bare = net.measurements();
  Measured input = *bare.Input("x");
  input.histogram = Histogram();
  bare.SetInput("x", input);
  net.options().activation_method = ChooseMethod::kMse;
  EXPECT_EQ(net.QuantizeBy(bare),
            "the profile has no histogram of tensor 'x', expected one for the "
            "method " +
                Name(ChooseMethod::kMse) +
                "; calibrate with histograms, or take MIN_MAX");
}

TEST(Options, KeepFloat) {
  const auto reasons = [](const std::vector<std::string>& keep_float,
                          const std::vector<std::string>& only) {
    NetCase net;
    AddClassifier(&net);
    net.options().keep_float = keep_float;
    net.options().only = only;
    EXPECT_EQ(net.Quantize(), "");
    EXPECT_GT(net.Sqnr("y"), 24);
    std::string text;
    for (const OperatorChoice& choice : net.nets().recipe.operators) {
      text += (text.empty() ? "" : " ") + choice.output + "=" +
              Name(choice.decision.reason);
    }
    return text;
  };
  // A Relu that is taken within has its own name: keep it, and it stays.
  EXPECT_EQ(reasons({"FC"}, {}),
            "a=int8 a=folded b=int8 s=folded s=folded p=int8 c=int8 v=int8 "
            "y=kept_float");
  EXPECT_EQ(reasons({"a", "b"}, {}),
            "a=kept_float a=kept_float b=kept_float s=island s=island p=int8 "
            "c=int8 v=int8 y=int8");
  EXPECT_EQ(reasons({"Max.*|Conc.*", "Sum"}, {}),
            "a=int8 a=folded b=int8 s=kept_float s=island p=kept_float "
            "c=kept_float v=island y=int8");
  EXPECT_EQ(reasons({}, {"Conv", "FC"}),
            "a=int8 a=not_selected b=int8 s=not_selected s=not_selected "
            "p=not_selected c=not_selected v=not_selected y=int8");
  EXPECT_EQ(reasons({"b"}, {"Conv", "Relu"}),
            "a=int8 a=folded b=kept_float s=not_selected s=island "
            "p=not_selected c=not_selected v=not_selected y=not_selected");
}

TEST(Options, SelectorsThatMatchNothing) {
  NetCase net;
  AddClassifier(&net);
  net.options().keep_float = {"Comv"};
  EXPECT_EQ(net.Quantize(),
            "keep_float: 'Comv' matches no operator of net 'net', expected a "
            "name, a first output, a type, or a regular expression of these "
            "(did you mean 'Conv'?)");
  net.options().keep_float.clear();
  net.options().only = {"(["};
  EXPECT_NE(net.Quantize().find(
                "only: '([' is no regular expression and matches no operator"),
            std::string::npos);
  net.options().only = {std::string(2000, '(')};
  EXPECT_NE(net.Quantize().find("is longer than 1000 letters"),
            std::string::npos);
}

TEST(Options, ValuesOutOfRange) {
  NetCase net;
  AddClassifier(&net);
  net.options().engine = "QNNPACK";
  EXPECT_EQ(net.Quantize(), "engine is 'QNNPACK', expected ONEDNN or DNNLOWP");
  net.options().engine = "ONEDNN";
  net.options().activation_bits = 9;
  EXPECT_EQ(net.Quantize(), "activations are 9 bits, expected 2 to 8");
  net.options().activation_bits = 8;
  net.options().weight_bits = 1;
  EXPECT_EQ(net.Quantize(), "weights are 1 bits, expected 2 to 8");
}

// By its own recipe a net becomes the same bytes.
TEST(Options, RecipeOfTheNet) {
  for (const std::string engine : {"ONEDNN", "DNNLOWP"}) {
    NetCase net;
    AddClassifier(&net);
    net.options().engine = engine;
    net.options().keep_float = {"MaxPool"};
    ASSERT_EQ(net.Quantize(), "");
    QuantizedNets again;
    const Status status = QuantizeNetBy(net.nets().recipe, net.Init(),
                                        net.net(), HasInt8Key, &again);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(again.predict.SerializeAsString(),
              net.nets().predict.SerializeAsString());
    EXPECT_EQ(again.init.SerializeAsString(),
              net.nets().init.SerializeAsString());
  }
}

TEST(Options, RecipeThatKeepsAConvolutionFloat) {
  NetCase net;
  AddClassifier(&net);
  ASSERT_EQ(net.Quantize(), "");
  Recipe recipe = net.nets().recipe;
  ASSERT_EQ(recipe.operators[0].type, "Conv");
  recipe.operators[0].decision.reason = Reason::kRecipe;
  QuantizedNets again;
  const Status status =
      QuantizeNetBy(recipe, net.Init(), net.net(), HasInt8Key, &again);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(IllFormed(again, net.net(), net.data()), "");
  EXPECT_EQ(Name(again.recipe.operators[0].decision.reason), "recipe");
  EXPECT_EQ(again.operator_counts["Conv"], 1);
  EXPECT_EQ(again.operator_counts["Relu"], 1);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
