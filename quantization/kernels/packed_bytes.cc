// The packed byte kernels in Highway: this file is compiled once per target.
//
// Three ways to insert or remove the 1 after a byte of 128 or more:
//   AVX3_DL     8-bit Compress, 64 bytes at a time;
//   AVX2, AVX3  a table of byte shuffles, eight bytes a look-up (8-bit Compress
//               is emulated there: 0.24 GB/s with AVX2);
//   the rest    no byte shuffle: loops without branches.
#include "quantization/kernels/packed_bytes.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/packed_bytes_tables.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/packed_bytes.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// How many values the reference decodes after a varint that is not in its
// shortest form, before the fast loop tries again.
constexpr size_t kDetour = 64;

#if HWY_TARGET != HWY_SCALAR

// The mask of d as an integer: bit i is lane i. Bytes only.
template <class D>
HWY_INLINE uint64_t BitsOf(D d, hn::Mask<D> mask) {
  static_assert(sizeof(hn::TFromD<D>) == 1, "one bit a byte");
  constexpr size_t kLanes = hn::MaxLanes(D());
  // The store must have the size of the load for the compiler to see through.
  if (kLanes == 64) {
    uint64_t bits;
    hn::StoreMaskBits(d, mask, reinterpret_cast<uint8_t*>(&bits));
    return bits;
  }
  if (kLanes == 32) {
    alignas(8) uint32_t bits[2];
    hn::StoreMaskBits(d, mask, reinterpret_cast<uint8_t*>(bits));
    return bits[0];
  }
  alignas(8) uint16_t bits[4];
  hn::StoreMaskBits(d, mask, reinterpret_cast<uint8_t*>(bits));
  return bits[0];
}

// Bit i: byte i is 128 or more.
template <class D, class V>
HWY_INLINE uint64_t TopBits(D d, V v) {
  const hn::RebindToSigned<D> di;
  return BitsOf(d, hn::RebindMask(d, hn::Lt(hn::BitCast(di, v), hn::Zero(di))));
}

size_t Size(const uint8_t* HWY_RESTRICT src, size_t n) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t size = n;
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    size += hwy::PopCount(TopBits(d, hn::LoadU(d, src + i)));
  }
  for (; i < n; ++i) size += src[i] >> 7;
  return size;
}

#else

size_t Size(const uint8_t* HWY_RESTRICT src, size_t n) {
  return reference::PackedBytesSize(src, n);
}

#endif

// The rest of src from value i on, one by one.
HWY_INLINE size_t EncodeTail(const uint8_t* HWY_RESTRICT src, size_t i,
                             size_t n, uint8_t* begin, uint8_t* dst) {
  return static_cast<size_t>(dst - begin) +
         reference::EncodePackedBytes(src + i, n - i, dst);
}

// In every form a store may write past the values it encodes, never past the
// end of dst: each later value makes at least one wire byte, so the loop runs
// while enough of them are left.
#if HWY_TARGET == HWY_AVX3_DL

size_t Encode(const uint8_t* HWY_RESTRICT src, size_t n,
              uint8_t* HWY_RESTRICT dst) {
  const hn::ScalableTag<uint8_t> d8;
  const hn::Repartition<uint16_t, decltype(d8)> d16;
  const hn::Rebind<uint8_t, decltype(d16)> half;
  const hn::RebindToSigned<decltype(d8)> di8;
  const size_t step = hn::Lanes(d16);
  const auto one_above = hn::Set(d16, 0x0100);
  const auto keep_low = hn::Set(d16, 0x0080);
  uint8_t* const begin = dst;
  size_t i = 0;
  for (; i + 2 * step <= n; i += step) {
    const auto v = hn::PromoteTo(d16, hn::LoadU(half, src + i));
    // Pairs (v, 1), of which the first always stays and the second when the top
    // bit of v says so: those are the sign bits of (0x80, v).
    const auto pairs = hn::BitCast(d8, hn::Or(v, one_above));
    const auto signs = hn::Or(hn::ShiftLeft<8>(v), keep_low);
    const auto stay =
        hn::RebindMask(d8, hn::Lt(hn::BitCast(di8, signs), hn::Zero(di8)));
    hn::StoreU(hn::Compress(pairs, stay), d8, dst);
    dst += hn::CountTrue(d8, stay);
  }
  return EncodeTail(src, i, n, begin, dst);
}

#elif HWY_TARGET <= HWY_SSSE3

size_t Encode(const uint8_t* HWY_RESTRICT src, size_t n,
              uint8_t* HWY_RESTRICT dst) {
  const hn::Full128<uint8_t> d;
  const auto ones = hn::Set(d, 1);
  uint8_t* const begin = dst;
  size_t i = 0;
  for (; i + 24 <= n; i += 16) {
    const auto v = hn::LoadU(d, src + i);
    const uint64_t mask = TopBits(d, v);
    const uint64_t low = mask & 0xFF;
    const uint64_t high = mask >> 8;
    // Eight values and eight ones to choose from: 8 to 16 wire bytes.
    hn::StoreU(
        hn::TableLookupBytes(hn::ConcatLowerLower(d, ones, v),
                             hn::Load(d, kPackedBytesTables.expand[low])),
        d, dst);
    dst += 8 + hwy::PopCount(low);
    hn::StoreU(
        hn::TableLookupBytes(hn::ConcatUpperUpper(d, ones, v),
                             hn::Load(d, kPackedBytesTables.expand[high])),
        d, dst);
    dst += 8 + hwy::PopCount(high);
  }
  return EncodeTail(src, i, n, begin, dst);
}

#else

size_t Encode(const uint8_t* HWY_RESTRICT src, size_t n,
              uint8_t* HWY_RESTRICT dst) {
  uint8_t* const begin = dst;
  size_t i = 0;
  for (; i + 2 <= n; ++i) {
    dst[0] = src[i];
    dst[1] = 1;
    dst += 1 + (src[i] >> 7);
  }
  return EncodeTail(src, i, n, begin, dst);
}

#endif

// Decoding. A byte is the second of a pair when the byte before it is 128 or
// more; it must then be 1, else the varint is not in its shortest form (or is
// no byte) and the reference looks at it.
//
// DecodeShortest() advances *consumed and *produced over whole varints in their
// shortest form, and stops in front of another form or near the end of src or
// dst.
#if HWY_TARGET == HWY_AVX3_DL

void DecodeShortest(const uint8_t* HWY_RESTRICT src, size_t src_size,
                    uint8_t* HWY_RESTRICT dst, size_t dst_capacity,
                    size_t* consumed, size_t* produced) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  const auto one = hn::Set(d, 1);
  size_t in = *consumed;
  size_t out = *produced;
  uint64_t carry = 0;  // the last byte read was the first of a pair
  while (in + lanes <= src_size && out + lanes <= dst_capacity) {
    const auto v = hn::LoadU(d, src + in);
    const uint64_t firsts = TopBits(d, v);
    const uint64_t seconds = (firsts << 1) | carry;
    if ((seconds & ~BitsOf(d, hn::Eq(v, one))) != 0) break;
    const uint64_t keep = ~seconds;
    const auto mask =
        hn::LoadMaskBits(d, reinterpret_cast<const uint8_t*>(&keep));
    hn::StoreU(hn::Compress(v, mask), d, dst + out);
    carry = firsts >> 63;
    in += lanes;
    out += hwy::PopCount(keep);
  }
  *consumed = in - carry;
  *produced = out - carry;
}

#elif HWY_TARGET <= HWY_SSSE3

void DecodeShortest(const uint8_t* HWY_RESTRICT src, size_t src_size,
                    uint8_t* HWY_RESTRICT dst, size_t dst_capacity,
                    size_t* consumed, size_t* produced) {
  const hn::CappedTag<uint8_t, 32> d;
  const hn::Full64<uint8_t> d64;
  constexpr size_t kStep = 32;
  const auto one = hn::Set(d, 1);
  size_t in = *consumed;
  size_t out = *produced;
  uint64_t carry = 0;  // the last byte read was the first of a pair
  while (in + kStep <= src_size && out + kStep <= dst_capacity) {
    const auto v = hn::LoadU(d, src + in);
    const uint64_t firsts = TopBits(d, v);
    const uint64_t seconds = ((firsts << 1) | carry) & 0xFFFFFFFFu;
    if ((seconds & ~BitsOf(d, hn::Eq(v, one))) != 0) break;
    const uint64_t keep = ~seconds;
    for (size_t k = 0; k < kStep; k += 8) {
      const size_t mask = (keep >> k) & 0xFF;
      const auto order = hn::LoadU(d64, kPackedBytesTables.keep[mask]);
      const auto bytes = hn::LoadU(d64, src + in + k);
      hn::StoreU(hn::TableLookupBytes(bytes, order), d64, dst + out);
      out += hwy::PopCount(mask);
    }
    carry = firsts >> 31;
    in += kStep;
  }
  *consumed = in - carry;
  *produced = out - carry;
}

#else

void DecodeShortest(const uint8_t* HWY_RESTRICT src, size_t src_size,
                    uint8_t* HWY_RESTRICT dst, size_t dst_capacity,
                    size_t* consumed, size_t* produced) {
  constexpr size_t kStep = 16;
  size_t in = *consumed;
  size_t out = *produced;
  uint32_t second = 0;  // the last byte read was the first of a pair
  while (in + kStep <= src_size && out + kStep <= dst_capacity) {
    // A byte that must go is written too, and then written over.
    size_t next = out;
    uint32_t carry = second;
    uint32_t other_form = 0;
    for (size_t k = 0; k < kStep; ++k) {
      const uint32_t byte = src[in + k];
      dst[next] = static_cast<uint8_t>(byte);
      other_form |= (byte ^ 1u) & (0u - carry);
      next += 1u - carry;
      carry = byte >> 7;
    }
    if (other_form != 0) break;
    in += kStep;
    out = next;
    second = carry;
  }
  *consumed = in - second;
  *produced = out - second;
}

#endif

PackedBytesResult Decode(const uint8_t* src, size_t src_size, uint8_t* dst,
                         size_t dst_capacity) {
  PackedBytesResult result;
  for (;;) {
    DecodeShortest(src, src_size, dst, dst_capacity, &result.consumed,
                   &result.produced);
    const size_t room = dst_capacity - result.produced;
    const size_t batch = std::min(room, kDetour);
    const PackedBytesResult rest = reference::DecodePackedBytes(
        src + result.consumed, src_size - result.consumed,
        dst + result.produced, batch);
    result.consumed += rest.consumed;
    result.produced += rest.produced;
    if (rest.outcome != PackedBytesOutcome::kTooMany || batch == room) {
      result.outcome = rest.outcome;
      result.value = rest.value;
      return result;
    }
  }
}

#if HWY_TARGET != HWY_SCALAR

size_t Narrow(const int32_t* HWY_RESTRICT src, size_t n,
              uint8_t* HWY_RESTRICT dst) {
  const hn::ScalableTag<int32_t> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const size_t lanes = hn::Lanes(d);
  const auto not_byte = hn::Set(du, ~uint32_t{0xFF});
  size_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const auto v0 = hn::LoadU(d, src + i);
    const auto v1 = hn::LoadU(d, src + i + lanes);
    const auto v2 = hn::LoadU(d, src + i + 2 * lanes);
    const auto v3 = hn::LoadU(d, src + i + 3 * lanes);
    const auto all = hn::Or(hn::Or(v0, v1), hn::Or(v2, v3));
    if (!hn::AllTrue(du, hn::Eq(hn::And(hn::BitCast(du, all), not_byte),
                                hn::Zero(du)))) {
      break;
    }
    hn::StoreU(hn::DemoteTo(d8, v0), d8, dst + i);
    hn::StoreU(hn::DemoteTo(d8, v1), d8, dst + i + lanes);
    hn::StoreU(hn::DemoteTo(d8, v2), d8, dst + i + 2 * lanes);
    hn::StoreU(hn::DemoteTo(d8, v3), d8, dst + i + 3 * lanes);
  }
  return i + reference::NarrowInt32ToBytes(src + i, n - i, dst + i);
}

#else

size_t Narrow(const int32_t* HWY_RESTRICT src, size_t n,
              uint8_t* HWY_RESTRICT dst) {
  return reference::NarrowInt32ToBytes(src, n, dst);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Size);
HWY_EXPORT(Encode);
HWY_EXPORT(Decode);
HWY_EXPORT(Narrow);

std::size_t PackedBytesSize(const uint8_t* src, std::size_t n) {
  if (UseScalarReference()) return reference::PackedBytesSize(src, n);
  return HWY_DYNAMIC_DISPATCH(Size)(src, n);
}

std::size_t EncodePackedBytes(const uint8_t* src, std::size_t n, uint8_t* dst) {
  if (UseScalarReference()) return reference::EncodePackedBytes(src, n, dst);
  return HWY_DYNAMIC_DISPATCH(Encode)(src, n, dst);
}

PackedBytesResult DecodePackedBytes(const uint8_t* src, std::size_t src_size,
                                    uint8_t* dst, std::size_t dst_capacity) {
  if (UseScalarReference()) {
    return reference::DecodePackedBytes(src, src_size, dst, dst_capacity);
  }
  return HWY_DYNAMIC_DISPATCH(Decode)(src, src_size, dst, dst_capacity);
}

std::size_t NarrowInt32ToBytes(const int32_t* src, std::size_t n,
                               uint8_t* dst) {
  if (UseScalarReference()) return reference::NarrowInt32ToBytes(src, n, dst);
  return HWY_DYNAMIC_DISPATCH(Narrow)(src, n, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
