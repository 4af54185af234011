// The cells of an LSTM, from codes to codes. With real values of the gates i,
// f, o, g and of the cell before it,
//
//   cell   = sigmoid(f + forget_bias) * before + sigmoid(i) * tanh(g)
//   hidden = sigmoid(o) * tanh(cell)
//
// in double, and RoundedCode of cell / cell_scale and hidden / hidden_scale:
// hidden is made of the real cell, not of its code.
//
// Every target gives the same bits. cell may be before, else nothing that is
// written overlaps what is read. No alignment is needed. Thread rule: an
// LstmCells that was prepared is only read; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_LSTM_CELLS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_LSTM_CELLS_H_

#include <cstdint>

#include "quantization/kernels/rounded_code.h"

namespace caffe2_quantization {
namespace kernels {

struct LstmCells {
  // Of the codes of gates, by SetGates: the functions' values.
  double sigmoid[256], forget[256], tanh[256];
  float float_sigmoid[256], float_forget[256], float_tanh[256];

  // Of the cell's codes as they were.
  float before_scale = 1;
  int32_t before_zero_point = 0;
  // Of what is written; ranges are within 0 to 255.
  float cell_scale = 1, hidden_scale = 1;
  CodeRange cell_range{0, 0, 255}, hidden_range{0, 0, 255};
};

// Sets what depends on the gates' scale and zero point.
void SetGates(float scale, int32_t zero_point, float forget_bias,
              LstmCells* cells);

// Computes `count` cells.
void ComputeLstmCells(const LstmCells& cells, const uint8_t* i,
                      const uint8_t* f, const uint8_t* o, const uint8_t* g,
                      const uint8_t* before, int64_t count, uint8_t* cell,
                      uint8_t* hidden);

// The plain form that defines the results; also what the cap `scalar` runs.
namespace reference {
void ComputeLstmCells(const LstmCells& cells, const uint8_t* i,
                      const uint8_t* f, const uint8_t* o, const uint8_t* g,
                      const uint8_t* before, int64_t count, uint8_t* cell,
                      uint8_t* hidden);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_LSTM_CELLS_H_
