// The table of int8 forms against the engine's list of operators.
#include "rewrite/int8_forms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "rewrite/decision.h"
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

// Words of docs/import.md.
std::string Word(Region region) {
  switch (region) {
    case Region::kComputing:
      return "computes";
    case Region::kElementwise:
      return "element by element";
    case Region::kMoving:
      return "moves";
    case Region::kConcat:
      return "joins";
  }
  return "";
}

std::string Word(Parameters parameters) {
  switch (parameters) {
    case Parameters::kOwn:
      return "its own";
    case Parameters::kKept:
      return "its input's";
    case Parameters::kSigmoid:
      return "1/254, 0";
    case Parameters::kTanh:
      return "1/127, 128";
    case Parameters::kSoftmax:
      return "1/256, 0";
  }
  return "";
}

// The lines of docs/import.md; none unless ctest runs this.
std::vector<std::string> LinesOfDocument() {
  std::vector<std::string> lines;
  const char* const root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  if (root == nullptr) return lines;
  std::ifstream stream(std::string(root) + "/docs/import.md");
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The rows of the table under such a heading.
std::vector<std::string> RowsUnder(const std::string& head) {
  std::vector<std::string> rows;
  bool is_in = false;
  for (const std::string& line : LinesOfDocument()) {
    if (is_in && line.compare(0, 1, "|") != 0) break;
    if (is_in && line.compare(0, 4, "|---") != 0) rows.push_back(line);
    if (line == head) is_in = true;
  }
  return rows;
}

TEST(Int8Forms, TheTableOfTheDocumentationIsThisOne) {
  std::vector<std::string> expected;
  for (const Int8Form& form : Int8Forms()) {
    const std::string with_relu = form.with_relu;
    std::string row = "| `";
    row += form.float_type;
    row += "` | `";
    row += form.int8_type;
    row += with_relu.empty() ? "` | | " : "` | `" + with_relu + "` | ";
    row += Word(form.region) + " | " + Word(form.parameters) + " |";
    expected.push_back(row);
  }
  EXPECT_EQ(RowsUnder("| float | int8 | with Relu | region | scale and zero "
                      "point |"),
            expected);
}

TEST(Int8Forms, TheDocumentationSaysWhatToDoAboutEachReason) {
  const std::vector<std::string> rows = RowsUnder("| reason | what to do |");
  for (int i = 0; i <= static_cast<int>(Reason::kLastSoftmax); ++i) {
    const std::string name = Name(static_cast<Reason>(i));
    EXPECT_EQ(std::count_if(rows.begin(), rows.end(),
                            [&](const std::string& row) {
                              return row.find("`" + name + "`") <
                                     row.find(" |", 1);
                            }),
              1)
        << name;
  }
}

TEST(Int8Forms, EachIsAnOperatorOfTheEngine) {
  for (const Int8Form& form : Int8Forms()) {
    for (const std::string type : {form.int8_type, form.with_relu}) {
      if (type.empty()) continue;
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
