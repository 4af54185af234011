// The table of int8 forms against the engine's list of operators.
#include "rewrite/int8_forms.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "caffe2/core/operator.h"
#include "tests/rewrite/net_case.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

const std::set<std::string>& EngineOperators() {
  static const auto* const names = new std::set<std::string>{
#define OPERATOR(function, name, ...) #name,
#include "operators/int8/operator_list.inc"
#undef OPERATOR
  };
  return *names;
}

// Int8 types of the table that the engine may lack, and why.
const std::map<std::string, std::string>& NotRegistered() {
  static const auto* const reasons = new std::map<std::string, std::string>{
      {"Int8ConvTranspose", "the form waits for the operator: it stays float"},
      {"Int8Softmax", "the form waits for the operator: it stays float"},
  };
  return *reasons;
}

// Int8 operators of the engine that no form makes, and why.
const std::map<std::string, std::string>& WithoutForm() {
  static const auto* const reasons = new std::map<std::string, std::string>{
      {"Int8Quantize", "what goes from float to int8"},
      {"Int8Dequantize", "what goes back"},
      {"Int8DequantizeRowWise", "the same as Int8Dequantize"},
      {"Int8FCPackWeight", "weights are filled packed"},
      {"Int8ConvPackWeight", "weights are filled packed"},
      {"Int8LSTMUnit", "it is in the step net of a RecurrentNetwork"},
      {"Int8MaxPoolRelu", "a Relu after MaxPool is Int8Relu: no rounding"},
      {"Int8AveragePoolRelu", "averages have the signs of their inputs"},
      {"Int8ResizeNearest3D", "its float operator is of NCTHW alone"},
      {"Int8ConvTransposeRelu", "a Relu after ConvTranspose is Int8Relu"},
  };
  return *reasons;
}

TEST(Int8Forms, EachIsAnOperatorOfTheEngine) {
  for (const Int8Form& form : Int8Forms()) {
    for (const std::string type : {form.int8_type, form.with_relu}) {
      if (type.empty() || NotRegistered().count(type) != 0) continue;
      EXPECT_TRUE(HasInt8Key(type + "_ENGINE_ONEDNN")) << type;
      EXPECT_EQ(EngineOperators().count(type), 1u) << type;
    }
  }
}

TEST(Int8Forms, EachIsOfAnOperatorOfTheHost) {
  for (const Int8Form& form : Int8Forms()) {
    if (std::string(form.float_type) == "ConvSum") continue;  // made by fuse
    EXPECT_TRUE(caffe2::CPUOperatorRegistry()->Has(form.float_type))
        << form.float_type;
    EXPECT_EQ(FindInt8Form(form.float_type), &form) << "is there twice";
  }
}

TEST(Int8Forms, EachInt8OperatorHasOne) {
  std::set<std::string> made;
  for (const Int8Form& form : Int8Forms()) {
    made.insert(form.int8_type);
    made.insert(form.with_relu);
  }
  for (const std::string& name : EngineOperators()) {
    if (name.compare(0, 4, "Int8") != 0) continue;
    EXPECT_NE(made.count(name), WithoutForm().count(name))
        << name << " needs a line of int8_forms.inc, or a reason here";
  }
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
