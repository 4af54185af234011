// softmax_codes.h in Highway: this file is compiled once per target. What it
// makes is the table of the output's codes; long rows are looked up in it.
#include "quantization/kernels/softmax_codes.h"

#include "quantization/kernels/byte_table.h"
#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/softmax_codes.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sets table[c] to the output's code for each code c of a row of at least
// kCountedRow values.
#if HWY_TARGET == HWY_SCALAR

bool MakeTable(const uint8_t* x, int64_t count, const double* terms,
               double y_scale, const CodeRange& range, uint8_t* table) {
  return false;
}

#else

// The lanes that eight sums are in.
using D = hn::CappedTag<double, 8>;
constexpr int kLanes = HWY_MIN(8, HWY_LANES(double));
constexpr int kVectors = 8 / kLanes;

bool MakeTable(const uint8_t* HWY_RESTRICT x, int64_t count,
               const double* HWY_RESTRICT terms, double y_scale,
               const CodeRange& range, uint8_t* HWY_RESTRICT table) {
  const D d;
  const hn::Rebind<int32_t, D> di;
  // In turn, so that equal neighbours do not wait for each other's store.
  HWY_ALIGN int32_t counts[4][256] = {};
  int largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = x[i] > largest ? x[i] : largest;
  }
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int k = 0; k < 4; ++k) ++counts[k][x[i + k]];
  }
  for (; i < count; ++i) ++counts[0][x[i]];

  const double* const t = terms + 255 - largest;
  hn::Vec<D> sums[kVectors];
  for (auto& sum : sums) sum = hn::Zero(d);
  for (int code = 0; code < 256; code += 8) {
    for (int k = 0; k < kVectors; ++k) {
      const int c = code + k * kLanes;
      const auto all = hn::Add(
          hn::Add(hn::LoadU(di, counts[0] + c), hn::LoadU(di, counts[1] + c)),
          hn::Add(hn::LoadU(di, counts[2] + c), hn::LoadU(di, counts[3] + c)));
      sums[k] =
          hn::Add(sums[k], hn::Mul(hn::PromoteTo(d, all), hn::LoadU(d, t + c)));
    }
  }
  HWY_ALIGN double s[8];
  for (int k = 0; k < kVectors; ++k) hn::Store(sums[k], d, s + k * kLanes);
  const double sum =
      ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));

  const auto factor = hn::Set(d, 1 / (y_scale * sum));
  const auto low = hn::Set(d, range.qmin - range.zero_point);
  const auto high = hn::Set(d, range.qmax - range.zero_point);
  const auto magic = hn::Set(d, 0x1.8p52);  // as RoundedCode's
  const auto zero_point = hn::Set(di, range.zero_point);
  HWY_ALIGN int32_t codes[256];
  for (int code = 0; code < 256; code += kLanes) {
    const auto value = hn::Mul(hn::LoadU(d, t + code), factor);
    const auto clamped = hn::Min(hn::Max(value, low), high);
    const auto rounded = hn::Sub(hn::Add(clamped, magic), magic);
    hn::Store(hn::Add(hn::DemoteTo(di, rounded), zero_point), di, codes + code);
  }
  for (int code = 0; code < 256; ++code) {
    table[code] = static_cast<uint8_t>(codes[code]);
  }
  return true;
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(MakeTable);

void SoftmaxCodes(const uint8_t* x, int64_t count, const double* terms,
                  float y_scale, const CodeRange& range, uint8_t* y) {
  alignas(64) uint8_t table[256];
  if (count < kCountedRow || UseScalarReference() ||
      !HWY_DYNAMIC_DISPATCH(MakeTable)(x, count, terms, y_scale, range,
                                       table)) {
    return reference::SoftmaxCodes(x, count, terms, y_scale, range, y);
  }
  LookUpBytes(x, count, table, y);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
