// Sums of rows in Highway: this file is compiled once per target.
#include "quantization/kernels/row_sums.h"

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/row_sums.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void SumRows(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums) {
  reference::RowSums(a, rows, k, stride, row_sums);
}

#else

namespace hn = hwy::HWY_NAMESPACE;

// A mask of 16 bytes that keeps the last n.
HWY_INLINE const uint8_t* LastBytes(size_t n) {
  static constexpr uint8_t kWindow[32] = {
      0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
      0,   0,   0,   0,   0,   255, 255, 255, 255, 255, 255,
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  return kWindow + n;
}

HWY_INLINE uint64_t SumRow(const uint8_t* a, size_t k) {
  const hn::ScalableTag<uint8_t> d8;
  const hn::RepartitionToWide<
      hn::RepartitionToWide<hn::RepartitionToWide<decltype(d8)> > >
      d64;
  const hn::FixedTag<uint8_t, 16> block;
  const hn::FixedTag<uint64_t, 2> block64;
  const size_t lanes = hn::Lanes(d8);
  if (k < 16) {
    uint64_t sum = 0;
    for (size_t i = 0; i < k; ++i) sum += a[i];
    return sum;
  }
  size_t i = 0;
  auto wide = hn::Zero(d64);
  for (; i + lanes <= k; i += lanes) {
    wide = hn::Add(wide, hn::SumsOf8(hn::LoadU(d8, a + i)));
  }
  auto narrow = hn::Zero(block64);
  for (; i + 16 <= k; i += 16) {
    narrow = hn::Add(narrow, hn::SumsOf8(hn::LoadU(block, a + i)));
  }
  if (i != k) {
    const auto last = hn::And(hn::LoadU(block, a + k - 16),
                              hn::LoadU(block, LastBytes(k - i)));
    narrow = hn::Add(narrow, hn::SumsOf8(last));
  }
  return hn::GetLane(hn::SumOfLanes(d64, wide)) +
         hn::GetLane(hn::SumOfLanes(block64, narrow));
}

void SumRows(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums) {
  for (int64_t r = 0; r < rows; ++r) {
    row_sums[r] = static_cast<int32_t>(
        static_cast<uint32_t>(SumRow(a + r * stride, static_cast<size_t>(k))));
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(SumRows);

void RowSums(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums) {
  if (UseScalarReference()) {
    return reference::RowSums(a, rows, k, stride, row_sums);
  }
  HWY_DYNAMIC_DISPATCH(SumRows)(a, rows, k, stride, row_sums);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
