// The quantization kernels in Highway: this file is compiled once per target.
//
// Outside the cache memory leaves them about two cycles a vector of floats, so
// the work is done on four vectors at once: their codes make one vector of
// bytes, or two of 16 bits, without a store of parts.
#include "quantization/kernels/quantize.h"

#include <algorithm>
#include <type_traits>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/quantize.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void Stream(const uint8_t* HWY_RESTRICT src, size_t bytes,
            uint8_t* HWY_RESTRICT dst) {
  const hn::CappedTag<uint8_t, kCacheLine> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < bytes; i += lanes) {
    hn::Stream(hn::LoadU(d, src + i), d, dst + i);
  }
}

void Prepare(const float* HWY_RESTRICT scales,
             const int32_t* HWY_RESTRICT zero_points, size_t count,
             float* HWY_RESTRICT inverses,
             float* HWY_RESTRICT float_zero_points) {
  for (size_t i = 0; i < count; ++i) {
    float_zero_points[i] = static_cast<float>(zero_points[i]);
  }
  if (inverses == nullptr) return;
  for (size_t i = 0; i < count; ++i) inverses[i] = 1.0f / scales[i];
}

#if HWY_TARGET == HWY_SCALAR  // its multiply-add rounds twice

template <typename T>
void Quantize(const float* src, size_t count, size_t run_length,
              const float* inverses, const float* zero_points, int32_t qmin,
              int32_t qmax, T* dst, size_t ahead) {
  reference::QuantizeRuns(src, count, run_length, inverses, zero_points, qmin,
                          qmax, dst);
}

template <typename T>
void Dequantize(const T* src, size_t count, size_t run_length,
                const float* scales, const float* zero_points, float* dst) {
  reference::DequantizeRuns(src, count, run_length, scales, zero_points, dst);
}

size_t QuantizeToNibbles(const float* src, size_t count, size_t run_length,
                         const float* inverses, const float* zero_points,
                         int32_t qmin, int32_t qmax, uint8_t* dst,
                         size_t ahead) {
  return 0;
}

size_t DequantizeNibbles(const uint8_t* src, bool is_signed, size_t count,
                         size_t run_length, const float* scales,
                         const float* zero_points, float* dst, bool streaming) {
  return 0;
}

template <typename T>
size_t StreamDequantized(const T* src, size_t count, size_t run_length,
                         const float* scales, const float* zero_points,
                         float* dst) {
  return 0;
}

#else

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using D16 = hn::Repartition<int16_t, DF>;
using D8 = hn::Repartition<uint8_t, DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

constexpr size_t kVectors = 4;  // at once
constexpr size_t kLanes = HWY_LANES(float);
constexpr size_t kStep = kVectors * kLanes;

// Calls whole(i, parameters) for each kStep values that can be done at once,
// and returns how many values these are. parameters(k) are those of vector k:
// of runs of 1, of one or two vectors, of multiples of kStep, or of a single
// run.
template <class Parameters, class Whole>
HWY_INLINE size_t WholeSteps(size_t count, size_t run_length,
                             const Parameters& parameters, const Whole& whole) {
  const size_t end = count / kStep * kStep;
  if (run_length == 1) {
    for (size_t i = 0; i < end; i += kStep) {
      whole(i, [&](size_t k) { return parameters.Load(i + k * kLanes); });
    }
    return end;
  }
  if (run_length == kLanes) {
    for (size_t i = 0; i < end; i += kStep) {
      const size_t run = i / kLanes;
      whole(i, [&](size_t k) HWY_ATTR { return parameters.Set(run + k); });
    }
    return end;
  }
  if (run_length == 2 * kLanes) {
    for (size_t i = 0; i < end; i += kStep) {
      const size_t run = i / (2 * kLanes);
      const auto first = parameters.Set(run), second = parameters.Set(run + 1);
      whole(i, [&](size_t k) HWY_ATTR { return k < 2 ? first : second; });
    }
    return end;
  }
  if (run_length % kStep != 0 && run_length < count) return 0;
  for (size_t i = 0, run = 0; i < end; ++run) {
    const auto same = parameters.Set(run);
    const size_t run_end = i + std::min(end - i, run_length);
    for (; i < run_end; i += kStep) {
      whole(i, [&](size_t) { return same; });
    }
  }
  return end;
}

// ---- Quantize ---------------------------------------------------------------

struct Affine {
  VF factor;  // the inverse, or the scale
  VF zero_point;
};

struct Parameters {
  const float* HWY_RESTRICT factors;
  const float* HWY_RESTRICT zero_points;

  HWY_INLINE Affine Load(size_t i) const {
    return {hn::LoadU(DF(), factors + i), hn::LoadU(DF(), zero_points + i)};
  }
  HWY_INLINE Affine Set(size_t run) const {
    return {hn::Set(DF(), factors[run]), hn::Set(DF(), zero_points[run])};
  }
};

// Codes are below 2^22 in size: where 1.5 * 2^23 is added the sum is rounded,
// half to even, to an integer, which stands in its low bits.
constexpr float kRounder = 12582912.0f;
constexpr int32_t kRounderBits = 0x4B400000;

struct Coder {
  VF low, high, rounder;
  VI bias;

  // Codes minus `offset`.
  Coder(int32_t qmin, int32_t qmax, int32_t offset)
      : low(hn::Set(DF(), static_cast<float>(qmin))),
        high(hn::Set(DF(), static_cast<float>(qmax))),
        rounder(hn::Set(DF(), kRounder)),
        bias(hn::Set(DI(), kRounderBits + offset)) {}

  HWY_INLINE VI operator()(const float* HWY_RESTRICT src, Affine p) const {
    const VF x = hn::LoadU(DF(), src);
    const VF number = hn::IfThenElseZero(hn::Eq(x, x), x);
    const VF code = hn::MulAdd(number, p.factor, p.zero_point);
    const VF clamped = hn::Min(hn::Max(code, low), high);
    return hn::Sub(hn::BitCast(DI(), hn::Add(clamped, rounder)), bias);
  }
};

// Where dword i of a vector is after blocks of 128 bits, which hold dwords of
// kParts vectors one after another, are put in order of the vectors.
template <size_t kParts>
HWY_INLINE hn::Vec<D8> PartsInOrder(hn::Vec<D8> v) {
  constexpr size_t kBlocks = kLanes / 4, kEach = 4 / kParts;
  alignas(64) int32_t from[kLanes];
  for (size_t part = 0; part < kParts; ++part) {
    for (size_t block = 0; block < kBlocks; ++block) {
      for (size_t i = 0; i < kEach; ++i) {
        from[(part * kBlocks + block) * kEach + i] =
            static_cast<int32_t>(block * 4 + part * kEach + i);
      }
    }
  }
  const DI di;
  return hn::BitCast(D8(), hn::TableLookupLanes(hn::BitCast(di, v),
                                                hn::SetTableIndices(di, from)));
}

// The low bytes of four vectors.
HWY_INLINE hn::Vec<D8> Bytes(VI a, VI b, VI c, VI d) {
  const D16 d16;
  const D8 d8;
  const auto ab = hn::ReorderDemote2To(d16, a, b);
  const auto cd = hn::ReorderDemote2To(d16, c, d);
  // Bytes a0 c0 a1 c1 … b0 d0 b1 d1 … of each block.
  const auto mixed = hn::BitCast(
      d8, hn::Or(hn::And(ab, hn::Set(d16, 0xFF)), hn::ShiftLeft<8>(cd)));
  alignas(16) static constexpr uint8_t kOrder[16] = {0, 2, 4, 6, 8, 10, 12, 14,
                                                     1, 3, 5, 7, 9, 11, 13, 15};
  return PartsInOrder<4>(
      hn::TableLookupBytes(mixed, hn::LoadDup128(d8, kOrder)));
}

template <typename T>
struct Codes {
  static constexpr int32_t kOffset = std::is_same_v<T, uint16_t> ? 32768 : 0;
  T* HWY_RESTRICT dst;

  HWY_INLINE void StoreFour(size_t i, VI a, VI b, VI c, VI d) const {
    if constexpr (sizeof(T) == 1) {
      hn::StoreU(Bytes(a, b, c, d), D8(), reinterpret_cast<uint8_t*>(dst) + i);
    } else {
      StoreTwo(i, a, b);
      StoreTwo(i + 2 * kLanes, c, d);
    }
  }

  HWY_INLINE void StoreTwo(size_t i, VI a, VI b) const {
    const D16 d16;
    const hn::Repartition<T, DF> dt;
    const auto both = hn::Xor(hn::ReorderDemote2To(d16, a, b),
                              hn::Set(d16, static_cast<int16_t>(kOffset)));
    hn::StoreU(hn::BitCast(dt, PartsInOrder<2>(hn::BitCast(D8(), both))), dt,
               dst + i);
  }

  HWY_INLINE void StoreOne(size_t i, VI a) const {
    const hn::Rebind<T, DF> dt;
    const VI codes = hn::Add(a, hn::Set(DI(), kOffset));
    hn::StoreU(hn::DemoteTo(dt, codes), dt, dst + i);
  }
};

struct NibbleCodes {
  static constexpr int32_t kOffset = 0;
  uint8_t* HWY_RESTRICT dst;

  HWY_INLINE void StoreFour(size_t i, VI a, VI b, VI c, VI d) const {
    const D16 d16;
    const hn::Rebind<uint8_t, D16> half;
    const auto pairs = hn::BitCast(d16, Bytes(a, b, c, d));
    const auto packed =
        hn::Or(hn::And(pairs, hn::Set(d16, 0x0F)),
               hn::And(hn::ShiftRight<4>(pairs), hn::Set(d16, 0xF0)));
    hn::StoreU(hn::DemoteTo(half, packed), half, dst + i / 2);
  }
};

template <class To>
HWY_INLINE size_t QuantizeSteps(const float* HWY_RESTRICT src, size_t count,
                                size_t run_length, const Parameters& parameters,
                                const Coder& coder, size_t ahead,
                                const To& to) {
  return WholeSteps(count, run_length, parameters,
                    [&](size_t i, const auto& at) {
                      if (ahead != 0) {
                        for (size_t k = 0; k < kVectors; ++k) {
                          hwy::Prefetch(src + i + ahead + k * kLanes);
                        }
                      }
                      const VI a = coder(src + i, at(0));
                      const VI b = coder(src + i + kLanes, at(1));
                      const VI c = coder(src + i + 2 * kLanes, at(2));
                      const VI d = coder(src + i + 3 * kLanes, at(3));
                      to.StoreFour(i, a, b, c, d);
                    });
}

size_t QuantizeToNibbles(const float* HWY_RESTRICT src, size_t count,
                         size_t run_length, const float* HWY_RESTRICT inverses,
                         const float* HWY_RESTRICT zero_points, int32_t qmin,
                         int32_t qmax, uint8_t* HWY_RESTRICT dst,
                         size_t ahead) {
  return QuantizeSteps(src, count, run_length, {inverses, zero_points},
                       Coder(qmin, qmax, NibbleCodes::kOffset), ahead,
                       NibbleCodes{dst});
}

// What is left of a whole number of vectors is done by one that overlaps the
// vector before.
template <class One>
HWY_INLINE void Singles(size_t begin, size_t end, const One& one) {
  size_t i = begin;
  for (; i + kLanes <= end; i += kLanes) one(i);
  if (i != end) one(end - kLanes);
}

template <typename T>
void Quantize(const float* HWY_RESTRICT src, size_t count, size_t run_length,
              const float* HWY_RESTRICT inverses,
              const float* HWY_RESTRICT zero_points, int32_t qmin, int32_t qmax,
              T* HWY_RESTRICT dst, size_t ahead) {
  const Coder coder(qmin, qmax, Codes<T>::kOffset);
  const Codes<T> to{dst};
  const Parameters parameters{inverses, zero_points};
  const size_t done =
      QuantizeSteps(src, count, run_length, parameters, coder, ahead, to);
  if (done == count) return;
  if (run_length == 1) {
    if (count < kLanes) {
      return reference::QuantizeRuns(src, count, 1, inverses, zero_points, qmin,
                                     qmax, dst);
    }
    return Singles(done, count, [&](size_t i) {
      to.StoreOne(i, coder(src + i, parameters.Load(i)));
    });
  }
  for (size_t run = done / run_length; run * run_length < count; ++run) {
    const size_t begin = run * run_length;
    const size_t length = std::min(run_length, count - begin);
    if (length < kLanes) {
      reference::QuantizeRuns(src + begin, length, length, inverses + run,
                              zero_points + run, qmin, qmax, dst + begin);
      continue;
    }
    const size_t first = std::max(begin, done);
    const Affine same = parameters.Set(run);
    const size_t steps =
        QuantizeSteps(src + first, begin + length - first, length,
                      {inverses + run, zero_points + run}, coder, ahead,
                      Codes<T>{dst + first});
    Singles(first + steps, begin + length,
            [&](size_t i) { to.StoreOne(i, coder(src + i, same)); });
  }
}

// ---- Dequantize -------------------------------------------------------------

HWY_INLINE VF ToFloat(VI code, Affine p) {
  return hn::Mul(p.factor, hn::Sub(hn::ConvertTo(DF(), code), p.zero_point));
}

template <typename T>
HWY_INLINE VI LoadCodes(const T* HWY_RESTRICT src) {
  const hn::Rebind<T, DF> dt;
  return hn::PromoteTo(DI(), hn::LoadU(dt, src));
}

template <bool kStream>
HWY_INLINE void StoreFloats(VF v, float* HWY_RESTRICT dst) {
  if constexpr (kStream) {
    hn::Stream(v, DF(), dst);
  } else {
    hn::StoreU(v, DF(), dst);
  }
}

template <bool kStream, typename T>
HWY_INLINE size_t DequantizeSteps(const T* HWY_RESTRICT src, size_t count,
                                  size_t run_length,
                                  const Parameters& parameters,
                                  float* HWY_RESTRICT dst) {
  return WholeSteps(
      count, run_length, parameters, [&](size_t i, const auto& at) {
        for (size_t k = 0; k < kVectors; ++k) {
          const size_t j = i + k * kLanes;
          StoreFloats<kStream>(ToFloat(LoadCodes(src + j), at(k)), dst + j);
        }
      });
}

template <typename T>
void Dequantize(const T* HWY_RESTRICT src, size_t count, size_t run_length,
                const float* HWY_RESTRICT scales,
                const float* HWY_RESTRICT zero_points,
                float* HWY_RESTRICT dst) {
  const Parameters parameters{scales, zero_points};
  const size_t done =
      DequantizeSteps<false>(src, count, run_length, parameters, dst);
  if (done == count) return;
  if (run_length == 1) {
    if (count < kLanes) {
      return reference::DequantizeRuns(src, count, 1, scales, zero_points, dst);
    }
    return Singles(done, count, [&](size_t i) {
      hn::StoreU(ToFloat(LoadCodes(src + i), parameters.Load(i)), DF(),
                 dst + i);
    });
  }
  for (size_t run = done / run_length; run * run_length < count; ++run) {
    const size_t begin = run * run_length;
    const size_t length = std::min(run_length, count - begin);
    if (length < kLanes) {
      reference::DequantizeRuns(src + begin, length, length, scales + run,
                                zero_points + run, dst + begin);
      continue;
    }
    const size_t first = std::max(begin, done);
    const Affine same = parameters.Set(run);
    const size_t steps =
        DequantizeSteps<false>(src + first, begin + length - first, length,
                               {scales + run, zero_points + run}, dst + first);
    Singles(first + steps, begin + length, [&](size_t i) {
      hn::StoreU(ToFloat(LoadCodes(src + i), same), DF(), dst + i);
    });
  }
}

// kLanes / 2 bytes to kLanes codes: a pair is a lane of 64 bits, its first code
// the low half.
HWY_INLINE VI LoadNibbles(const uint8_t* HWY_RESTRICT src, VI sign) {
  const hn::Repartition<uint64_t, DF> d64;
  const hn::Rebind<uint32_t, decltype(d64)> d32;
  const hn::Rebind<uint8_t, decltype(d64)> d8;
  const auto pair = hn::PromoteTo(d64, hn::PromoteTo(d32, hn::LoadU(d8, src)));
  const auto apart = hn::And(hn::Or(pair, hn::ShiftLeft<28>(pair)),
                             hn::Set(d64, 0x0000000F0000000FULL));
  return hn::Xor(hn::BitCast(DI(), apart), sign);
}

template <bool kStream>
HWY_INLINE size_t DequantizeNibbleSteps(const uint8_t* HWY_RESTRICT src,
                                        bool is_signed, size_t count,
                                        size_t run_length,
                                        const Parameters& parameters,
                                        float* HWY_RESTRICT dst) {
  // The sign is extended by (code ^ 8) - 8, in exact floats.
  const VI sign = hn::Set(DI(), is_signed ? 8 : 0);
  const VF less = hn::Set(DF(), is_signed ? 8.0f : 0.0f);
  return WholeSteps(
      count, run_length, parameters, [&](size_t i, const auto& at) {
        for (size_t k = 0; k < kVectors; ++k) {
          const size_t j = i + k * kLanes;
          Affine p = at(k);
          p.zero_point = hn::Add(p.zero_point, less);
          StoreFloats<kStream>(ToFloat(LoadNibbles(src + j / 2, sign), p),
                               dst + j);
        }
      });
}

size_t DequantizeNibbles(const uint8_t* src, bool is_signed, size_t count,
                         size_t run_length, const float* scales,
                         const float* zero_points, float* dst, bool streaming) {
  const Parameters parameters{scales, zero_points};
  return streaming ? DequantizeNibbleSteps<true>(src, is_signed, count,
                                                 run_length, parameters, dst)
                   : DequantizeNibbleSteps<false>(src, is_signed, count,
                                                  run_length, parameters, dst);
}

template <typename T>
size_t StreamDequantized(const T* src, size_t count, size_t run_length,
                         const float* scales, const float* zero_points,
                         float* dst) {
  return DequantizeSteps<true>(src, count, run_length,
                               Parameters{scales, zero_points}, dst);
}

#endif

// Highway's export macros take plain functions: one per type.
#define QUANTIZE_TYPE(NAME, T)                                               \
  void Quantize##NAME(const float* src, size_t count, size_t run_length,     \
                      const float* inverses, const float* zero_points,       \
                      int32_t qmin, int32_t qmax, T* dst, size_t ahead) {    \
    Quantize<T>(src, count, run_length, inverses, zero_points, qmin, qmax,   \
                dst, ahead);                                                 \
  }                                                                          \
  void Dequantize##NAME(const T* src, size_t count, size_t run_length,       \
                        const float* scales, const float* zero_points,       \
                        float* dst) {                                        \
    Dequantize<T>(src, count, run_length, scales, zero_points, dst);         \
  }                                                                          \
  size_t StreamDequantized##NAME(const T* src, size_t count,                 \
                                 size_t run_length, const float* scales,     \
                                 const float* zero_points, float* dst) {     \
    return StreamDequantized<T>(src, count, run_length, scales, zero_points, \
                                dst);                                        \
  }
QUANTIZE_TYPE(Int8, int8_t)
QUANTIZE_TYPE(UInt8, uint8_t)
QUANTIZE_TYPE(Int16, int16_t)
QUANTIZE_TYPE(UInt16, uint16_t)
#undef QUANTIZE_TYPE

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Stream);
HWY_EXPORT(Prepare);
HWY_EXPORT(QuantizeToNibbles);
HWY_EXPORT(DequantizeNibbles);

void StreamLines(const void* src, std::size_t bytes, void* dst) {
  HWY_DYNAMIC_DISPATCH(Stream)
  (static_cast<const uint8_t*>(src), bytes, static_cast<uint8_t*>(dst));
}

void FlushStream() { hwy::FlushStream(); }

void PrepareRuns(const float* scales, const int32_t* zero_points,
                 std::size_t count, float* inverses, float* float_zero_points) {
  HWY_DYNAMIC_DISPATCH(Prepare)
  (scales, zero_points, count, inverses, float_zero_points);
}

std::size_t QuantizeRunsToNibbles(const float* src, std::size_t count,
                                  std::size_t run_length, const float* inverses,
                                  const float* zero_points, int32_t qmin,
                                  int32_t qmax, uint8_t* dst,
                                  std::size_t ahead) {
  if (UseScalarReference()) return 0;
  return HWY_DYNAMIC_DISPATCH(QuantizeToNibbles)(
      src, count, run_length, inverses, zero_points, qmin, qmax, dst, ahead);
}

std::size_t DequantizeRunsOfNibbles(const uint8_t* src, bool is_signed,
                                    std::size_t count, std::size_t run_length,
                                    const float* scales,
                                    const float* zero_points, float* dst,
                                    bool streaming) {
  if (UseScalarReference()) return 0;
  return HWY_DYNAMIC_DISPATCH(DequantizeNibbles)(
      src, is_signed, count, run_length, scales, zero_points, dst, streaming);
}

#define QUANTIZE_TYPE(NAME, T)                                                 \
  HWY_EXPORT(Quantize##NAME);                                                  \
  HWY_EXPORT(Dequantize##NAME);                                                \
  template <>                                                                  \
  void QuantizeRuns(const float* src, std::size_t count,                       \
                    std::size_t run_length, const float* inverses,             \
                    const float* zero_points, int32_t qmin, int32_t qmax,      \
                    T* dst, std::size_t ahead) {                               \
    if (UseScalarReference()) {                                                \
      return reference::QuantizeRuns(src, count, run_length, inverses,         \
                                     zero_points, qmin, qmax, dst);            \
    }                                                                          \
    HWY_DYNAMIC_DISPATCH(Quantize##NAME)                                       \
    (src, count, run_length, inverses, zero_points, qmin, qmax, dst, ahead);   \
  }                                                                            \
  template <>                                                                  \
  void DequantizeRuns(const T* src, std::size_t count, std::size_t run_length, \
                      const float* scales, const float* zero_points,           \
                      float* dst) {                                            \
    if (UseScalarReference()) {                                                \
      return reference::DequantizeRuns(src, count, run_length, scales,         \
                                       zero_points, dst);                      \
    }                                                                          \
    HWY_DYNAMIC_DISPATCH(Dequantize##NAME)                                     \
    (src, count, run_length, scales, zero_points, dst);                        \
  }                                                                            \
  HWY_EXPORT(StreamDequantized##NAME);                                         \
  template <>                                                                  \
  std::size_t StreamDequantizedRuns(                                           \
      const T* src, std::size_t count, std::size_t run_length,                 \
      const float* scales, const float* zero_points, float* dst) {             \
    if (UseScalarReference()) return 0;                                        \
    return HWY_DYNAMIC_DISPATCH(StreamDequantized##NAME)(                      \
        src, count, run_length, scales, zero_points, dst);                     \
  }
QUANTIZE_TYPE(Int8, int8_t)
QUANTIZE_TYPE(UInt8, uint8_t)
QUANTIZE_TYPE(Int16, int16_t)
QUANTIZE_TYPE(UInt16, uint16_t)
#undef QUANTIZE_TYPE

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
