// The plain form of lstm_cells.h, and its tables.
#include <cmath>

#include "quantization/kernels/lstm_cells.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

void SetGates(float scale, int32_t zero_point, float forget_bias,
              LstmCells* cells) {
  for (int code = 0; code < 256; ++code) {
    const double x = double{scale} * (code - zero_point);
    cells->sigmoid[code] = Sigmoid(x);
    cells->forget[code] = Sigmoid(x + forget_bias);
    cells->tanh[code] = std::tanh(x);
    cells->float_sigmoid[code] = static_cast<float>(cells->sigmoid[code]);
    cells->float_forget[code] = static_cast<float>(cells->forget[code]);
    cells->float_tanh[code] = static_cast<float>(cells->tanh[code]);
  }
}

namespace reference {

void ComputeLstmCells(const LstmCells& cells, const uint8_t* i,
                      const uint8_t* f, const uint8_t* o, const uint8_t* g,
                      const uint8_t* before, int64_t count, uint8_t* cell,
                      uint8_t* hidden) {
  for (int64_t k = 0; k < count; ++k) {
    const double value =
        cells.forget[f[k]] * (double{cells.before_scale} *
                              (before[k] - cells.before_zero_point)) +
        cells.sigmoid[i[k]] * cells.tanh[g[k]];
    cell[k] = static_cast<uint8_t>(
        RoundedCode(value / cells.cell_scale, cells.cell_range));
    hidden[k] = static_cast<uint8_t>(
        RoundedCode(cells.sigmoid[o[k]] * std::tanh(value) / cells.hidden_scale,
                    cells.hidden_range));
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
