// Vectors of codes, of 8 or 16 bits, for kernels that compute in lanes of 32
// bits: loads and stores, the end of a row, and rounding by the rule of
// rounded_code.h. Include it after highway.h in a file that is compiled once
// per target; it has nothing for HWY_SCALAR.
#if defined(CAFFE2_QUANTIZATION_CODE_VECTORS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef CAFFE2_QUANTIZATION_CODE_VECTORS_INL_H_
#undef CAFFE2_QUANTIZATION_CODE_VECTORS_INL_H_
#else
#define CAFFE2_QUANTIZATION_CODE_VECTORS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "quantization/kernels/rounded_code.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using DB = hn::Rebind<uint8_t, DI>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using VB = hn::Vec<DB>;
using DW = hn::Rebind<uint16_t, DI>;
using VW = hn::Vec<DW>;
using MF = hn::Mask<DF>;

// Whole vectors, and what is left at the end of a row: that reads and writes no
// lane beyond it.
struct Whole {
  template <class D, typename T>
  HWY_INLINE hn::Vec<D> Load(D d, const T* src) const {
    return hn::LoadU(d, src);
  }
  HWY_INLINE VB LoadCodes(const uint8_t* src) const {
    return hn::LoadU(DB(), src);
  }
  HWY_INLINE VW LoadCodes(const uint16_t* src) const {
    return hn::LoadU(DW(), src);
  }
  // x in the lanes that are meant, 0 in others.
  HWY_INLINE VI Fill(VI x) const { return x; }
  HWY_INLINE void Store(VB codes, uint8_t* dst) const {
    hn::StoreU(codes, DB(), dst);
  }
  HWY_INLINE void Store(VW codes, uint16_t* dst) const {
    hn::StoreU(codes, DW(), dst);
  }
  HWY_INLINE void Store(VF y, float* dst) const { hn::StoreU(y, DF(), dst); }
};

struct Rest {
  explicit Rest(size_t n) : n(n) {}
  template <class D, typename T>
  HWY_INLINE hn::Vec<D> Load(D d, const T* src) const {
    return hn::MaskedLoad(hn::FirstN(d, n), d, src);
  }
  HWY_INLINE VB LoadCodes(const uint8_t* src) const {
    HWY_ALIGN uint8_t lanes[hn::MaxLanes(DB())] = {};
    CopySome(src, lanes);
    return hn::Load(DB(), lanes);
  }
  HWY_INLINE VW LoadCodes(const uint16_t* src) const {
    HWY_ALIGN uint16_t lanes[hn::MaxLanes(DW())] = {};
    for (size_t i = 0; i < n; ++i) lanes[i] = src[i];
    return hn::Load(DW(), lanes);
  }
  HWY_INLINE VI Fill(VI x) const {
    return hn::IfThenElseZero(hn::FirstN(DI(), n), x);
  }
  HWY_INLINE void Store(VB codes, uint8_t* dst) const {
    HWY_ALIGN uint8_t lanes[hn::MaxLanes(DB())];
    hn::Store(codes, DB(), lanes);
    CopySome(lanes, dst);
  }
  HWY_INLINE void Store(VW codes, uint16_t* dst) const {
    HWY_ALIGN uint16_t lanes[hn::MaxLanes(DW())];
    hn::Store(codes, DW(), lanes);
    for (size_t i = 0; i < n; ++i) dst[i] = lanes[i];
  }
  HWY_INLINE void Store(VF y, float* dst) const {
    const DF df;
    hn::BlendedStore(y, hn::FirstN(df, n), df, dst);
  }

 private:
  // n < 16 bytes, by their number's bits.
  HWY_INLINE void CopySome(const uint8_t* from, uint8_t* to) const {
    size_t i = 0;
    if (n & 8) Copy<8>(from, to, &i);
    if (n & 4) Copy<4>(from, to, &i);
    if (n & 2) Copy<2>(from, to, &i);
    if (n & 1) Copy<1>(from, to, &i);
  }
  template <size_t kBytes>
  HWY_INLINE static void Copy(const uint8_t* from, uint8_t* to, size_t* i) {
    hwy::CopyBytes<kBytes>(from + *i, to + *i);
    *i += kBytes;
  }

  const size_t n;
};

// Calls part(Whole, n) for whole vectors of a row from n on, part(Rest, n) for
// its end.
template <class Part>
HWY_INLINE void ForEachVector(int64_t n, int64_t columns, const Part& part) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(DI()));
  for (; n + lanes <= columns; n += lanes) part(Whole(), n);
  if (n != columns) part(Rest(static_cast<size_t>(columns - n)), n);
}

using DBytes = hn::Repartition<uint8_t, DI>;

// In each block of 16 bytes: the first bytes of its lanes, then the second
// ones.
HWY_INLINE hn::Vec<DBytes> QuadsTable() {
  HWY_ALIGN static constexpr uint8_t kTable[16] = {0, 4, 8,  12, 1, 5, 9,  13,
                                                   2, 6, 10, 14, 3, 7, 11, 15};
  return hn::LoadDup128(DBytes(), kTable);
}

// The first lanes of all blocks, then the second ones.
HWY_INLINE auto QuadsOrder() {
  constexpr size_t kBlocks = hn::MaxLanes(DI()) / 4;
  HWY_ALIGN int32_t order[hn::MaxLanes(DI())];
  for (size_t i = 0; i < 4 * kBlocks; ++i) {
    order[i] = static_cast<int32_t>(i % kBlocks * 4 + i / kBlocks);
  }
  return hn::SetTableIndices(DI(), order);
}

// Stores four vectors of codes, 0 to 255 in lanes of 32 bits, as bytes; table
// and order are those above.
template <class Order>
HWY_INLINE void StoreFour(VI c0, VI c1, VI c2, VI c3, hn::Vec<DBytes> table,
                          Order order, uint8_t* dst) {
  const DI di;
  const DBytes bytes;
  const VI mixed = hn::Or(hn::Or(c0, hn::ShiftLeft<8>(c1)),
                          hn::Or(hn::ShiftLeft<16>(c2), hn::ShiftLeft<24>(c3)));
  const VI quads =
      hn::BitCast(di, hn::TableLookupBytes(hn::BitCast(bytes, mixed), table));
  hn::StoreU(hn::BitCast(bytes, hn::TableLookupLanes(quads, order)), bytes,
             dst);
}

// Rounds floats to codes, and tells those that may be on the wrong side of a
// tie: by more than slack (SumSlack) the floats are not off.
class Rounding {
 public:
  Rounding(const CodeRange& range, double slack)
      : low_(Float(range.qmin - range.zero_point)),
        high_(Float(range.qmax - range.zero_point)),
        // 1.5 * 2^23: the sum with it has the nearest integer, ties to even, in
        // its last bits.
        magic_(Float(0x1.8p23)),
        to_code_(hn::Sub(hn::Set(DI(), range.zero_point),
                         hn::BitCast(DI(), magic_))),
        // A tie itself, if nothing was rounded, is not in doubt. The float is
        // rounded down, so that it is at least as careful.
        sure_(Float(slack == 0 ? 0.5 : 0.5 - slack * 1.0001 - 0x1p-24)) {}

  // Returns codes in lanes of 32 bits; sets *sure to lanes without doubt.
  HWY_INLINE VI operator()(VF value, MF* sure) const {
    const VF clamped = hn::Min(hn::Max(value, low_), high_);
    const VF sum = hn::Add(clamped, magic_);
    *sure = hn::Le(hn::Abs(hn::Sub(clamped, hn::Sub(sum, magic_))), sure_);
    return hn::Add(hn::BitCast(DI(), sum), to_code_);
  }

 private:
  static HWY_INLINE VF Float(double x) {
    return hn::Set(DF(), static_cast<float>(x));
  }

  const VF low_, high_, magic_;
  const VI to_code_;
  const VF sure_;
};

// The same for codes of 8 bits, in fewer operations, where a float may be off:
// the sum with 256, the zero point and 1/2 has the code in bits 15 to 22, and
// below them how far it lies above a tie. It is raised by half of width_, so
// that floats in doubt about a tie lie from 0 to width_ above it.
class ByteRounding {
 public:
  static constexpr int kShift = 15;

  ByteRounding(const CodeRange& range, double slack)
      : low_(Float(range.qmin - range.zero_point)),
        high_(Float(range.qmax - range.zero_point)) {
    // The sum is rounded by up to 2^-16. From slacks of 1/2 on all are in
    // doubt.
    const double reach =
        std::min(std::ceil((slack * 1.0001 + 0x1.01p-16) * kOne), 0.5 * kOne);
    magic_ = Float(256.5 + range.zero_point + reach / kOne);
    width_ = hn::Set(DI(), static_cast<int32_t>(2 * reach));
    fraction_ = hn::Set(DI(), kOne - 1);
  }

  // Returns lanes that have the code from bit kShift on, beside others.
  HWY_INLINE VI operator()(VF value) const {
    const VF clamped = hn::Min(hn::Max(value, low_), high_);
    return hn::BitCast(DI(), hn::Add(clamped, magic_));
  }
  // How far they lie above a tie.
  HWY_INLINE VI Fraction(VI rounded) const {
    return hn::And(rounded, fraction_);
  }
  HWY_INLINE bool AnyInDoubt(VI fractions) const {
    return !hn::AllFalse(DI(), hn::Lt(fractions, width_));
  }
  static HWY_INLINE hn::Vec<DBytes> Finish(hn::Vec<DBytes> codes) {
    return codes;
  }

 private:
  static constexpr int32_t kOne = 1 << kShift;
  static HWY_INLINE VF Float(double x) {
    return hn::Set(DF(), static_cast<float>(x));
  }

  const VF low_, high_;
  VF magic_;
  VI width_, fraction_;
};

// The same if ties themselves are exact and no float is in doubt.
class ExactByteRounding {
 public:
  static constexpr int kShift = 0;

  explicit ExactByteRounding(const CodeRange& range)
      : low_(Float(range.qmin - range.zero_point)),
        high_(Float(range.qmax - range.zero_point)),
        magic_(Float(0x1.8p23)),  // as in Rounding
        zero_point_(hn::Set(DBytes(), static_cast<uint8_t>(range.zero_point))) {
  }

  HWY_INLINE VI operator()(VF value) const {
    const VF clamped = hn::Min(hn::Max(value, low_), high_);
    return hn::BitCast(DI(), hn::Add(clamped, magic_));
  }
  // Bytes are added modulo 256, which the sum is below.
  HWY_INLINE hn::Vec<DBytes> Finish(hn::Vec<DBytes> rounded) const {
    return hn::Add(rounded, zero_point_);
  }

 private:
  static HWY_INLINE VF Float(float x) { return hn::Set(DF(), x); }

  const VF low_, high_, magic_;
  const hn::Vec<DBytes> zero_point_;
};

// The bytes from bit kShift on of four vectors; table and order are those
// above.
template <int kShift, class Order>
HWY_INLINE hn::Vec<DBytes> PackFour(VI c0, VI c1, VI c2, VI c3,
                                    hn::Vec<DBytes> table, Order order) {
  const DI di;
  const DBytes bytes;
  const auto first = [&](int32_t mask, VI yes, VI no) HWY_ATTR {
    return hn::IfVecThenElse(hn::Set(di, mask), yes, no);
  };
  VI mixed = c0;
  if constexpr (kShift == 0) {
    mixed = first(0xFF, mixed, hn::ShiftLeft<8>(c1));
    mixed = first(0xFFFF, mixed, hn::ShiftLeft<16>(c2));
    mixed = first(0xFFFFFF, mixed, hn::ShiftLeft<24>(c3));
  } else {
    static_assert(kShift == ByteRounding::kShift, "");
    mixed = first(0xFF, hn::ShiftRight<15>(c0), hn::ShiftRight<7>(c1));
    mixed = first(0xFFFF, mixed, hn::ShiftLeft<1>(c2));
    mixed = first(0xFFFFFF, mixed, hn::ShiftLeft<9>(c3));
  }
  const VI quads =
      hn::BitCast(di, hn::TableLookupBytes(hn::BitCast(bytes, mixed), table));
  return hn::BitCast(bytes, hn::TableLookupLanes(quads, order));
}

// Writes codes of 8 bits from 0 on to dst as RoundToCodes does, as far as four
// vectors fill; returns how many these are. round: one of the two above.
template <class ByteRound, class Value, class Exact>
HWY_INLINE int64_t RoundFours(int64_t count, const ByteRound& round,
                              const Value& value, const Exact& exact,
                              uint8_t* dst) {
  const DI di;
  const DBytes bytes;
  const auto lanes = static_cast<int64_t>(hn::Lanes(di));
  const auto table = QuadsTable();
  const auto order = QuadsOrder();
  const Whole whole;
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const VI c0 = round(value(whole, i));
    const VI c1 = round(value(whole, i + lanes));
    const VI c2 = round(value(whole, i + 2 * lanes));
    const VI c3 = round(value(whole, i + 3 * lanes));
    const auto codes =
        round.Finish(PackFour<ByteRound::kShift>(c0, c1, c2, c3, table, order));
    if constexpr (ByteRound::kShift > 0) {
      const VI f0 = round.Fraction(c0), f1 = round.Fraction(c1);
      const VI f2 = round.Fraction(c2), f3 = round.Fraction(c3);
      if (HWY_UNLIKELY(
              round.AnyInDoubt(hn::Min(hn::Min(f0, f1), hn::Min(f2, f3))))) {
        HWY_ALIGN uint8_t some[4 * hn::MaxLanes(DI())];
        hn::Store(codes, bytes, some);
        if (round.AnyInDoubt(f0)) exact(i, lanes, some);
        if (round.AnyInDoubt(f1)) exact(i + lanes, lanes, some + lanes);
        if (round.AnyInDoubt(f2)) exact(i + 2 * lanes, lanes, some + 2 * lanes);
        if (round.AnyInDoubt(f3)) exact(i + 3 * lanes, lanes, some + 3 * lanes);
        hn::StoreU(hn::Load(bytes, some), bytes, dst + i);
        continue;
      }
    }
    hn::StoreU(codes, bytes, dst + i);
  }
  return i;
}

// Writes codes 0 to count to dst. value(part, i) returns the float values of
// the vector from i on, loaded by part, which is Whole or Rest; where they are
// in doubt, exact(i, n, T* codes) computes n codes from i on by the plain form.
// dst may be where value and exact read element i to write element i.
template <typename T, class Value, class Exact>
HWY_INLINE void RoundToCodes(int64_t count, const CodeRange& range,
                             double slack, const Value& value,
                             const Exact& exact, T* dst) {
  const DI di;
  const DF df;
  const Rounding round(range, slack);
  const auto lanes = static_cast<int64_t>(hn::Lanes(di));
  int64_t i = 0;
  if constexpr (sizeof(T) == 1) {
    i = slack == 0
            ? RoundFours(count, ExactByteRounding(range), value, exact, dst)
            : RoundFours(count, ByteRounding(range, slack), value, exact, dst);
  }
  ForEachVector(i, count, [&](const auto& part, int64_t k) HWY_ATTR {
    MF sure;
    const VI codes = round(value(part, k), &sure);
    if (HWY_LIKELY(hn::AllTrue(df, sure))) {
      part.Store(hn::DemoteTo(hn::Rebind<T, DI>(), codes), dst + k);
      return;
    }
    HWY_ALIGN T plain[hn::MaxLanes(DI())];
    const int64_t n = std::min(lanes, count - k);
    exact(k, n, plain);
    std::copy(plain, plain + n, dst + k);
  });
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#endif  // once per target
