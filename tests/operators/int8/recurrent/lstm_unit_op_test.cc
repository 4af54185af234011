// LSTMUnit and Int8LSTMUnit under the engine ONEDNN, against their equations
// and against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

constexpr int kHidden = 0, kCell = 1, kGates = 2;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<Expected> Cells(const OperatorCase& c) {
  const int64_t rows = c.Input(kCell).shape[1];
  const int64_t width = c.Input(kCell).shape[2];
  const bool has_lengths = c.Argument("sequence_lengths", 1) == 1;
  const int step = c.Input(has_lengths ? 4 : 3).codes[0];
  const double forget_bias = c.Argument("forget_bias", 0.0f);
  Expected hidden, cell;
  hidden.shape = cell.shape = c.Input(kCell).shape;
  for (int64_t i = 0; i < rows * width; ++i) {
    const int64_t row = i / width;
    const double before = c.Input(kCell).Real(i);
    const auto gate = [&](int64_t k) {
      return c.Input(kGates).Real((4 * row + k) * width + i % width);
    };
    double h = c.Input(kHidden).Real(i), now = before;
    if (!has_lengths || step < c.Input(3).codes[row]) {
      now = Sigmoid(gate(1) + forget_bias) * before +
            Sigmoid(gate(0)) * std::tanh(gate(3));
      h = Sigmoid(gate(2)) * std::tanh(now);
    } else if (c.Argument("drop_states", 0) == 1) {
      h = now = 0;
    }
    hidden.values.push_back(h);
    cell.values.push_back(now);
    // The host's float operator approximates sigmoid and tanh.
    const double error = 2e-6 * (1 + std::fabs(before) + std::fabs(h));
    for (Expected* y : {&hidden, &cell}) {
      y->float_slack = std::max(y->float_slack, error);
      y->slack.push_back(error);
    }
  }
  return {hidden, cell};
}

void Vary(TestRandom* random, OperatorCase* c) {
  const int64_t rows = random->OneIn(20) ? 0 : random->Integer(1, 6);
  const int64_t width = random->Integer(1, random->OneIn(4) ? 40 : 9);
  c->Input(kHidden) = c->RandomInput(random, {1, rows, width});
  c->Input(kCell) = c->RandomInput(random, {1, rows, width});
  c->Input(kGates) = c->RandomInput(random, {1, rows, 4 * width});
  // The host's sigmoid and tanh lose what is near 0 and 1, by which it chooses
  // ranges. (Gates beyond 8 are in lstm_cells_test.cc.)
  TestTensor& gates = c->Input(kGates);
  gates.scale = std::min(gates.scale, 8.0f / 255);
  float largest = 8;
  for (const float value : gates.floats) {
    largest = std::max(largest, std::fabs(value));
  }
  for (float& value : gates.floats) value *= 8 / largest;
  const bool has_lengths = !random->OneIn(4);
  if (has_lengths) {
    c->AddInput("lengths",
                IntegerTensor(TestTensor::kInt32,
                              RandomCodes(random, rows, 0, 5), {rows}));
  }
  c->AddInput("t", IntegerTensor(TestTensor::kInt32,
                                 RandomCodes(random, 1, 0, 4), {1}));
  if (!has_lengths) c->Arguments().Int("sequence_lengths", 0);
  if (random->OneIn(2))
    c->Arguments().Int("drop_states", random->Integer(0, 1));
  // DNNLOWP takes codes of gates for -6 to 6, and none is right for a
  // forget_bias of 0 or more, floats or no lengths.
  const bool is_comparable = has_lengths && random->OneIn(2);
  if (is_comparable && !gates.is_float()) {
    gates.scale = 12.0f / 255;
    gates.zero_point = 128;
    c->Arguments().Float("forget_bias", random->Float(-2, -0.5f));
    // Within, it has 8 bits for the cell from -3 to 3.
    TestTensor& cell = c->Input(kCell);
    if (!cell.is_float()) cell.scale = random->Float(0.5f, 1) / 128;
  } else if (random->OneIn(2)) {
    c->Arguments().Float("forget_bias", random->Float(-2, 2));
  }
  c->host_is_wrong = !is_comparable || c->HasFloats();
  // Its sigmoids and its tanh have codes of 1/254 and 1/127, at times a code
  // off: 1.5 / 254 for either sigmoid and 1.1 / 127 are 0.02, or 6 of the
  // finest steps that are compared (1/300, below).
  c->host_within = 6;
}

TEST(LSTMUnitOp, LikeItsEquationsAndDnnlowp) {
  OperatorTester("LSTMUnit")
      .Inputs(3)
      .Outputs(2)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .NotFollowed()
      .Vary(Vary)
      .Reference(Cells)
      .ExactCodes()
      .Incomparable(
          0, 1 << 20,
          [](const OperatorCase&, const TestTensor&, const TestTensor& host) {
            // What is within has steps of 1/127.
            return !host.is_float() && host.scale < 1.0f / 300;
          })
      .InexactShare(0.4, 1, 20)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::string& type = "LSTMUnit") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"h", "c", "g", "l", "t"}, {"y", "z"})
      .Float("Y_scale", 1.0f / 128)
      .Int("Y_zero_point", 128)
      .Float("Y2_scale", 1.0f / 64)
      .Int("Y2_zero_point", 100);
  definition.set_engine("ONEDNN");
  return definition;
}

// Two rows of one cell: H 0.5 and -0.5, C 1 and 2, gates 0.
void FeedCells(caffe2::Workspace* workspace) {
  FeedCodes<uint8_t>(workspace, "h", {20, 0}, {1, 2, 1}, 0.05f, 10);
  FeedCodes<uint8_t>(workspace, "c", {11, 12}, {1, 2, 1}, 1, 10);
  FeedCodes<uint8_t>(workspace, "g", std::vector<uint8_t>(8, 70), {1, 2, 4},
                     0.05f, 70);
  Feed<int>(workspace, "l", {3, 2});
  Feed<int>(workspace, "t", {1});
}

std::vector<std::vector<int>> RunCells(
    const caffe2::OperatorDef& definition,
    const std::function<void(caffe2::Workspace*)>& change = [](auto*) {}) {
  caffe2::Workspace workspace;
  FeedCells(&workspace);
  change(&workspace);
  CAFFE_ENFORCE(workspace.RunOperatorOnce(definition));
  return {FetchCodes(workspace, "y").codes, FetchCodes(workspace, "z").codes};
}

using Codes = std::vector<std::vector<int>>;

TEST(LSTMUnitOp, KnownValues) {
  for (const char* type : {"LSTMUnit", "Int8LSTMUnit"}) {
    // Cells of 0.5 and 1; H = 0.5 * tanh of them: 0.231 and 0.381.
    EXPECT_EQ(RunCells(Definition(type)), (Codes{{158, 177}, {132, 164}}));
  }
}

// DNNLOWP gives both 1.04, and a forget_bias of 0 or more counts as -0.05.
TEST(LSTMUnitOp, ReadsTheParametersOfGatesAndTheWholeForgetBias) {
  for (const float scale : {0.05f, 0.1f}) {
    const Codes y = RunCells(Definition(), [&](caffe2::Workspace* workspace) {
      // Gates 0.5 or 1 each; of the first row C = 1.
      FeedCodes<uint8_t>(workspace, "g", std::vector<uint8_t>(8, 80), {1, 2, 4},
                         scale, 70);
    });
    const double gate = 10 * scale;
    const double cell = Sigmoid(gate) * (1 + std::tanh(gate));
    EXPECT_EQ(y[1][0], std::nearbyint(cell * 64) + 100);
    EXPECT_EQ(y[0][0],
              std::nearbyint(Sigmoid(gate) * std::tanh(cell) * 128) + 128);
  }
  auto definition = Definition();
  OpBuilder(&definition).Float("forget_bias", 2);
  // sigmoid(2) = 0.881, of 1 and 2.
  EXPECT_EQ(RunCells(definition)[1], (std::vector<int>{156, 213}));
}

TEST(LSTMUnitOp, RowsPastTheirLengthKeepTheirStates) {
  const auto feed = [](caffe2::Workspace* workspace) {
    Feed<int>(workspace, "l", {1, 2});
  };
  // H of 0.5 and a cell of 1, in the outputs' parameters.
  EXPECT_EQ(RunCells(Definition(), feed), (Codes{{192, 177}, {164, 164}}));
  auto definition = Definition();
  OpBuilder(&definition).Int("drop_states", 1);
  EXPECT_EQ(RunCells(definition, feed), (Codes{{128, 177}, {100, 164}}));
}

TEST(LSTMUnitOp, EachOutputHasItsParametersGivenOrChosen) {
  caffe2::Workspace workspace;
  FeedCells(&workspace);
  auto definition = Definition();
  definition.mutable_arg()->Clear();
  OpBuilder(&definition).Float("Y2_scale", 0.25f).Int("Y2_zero_point", 9);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  Int8Values h = FetchCodes(workspace, "y"), c = FetchCodes(workspace, "z");
  EXPECT_NEAR(h.scale, 0.5 * std::tanh(1) / 255, 1e-8);
  EXPECT_EQ(h.zero_point, 0);
  EXPECT_EQ(c, (Int8Values{{1, 2, 1}, {11, 13}, 0.25f, 9}));
  definition.mutable_arg()->Clear();
  OpBuilder(&definition).Float("Y_scale", 0.125f);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  h = FetchCodes(workspace, "y"), c = FetchCodes(workspace, "z");
  EXPECT_EQ(h, (Int8Values{{1, 2, 1}, {2, 3}, 0.125f, 0}));
  EXPECT_NEAR(c.scale, 1.0 / 255, 1e-8);
}

TEST(LSTMUnitOp, WithoutLengths) {
  auto definition = Definition();
  definition.mutable_input()->DeleteSubrange(3, 1);
  OpBuilder(&definition).Int("sequence_lengths", 0);
  EXPECT_EQ(RunCells(definition), (Codes{{158, 177}, {132, 164}}));
}

TEST(LSTMUnitOp, MeasuresBothOutputs) {
  auto definition = Definition();
  OpBuilder(&definition).Int("measure_quantization_error", 1);
  testing::internal::CaptureStderr();
  RunCells(definition);
  const std::string log = testing::internal::GetCapturedStderr();
  for (const char* text : {"output 'y' of LSTMUnit: 1 runs, L2 relative error ",
                           "output 'z' of LSTMUnit: 1 runs, "}) {
    EXPECT_NE(log.find(text), std::string::npos) << log;
  }
}

// Many of them the host's float operator reads beyond their end.
TEST(LSTMUnitOp, RefusesWhatDoesNotFit) {
  const auto expect = [&](const caffe2::OperatorDef& definition,
                          const std::string& text, const auto& feed) {
    caffe2::Workspace workspace;
    FeedCells(&workspace);
    feed(&workspace);
    FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 3, 1);
    FeedCodes<uint8_t>(&workspace, "z", {8}, {1}, 3, 1);
    const std::string message =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(message.find("LSTMUnit: " + text), std::string::npos) << message;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 3, 1}));
    EXPECT_EQ(FetchCodes(workspace, "z"), (Int8Values{{1}, {8}, 3, 1}));
  };
  using W = caffe2::Workspace;
  const auto as_it_is = [](W*) {};
  // What is wrong is refused of codes, and of floats, which run the host's.
  for (const bool floats : {false, true}) {
    const auto feed = [&](W* w, const char* name,
                          const std::vector<int64_t>& sizes) {
      const int64_t count = NumValues(sizes);
      if (floats) {
        w->RemoveBlob(name);
        FeedFloats(w, name, std::vector<float>(count), sizes);
      } else {
        FeedCodes<uint8_t>(w, name, std::vector<uint8_t>(count), sizes, 1, 0);
      }
    };
    expect(Definition(),
           "tensor 'h' has sizes [1, 2, 2], expected those of 'c', [1, 2, 1]",
           [&](W* w) {
             feed(w, "h", {1, 2, 2});
           });
    expect(Definition(), "tensor 'g' has sizes [1, 2, 3], expected [1, 2, 4]",
           [&](W* w) {
             feed(w, "g", {1, 2, 3});
           });
    expect(Definition(), "tensor 'g' has sizes [2, 4], expected [1, 2, 4]",
           [&](W* w) {
             feed(w, "g", {2, 4});
           });
    for (const std::vector<int64_t>& sizes :
         {std::vector<int64_t>{2, 1, 1}, std::vector<int64_t>{1, 2, 1, 1},
          std::vector<int64_t>{2, 1}}) {
      expect(Definition(),
             c10::str("tensor 'c' has sizes ", at::IntArrayRef(sizes),
                      ", expected [1, N, D]"),
             [&](W* w) { feed(w, "c", sizes); });
    }
  }
  expect(Definition(), "tensor 'l' has sizes [1], expected 2 lengths",
         [](W* w) { Feed<int>(w, "l", {1}); });
  expect(Definition(), "tensor 't' has sizes [0], expected 1 value, the step",
         [](W* w) { Feed<int>(w, "t", {}, {0}); });
  expect(Definition(), "tensor 't' is of type long", [](W* w) {
    w->RemoveBlob("t");
    Feed<int64_t>(w, "t", {1});
  });
  expect(Definition(), "blob 'l' holds a ", [](W* w) {
    w->RemoveBlob("l");
    FeedCodes<uint8_t>(w, "l", {1, 1}, {2}, 1, 0);
  });
  auto without = Definition();
  without.mutable_input()->DeleteSubrange(3, 1);
  expect(without,
         "4 inputs and 2 outputs, expected 5 and 2 with sequence_lengths 1",
         as_it_is);
  auto followed = Definition();
  OpBuilder(&followed).String("followed_by", "Relu");
  expect(followed,
         "argument followed_by is 'Relu', expected none for an operator with 2 "
         "outputs",
         as_it_is);
  auto whole = Definition();
  OpBuilder(&whole).Int("forget_bias", 1);
  expect(whole, "argument forget_bias is not a float", as_it_is);
  auto no_scale = Definition();
  no_scale.mutable_arg()->Clear();
  OpBuilder(&no_scale).Int("Y2_zero_point", 3);
  expect(no_scale,
         "argument Y2_zero_point is 3 without Y2_scale, expected both or none",
         as_it_is);
}

}  // namespace
}  // namespace caffe2_quantization
