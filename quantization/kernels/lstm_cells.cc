// lstm_cells.h in Highway: this file is compiled once per target. Gates are
// looked up in tables of floats, tanh of the cell is computed; what lies so
// close to a tie that a float cannot tell is computed by the plain form.
#include "quantization/kernels/lstm_cells.h"

#include <algorithm>
#include <cmath>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/lstm_cells.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
// And this after it.
#include "hwy/contrib/math/math-inl.h"
#include "quantization/kernels/code_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void Compute(const LstmCells& cells, const uint8_t* i, const uint8_t* f,
             const uint8_t* o, const uint8_t* g, const uint8_t* before,
             int64_t count, uint8_t* cell, uint8_t* hidden) {
  reference::ComputeLstmCells(cells, i, f, o, g, before, count, cell, hidden);
}

#else

// tanh, off by at most kTanhError. With e = exp(2|x|) it is 1 - 2 / (e + 1), of
// which 2|x| is exact. Exp is off by 1 ulp, 2^-23 of it, which moves the
// quotient q, 0 to 1, by less than q * 2^-23. The sum, the quotient and the
// difference are each rounded by at most 2^-24 of themselves. (From |x| = 10 on
// it is 1 but for 2^-27.)
constexpr double kTanhError = 5 * 0x1p-24;
HWY_INLINE VF Tanh(VF x) {
  const DF df;
  const VF far = hn::Min(hn::Abs(x), hn::Set(df, 10.0f));
  const VF e = hn::Exp(df, hn::Add(far, far));
  const VF one = hn::Set(df, 1.0f);
  const VF y = hn::Sub(one, hn::Div(hn::Set(df, 2.0f), hn::Add(e, one)));
  return hn::CopySignToAbs(y, x);
}

void Compute(const LstmCells& cells, const uint8_t* i, const uint8_t* f,
             const uint8_t* o, const uint8_t* g, const uint8_t* before,
             int64_t count, uint8_t* cell, uint8_t* hidden) {
  const DF df;
  const DI di;
  // The first term of the cell is at most `most`, the second one 1. Both have
  // two factors that were rounded (a code times its scale is, too) and are
  // rounded themselves, and so is their sum: by 4 * 2^-24 of their magnitudes.
  // A quotient by a scale is rounded twice more.
  constexpr double kUnit = 0x1p-24 * 1.01;
  const double most =
      double{cells.before_scale} *
      std::max(cells.before_zero_point, 255 - cells.before_zero_point);
  const double cell_error = 4 * kUnit * (most + 1);
  const Rounding round_cell(
      cells.cell_range,
      (cell_error + 2 * kUnit * (most + 1)) / cells.cell_scale);
  // tanh makes no error larger. The gate o and the product are rounded, too.
  const Rounding round_hidden(
      cells.hidden_range,
      (cell_error + kTanhError + 4 * kUnit) / cells.hidden_scale);
  const VF before_scale = hn::Set(df, cells.before_scale);
  const VF per_cell =
      hn::Set(df, static_cast<float>(1 / double{cells.cell_scale}));
  const VF per_hidden =
      hn::Set(df, static_cast<float>(1 / double{cells.hidden_scale}));
  const VI before_zero_point = hn::Set(di, cells.before_zero_point);
  ForEachVector(0, count, [&](const auto& part, int64_t k) HWY_ATTR {
    const auto codes = [&](const uint8_t* src) HWY_ATTR {
      return hn::PromoteTo(di, part.LoadCodes(src + k));
    };
    const VF was =
        hn::Mul(hn::ConvertTo(df, hn::Sub(codes(before), before_zero_point)),
                before_scale);
    const VF input = hn::Mul(hn::GatherIndex(df, cells.float_sigmoid, codes(i)),
                             hn::GatherIndex(df, cells.float_tanh, codes(g)));
    const VF now = hn::MulAdd(hn::GatherIndex(df, cells.float_forget, codes(f)),
                              was, input);
    const VF out =
        hn::Mul(hn::GatherIndex(df, cells.float_sigmoid, codes(o)), Tanh(now));
    MF cell_sure, hidden_sure;
    const VI c = round_cell(hn::Mul(now, per_cell), &cell_sure);
    const VI h = round_hidden(hn::Mul(out, per_hidden), &hidden_sure);
    if (HWY_LIKELY(hn::AllTrue(df, hn::And(cell_sure, hidden_sure)))) {
      part.Store(hn::DemoteTo(DB(), c), cell + k);
      part.Store(hn::DemoteTo(DB(), h), hidden + k);
      return;
    }
    constexpr size_t kMost = hn::MaxLanes(DI());
    const int64_t n = std::min<int64_t>(kMost, count - k);
    reference::ComputeLstmCells(cells, i + k, f + k, o + k, g + k, before + k,
                                n, cell + k, hidden + k);
  });
}

#endif  // HWY_TARGET

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Compute);

void ComputeLstmCells(const LstmCells& cells, const uint8_t* i,
                      const uint8_t* f, const uint8_t* o, const uint8_t* g,
                      const uint8_t* before, int64_t count, uint8_t* cell,
                      uint8_t* hidden) {
  if (UseScalarReference()) {
    return reference::ComputeLstmCells(cells, i, f, o, g, before, count, cell,
                                       hidden);
  }
  HWY_DYNAMIC_DISPATCH(Compute)
  (cells, i, f, o, g, before, count, cell, hidden);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
