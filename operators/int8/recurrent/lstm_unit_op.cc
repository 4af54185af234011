// LSTMUnit and Int8LSTMUnit under the engine ONEDNN: a step of an LSTM's cells.
//
//   H, C, gates (, lengths), t -> H, C
//
//   H, C      Int8TensorCPU of uint8, or floats: [1, N, D]
//   gates     likewise, [1, N, 4 * D]: i, f, o, g
//   lengths   [N] int32; not with sequence_lengths 0
//   t         int32: the step. Rows whose length it has reached are not
//             computed: they keep H and C, or are 0 with drop_states
//   outputs   Int8TensorCPU, or with dequantize_output floats: [1, N, D]
//
// Arguments: forget_bias (0), drop_states (0), sequence_lengths (1); the
// parameters of H, Y_scale and Y_zero_point, and of C, Y2_scale and
// Y2_zero_point; others of the output (arguments.h) but followed_by. An output
// to which nobody gave parameters gets those of what the host's float operator
// gives in this run.
//
// The equations are in kernels/lstm_cells.h: real numbers of each input's own
// parameters, rounded once. If H, C or gates are floats, outputs are what the
// host's float operator gives, rounded.
//
// What differs from DNNLOWP: that counts codes of gates as -6 to 6, whatever
// their parameters; a forget_bias of 0 or more as -0.05; it rounds each gate
// and the cell within to 8 bits; and it needs lengths. H of another shape than
// C, other dimensions than [1, N, D], no t: there, and in the host's float
// operator, reading beyond the end of a tensor, or outputs that are not set;
// here an error.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/registration.h"
#include "quantization/kernels/byte_table.h"
#include "quantization/kernels/lstm_cells.h"

namespace caffe2_quantization {
namespace {

constexpr int kHidden = 0, kCell = 1, kGates = 2, kLengths = 3;
constexpr int kOutputs = 2;

class LSTMUnitOp final : public Int8Operator<uint8_t> {
 public:
  LSTMUnitOp(const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace)
      : Int8Operator(
            definition, workspace,
            ComputesCodes("LSTMUnit", definition.input_size(),
                          /*rectifies=*/false, /*code_outputs=*/kOutputs)) {}

 protected:
  Status ReadArguments() override {
    RETURN_IF_ERROR(FirstError(
        {ReadArgument(caffe2::ArgumentHelper(debug_def()), "forget_bias",
                      "a float", &forget_bias_),
         ReadBoolArgument(debug_def(), "drop_states", &drop_states_),
         ReadBoolArgument(debug_def(), "sequence_lengths", &has_lengths_)}));
    if (!std::isfinite(forget_bias_)) {
      return Refuse("argument forget_bias is ", forget_bias_,
                    ", expected a finite number");
    }
    const int inputs = has_lengths_ ? 5 : 4;
    if (InputSize() != inputs || OutputSize() != kOutputs) {
      return Refuse(InputSize(), " inputs and ", OutputSize(),
                    " outputs, expected ", inputs,
                    " and 2 with sequence_lengths ", has_lengths_);
    }
    return Status::Ok();
  }

  void Compute() override {
    const std::vector<int64_t> sizes = EnforceShapes();
    const int64_t width = sizes[2], count = sizes[1] * width;
    const int32_t step = IntInput(InputSize() - 1, 1)[0];
    const int32_t* const lengths =
        has_lengths_ ? IntInput(kLengths, sizes[1]) : nullptr;
    if (HasFloats(kGates + 1)) {
      for (const int i : {kHidden, kCell, kGates}) {
        if (IsCodes(i)) Input(i);  // their types and parameters are right
      }
      return WriteCodesOfReference(sizes);
    }
    const InputCodes<uint8_t>& hidden = Input(kHidden);
    const InputCodes<uint8_t>& cell = Input(kCell);
    const InputCodes<uint8_t>& gates = Input(kGates);
    RunReference(count == 0);
    const QuantizationParams& hidden_params = OutputParameters(kHidden);
    const QuantizationParams& cell_params = OutputParameters(kCell);
    Prepare(gates, cell, hidden_params, cell_params);
    MakeTable(hidden, hidden_params, &hidden_table_);
    MakeTable(cell, cell_params, &cell_table_);
    uint8_t* const y_hidden = BeginCodes(sizes, hidden_params, kHidden);
    uint8_t* const y_cell = BeginCodes(sizes, cell_params, kCell);
    constexpr int64_t kLeast = 1 << 12;
    ForEachPart(count, kLeast, [&](int64_t begin, int64_t end) {
      while (begin < end) {
        const int64_t row = begin / width;
        const int64_t n = std::min(end, (row + 1) * width) - begin;
        if (lengths != nullptr && step >= lengths[row]) {
          Keep(hidden.codes + begin, n, hidden_table_, y_hidden + begin);
          Keep(cell.codes + begin, n, cell_table_, y_cell + begin);
        } else {
          const uint8_t* const i = gates.codes + 3 * row * width + begin;
          kernels::ComputeLstmCells(*cells_, i, i + width, i + 2 * width,
                                    i + 3 * width, cell.codes + begin, n,
                                    y_cell + begin, y_hidden + begin);
        }
        begin += n;
      }
    });
    EndCodes(kHidden);
    EndCodes(kCell);
  }

 private:
  // What a row that is not computed becomes, by its old and new parameters.
  struct Table {
    float scale = 0, y_scale = 0;  // 0: not made
    int32_t zero_point = 0, y_zero_point = 0;
    uint8_t codes[256];
  };

  at::IntArrayRef InputSizes(int index) {
    return IsCodes(index) ? Int8Input(index).t.sizes()
                          : FloatInput(this, index).sizes();
  }

  // Returns the sizes of H and C. Enforces that those of H, C and gates fit.
  std::vector<int64_t> EnforceShapes() {
    const at::IntArrayRef cell = InputSizes(kCell);
    Enforce(cell.size() == 3 && cell[0] == 1, "tensor '", Name(kCell),
            "' has sizes ", cell, ", expected [1, N, D]");
    const at::IntArrayRef hidden = InputSizes(kHidden);
    Enforce(hidden == cell, "tensor '", Name(kHidden), "' has sizes ", hidden,
            ", expected those of '", Name(kCell), "', ", cell);
    const std::vector<int64_t> expected = {1, cell[1], 4 * cell[2]};
    const at::IntArrayRef gates = InputSizes(kGates);
    Enforce(gates == at::IntArrayRef(expected), "tensor '", Name(kGates),
            "' has sizes ", gates, ", expected ", at::IntArrayRef(expected));
    return cell.vec();
  }

  // Returns the integers of input `index`. Enforces that it has `count` of
  // them, as `t` at least.
  const int32_t* IntInput(int index, int64_t count) {
    Enforce(InputIsTensorType(index, caffe2::CPU), "blob '", Name(index),
            "' holds a ", InputBlob(index).TypeName(),
            ", expected an int32 tensor of the CPU");
    const auto& x = OperatorBase::Input<caffe2::Tensor>(index, caffe2::CPU);
    Enforce(x.IsType<int32_t>(), "tensor '", Name(index), "' is of type ",
            x.dtype().name(), ", expected int32");
    const bool is_step = index == InputSize() - 1;
    Enforce(is_step ? x.numel() >= count : x.numel() == count, "tensor '",
            Name(index), "' has sizes ", x.sizes(), ", expected ", count,
            is_step ? " value, the step" : " lengths");
    return x.data<int32_t>();
  }

  void Prepare(const InputCodes<uint8_t>& gates,
               const InputCodes<uint8_t>& cell,
               const QuantizationParams& hidden_params,
               const QuantizationParams& cell_params) {
    if (cells_ == nullptr || gate_scale_ != gates.scale() ||
        gate_zero_point_ != gates.zero_point()) {
      if (cells_ == nullptr) cells_ = std::make_unique<kernels::LstmCells>();
      gate_scale_ = gates.scale();
      gate_zero_point_ = gates.zero_point();
      SetGates(gate_scale_, gate_zero_point_, forget_bias_, cells_.get());
    }
    cells_->before_scale = cell.scale();
    cells_->before_zero_point = cell.zero_point();
    cells_->cell_scale = cell_params.scales[0];
    cells_->cell_range = CodeRangeOf(cell_params);
    cells_->hidden_scale = hidden_params.scales[0];
    cells_->hidden_range = CodeRangeOf(hidden_params);
  }

  void MakeTable(const InputCodes<uint8_t>& x, const QuantizationParams& y,
                 Table* table) const {
    if (!has_lengths_ ||
        (table->scale == x.scale() && table->zero_point == x.zero_point() &&
         table->y_scale == y.scales[0] &&
         table->y_zero_point == y.zero_points[0])) {
      return;
    }
    table->scale = x.scale();
    table->zero_point = x.zero_point();
    table->y_scale = y.scales[0];
    table->y_zero_point = y.zero_points[0];
    const kernels::CodeRange range = CodeRangeOf(y);
    for (int code = 0; code < 256; ++code) {
      const double value =
          drop_states_ ? 0 : double{x.scale()} * (code - x.zero_point());
      table->codes[code] = static_cast<uint8_t>(
          kernels::RoundedCode(value / y.scales[0], range));
    }
  }

  static void Keep(const uint8_t* codes, int64_t count, const Table& table,
                   uint8_t* y) {
    kernels::LookUpBytes(codes, count, table.codes, y);
  }

  float forget_bias_ = 0;
  bool drop_states_ = false, has_lengths_ = true;

  std::unique_ptr<kernels::LstmCells> cells_;
  // Of the gates that cells_ has tables of.
  float gate_scale_ = 0;
  int32_t gate_zero_point_ = 0;
  Table hidden_table_, cell_table_;
};

}  // namespace

void RegisterOnednnLSTMUnit(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<LSTMUnitOp>(name, suffixes);
  if (std::string(name) != "Int8LSTMUnit") return;
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8LSTMUnit");
  CAFFE2_QUANTIZATION_SCHEMA("Int8LSTMUnit")
      .NumInputs(4, 5)
      .NumOutputs(2)
      .SetDoc("A step of an LSTM's cells; engines DNNLOWP and ONEDNN.")
      .Arg("forget_bias", "*(type: float; default: 0)* Added to the gate f.")
      .Arg("drop_states",
           "*(type: bool; default: False)* Rows past their length become 0.")
      .Arg("sequence_lengths",
           "*(type: bool; default: True)* There is an input with lengths.")
      .Input(0, "H", "Int8TensorCPU, or floats, [1, N, D]")
      .Input(1, "C", "likewise")
      .Input(2, "gates", "likewise, [1, N, 4 * D]: i, f, o, g")
      .Input(3, "lengths", "int32 [N], if sequence_lengths")
      .Input(4, "t", "int32: the step; the last input")
      .Output(0, "H", "Int8TensorCPU [1, N, D]")
      .Output(1, "C", "likewise")
      .TensorInferenceFunction([](const caffe2::OperatorDef&,
                                  const std::vector<caffe2::TensorShape>& in) {
        return std::vector<caffe2::TensorShape>{in[0], in[1]};
      });
}

}  // namespace caffe2_quantization
