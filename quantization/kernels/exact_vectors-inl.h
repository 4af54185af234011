// The rule of rounded_code.h in lanes of double, bit for bit, for values that
// kernels cannot tell from ties in float: 3 times as fast as their plain forms.
// Include it after highway.h in a file that is compiled once per target; it has
// nothing for HWY_SCALAR.
#if defined(CAFFE2_QUANTIZATION_EXACT_VECTORS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef CAFFE2_QUANTIZATION_EXACT_VECTORS_INL_H_
#undef CAFFE2_QUANTIZATION_EXACT_VECTORS_INL_H_
#else
#define CAFFE2_QUANTIZATION_EXACT_VECTORS_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "quantization/kernels/rounded_code.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR

using DD = hn::ScalableTag<double>;
using VD = hn::Vec<DD>;
using DDI = hn::Rebind<int32_t, DD>;

// Above this slack (SumSlack) so many floats are in doubt that doubles alone
// are faster.
inline constexpr double kMostSlack = 0.01;

// Returns codes less their zero point, one for each lane of double.
template <typename T>
HWY_INLINE hn::Vec<DDI> LoadDifferences(const T* codes, int32_t zero_point) {
  const DDI d;
  return hn::Sub(hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, DDI>(), codes)),
                 hn::Set(d, zero_point));
}

// Writes codes 0 to count to dst. value(i) returns the values of the vector
// from i on, as the plain form computes them, not NaN; plain(i, n, T* codes) is
// the plain form of n codes from i on. dst may be where value and plain read
// element i to write element i.
template <typename T, class Value, class Plain>
HWY_INLINE void RoundDoublesToCodes(int64_t count, const CodeRange& range,
                                    const Value& value, const Plain& plain,
                                    T* dst) {
  const DD d;
  const VD low = hn::Set(d, double{1} * (range.qmin - range.zero_point));
  const VD high = hn::Set(d, double{1} * (range.qmax - range.zero_point));
  const VD magic = hn::Set(d, 0x1.8p52);  // as in RoundedCode
  const auto zero_point = hn::Set(DDI(), range.zero_point);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const hn::Rebind<T, DDI> codes;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const VD clamped = hn::Min(hn::Max(value(i), low), high);
    const VD rounded = hn::Sub(hn::Add(clamped, magic), magic);
    const auto code = hn::Add(hn::DemoteTo(DDI(), rounded), zero_point);
    hn::StoreU(hn::DemoteTo(codes, code), codes, dst + i);
  }
  if (i < count) plain(i, count - i, dst + i);
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#endif  // once per target
