// The plain scalar forms of the packed byte kernels.
#include "quantization/kernels/packed_bytes.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

constexpr std::size_t kMaxVarintBytes = 10;

}  // namespace

std::size_t PackedBytesSize(const uint8_t* src, std::size_t n) {
  std::size_t size = n;
  for (std::size_t i = 0; i < n; ++i) size += src[i] >> 7;
  return size;
}

std::size_t EncodePackedBytes(const uint8_t* src, std::size_t n, uint8_t* dst) {
  uint8_t* const begin = dst;
  for (std::size_t i = 0; i < n; ++i) {
    *dst++ = src[i];
    if (src[i] >= 0x80) *dst++ = 1;
  }
  return static_cast<std::size_t>(dst - begin);
}

PackedBytesResult DecodePackedBytes(const uint8_t* src, std::size_t src_size,
                                    uint8_t* dst, std::size_t dst_capacity) {
  PackedBytesResult result;
  const auto stop = [&result](PackedBytesOutcome outcome, int32_t value = 0) {
    result.outcome = outcome;
    result.value = value;
    return result;
  };
  while (result.consumed < src_size) {
    if (result.produced == dst_capacity) {
      return stop(PackedBytesOutcome::kTooMany);
    }
    const uint8_t* const varint = src + result.consumed;
    const std::size_t left = src_size - result.consumed;
    uint64_t value = 0;
    std::size_t length = 0;
    for (;;) {
      if (length == kMaxVarintBytes) return stop(PackedBytesOutcome::kOverlong);
      if (length == left) return stop(PackedBytesOutcome::kTruncated);
      const uint64_t byte = varint[length];
      value |= (byte & 0x7F) << (7 * length);
      ++length;
      if (byte < 0x80) break;
    }
    const uint32_t low = static_cast<uint32_t>(value);
    if (low > 255) {
      return stop(PackedBytesOutcome::kOutOfRange, static_cast<int32_t>(low));
    }
    dst[result.produced++] = static_cast<uint8_t>(low);
    result.consumed += length;
  }
  return result;
}

std::size_t NarrowInt32ToBytes(const int32_t* src, std::size_t n,
                               uint8_t* dst) {
  for (std::size_t i = 0; i < n; ++i) {
    if (static_cast<uint32_t>(src[i]) > 255) return i;
    dst[i] = static_cast<uint8_t>(src[i]);
  }
  return n;
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
