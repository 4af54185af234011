#include "quantization/kernels/lstm_cells.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

struct Case {
  LstmCells cells;
  float gate_scale, forget_bias;
  int32_t gate_zero_point;
  int64_t count;
  std::vector<uint8_t> codes[5];  // i, f, o, g, before

  explicit Case(TestRandom* random) {
    gate_scale = std::ldexp(random->Float(1, 2), random->Integer(-9, 1));
    gate_zero_point = random->Byte();
    forget_bias = random->OneIn(2) ? 0 : random->Float(-3, 3);
    SetGates(gate_scale, gate_zero_point, forget_bias, &cells);
    cells.before_scale =
        std::ldexp(random->Float(1, 2), random->Integer(-9, 0));
    cells.before_zero_point = random->Byte();
    cells.cell_scale = random->OneIn(4) ? cells.before_scale
                                        : std::ldexp(random->Float(1, 2),
                                                     random->Integer(-12, 0));
    cells.hidden_scale =
        std::ldexp(random->Float(1, 2), random->Integer(-12, -6));
    for (CodeRange* range : {&cells.cell_range, &cells.hidden_range}) {
      range->qmax = random->OneIn(4) ? 15 : 255;
      range->zero_point = static_cast<int32_t>(random->Integer(0, range->qmax));
    }
    count = random->Integer(0, random->OneIn(9) ? 600 : 70);
    // Gates at their zero point give ties.
    const bool halves = random->OneIn(4);
    for (auto& gate : codes) {
      for (int64_t k = 0; k < count; ++k) {
        gate.push_back(halves && &gate != &codes[4]
                           ? static_cast<uint8_t>(gate_zero_point)
                           : random->Byte());
      }
    }
  }
};

using Outputs = std::vector<std::vector<uint8_t>>;

template <class Function>
Outputs ComputeCase(const Function& function, const Case& c,
                    bool in_place = false) {
  constexpr int kGuards = 3;
  Outputs y(2, std::vector<uint8_t>(c.count + kGuards, 77));
  std::vector<uint8_t> before = c.codes[4];
  if (in_place) std::copy(before.begin(), before.end(), y[0].begin());
  function(c.cells, c.codes[0].data(), c.codes[1].data(), c.codes[2].data(),
           c.codes[3].data(), in_place ? y[0].data() : before.data(), c.count,
           y[0].data(), y[1].data());
  return y;
}

TEST(LstmCells, ThePlainFormIsTheEquation) {
  TestRandom random;
  for (int n = 0; n < 300; ++n) {
    const Case c(&random);
    const Outputs y = ComputeCase(reference::ComputeLstmCells, c);
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    const auto code = [](double value, const CodeRange& range) {
      return std::clamp<double>(std::nearbyint(value) + range.zero_point,
                                range.qmin, range.qmax);
    };
    for (int64_t k = 0; k < c.count; ++k) {
      const auto gate = [&](int which) {
        return double{c.gate_scale} * (c.codes[which][k] - c.gate_zero_point);
      };
      const double before = double{c.cells.before_scale} *
                            (c.codes[4][k] - c.cells.before_zero_point);
      const double cell = sigmoid(gate(1) + c.forget_bias) * before +
                          sigmoid(gate(0)) * std::tanh(gate(3));
      ASSERT_EQ(y[0][k], code(cell / c.cells.cell_scale, c.cells.cell_range));
      ASSERT_EQ(y[1][k],
                code(sigmoid(gate(2)) * std::tanh(cell) / c.cells.hidden_scale,
                     c.cells.hidden_range));
    }
  }
}

TEST(LstmCells, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int n = 0; n < 1000; ++n) {
      const Case c(&random);
      const Outputs expected = ComputeCase(reference::ComputeLstmCells, c);
      ASSERT_EQ(ComputeCase(ComputeLstmCells, c), expected) << c.count;
      ASSERT_EQ(ComputeCase(ComputeLstmCells, c, /*in_place=*/true), expected);
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
