// AveragePool of pool.h in Highway: this file is compiled once per target. Sums
// are integers, which become floats exactly; codes are rounded as
// code_vectors-inl.h says.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/average_pool.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "quantization/kernels/code_vectors-inl.h"
#include "quantization/kernels/exact_vectors-inl.h"
#include "quantization/kernels/pool_lines-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <typename T>
void AverageLines(const PoolShape& shape, const T* src,
                  const AverageRounding& rounding, int64_t begin, int64_t end,
                  T* dst) {
  reference::AveragePool(shape, src, rounding, begin, end, dst);
}

#else

// How sums of n codes become codes.
struct Step {
  Step() = default;
  Step(const AverageRounding& rounding, int64_t n, int64_t most_code) : n(n) {
    const double scale = rounding.scale;
    const double divisor =
        static_cast<double>(rounding.divisor == 0 ? n : rounding.divisor);
    const double ratio = scale / rounding.y_scale;
    const double span = rounding.range.qmax - rounding.range.qmin + 1;
    offset = static_cast<int32_t>(n * rounding.zero_point);
    int exponent;
    if (std::frexp(ratio, &exponent) == 0.5 && std::abs(exponent) < 20 &&
        divisor * std::max(1.0, 1 / ratio) * span < 0x1p22) {
      // A sum times the ratio is exact, and so is a quotient that is a tie. All
      // others are farther from a tie than the quotient is off.
      divides = true;
      multiplier = static_cast<float>(ratio);
      denominator = static_cast<float>(divisor);
      return;
    }
    const double product = divisor * rounding.y_scale;
    const double exact = scale / product;
    const double largest = static_cast<double>(
        n * std::max<int64_t>(rounding.zero_point,
                              most_code - rounding.zero_point));
    multiplier = static_cast<float>(exact);
    slack = SumSlack(&exact, &largest, 1, IsExactQuotient(scale, product));
  }

  int64_t n = 0;
  int32_t offset = 0;  // n zero points
  bool divides = false;
  float multiplier = 0, denominator = 1;
  double slack = 0;
};

// Steps that were made; those of a line are few.
class Steps {
 public:
  Steps(const AverageRounding& rounding, int64_t most_code)
      : rounding_(rounding), most_code_(most_code) {}

  const Step& For(int64_t n) {
    Step& step = steps_[n % kCount];
    if (step.n != n) step = Step(rounding_, n, most_code_);
    return step;
  }
  const AverageRounding& rounding() const { return rounding_; }

 private:
  static constexpr int64_t kCount = 16;
  const AverageRounding rounding_;
  const int64_t most_code_;
  Step steps_[kCount];
};

HWY_INLINE VI LoadSums(const Whole& part, const int32_t* sums) {
  return part.Load(DI(), sums);
}
HWY_INLINE VI LoadSums(const Rest& part, const int32_t* sums) {
  return part.Load(DI(), sums);
}
template <class Part>
HWY_INLINE VI LoadSums(const Part& part, const uint16_t* sums) {
  return hn::PromoteTo(DI(), part.LoadCodes(sums));
}

// As many sums as there are lanes of double.
HWY_INLINE hn::Vec<DDI> LoadHalf(const int32_t* sums) {
  return hn::LoadU(DDI(), sums);
}
HWY_INLINE hn::Vec<DDI> LoadHalf(const uint16_t* sums) {
  return hn::PromoteTo(DDI(), hn::LoadU(hn::Rebind<uint16_t, DDI>(), sums));
}

// The codes of `count` sums of n codes each, by the rule itself.
template <typename Sum, typename T>
void RoundPlainly(const Sum* sums, int64_t count, int64_t n,
                  const AverageRounding& rounding, T* dst) {
  for (int64_t i = 0; i < count; ++i) {
    dst[i] = static_cast<T>(reference::RoundedAverage(rounding, sums[i], n));
  }
}

// The same, some codes at a time.
template <typename Sum, typename T>
HWY_NOINLINE void RoundExactly(const Sum* sums, int64_t count, int64_t n,
                               const AverageRounding& rounding, T* dst) {
  const DD d;
  const int64_t divisor = rounding.divisor == 0 ? n : rounding.divisor;
  const VD scale = hn::Set(d, double{rounding.scale});
  const VD denominator =
      hn::Set(d, static_cast<double>(divisor) * double{rounding.y_scale});
  const auto offset =
      hn::Set(DDI(), static_cast<int32_t>(n * rounding.zero_point));
  const auto value = [&](int64_t i) HWY_ATTR {
    const auto sum = LoadHalf(sums + i);
    return hn::Div(hn::Mul(scale, hn::PromoteTo(d, hn::Sub(sum, offset))),
                   denominator);
  };
  const auto plain = [&](int64_t i, int64_t some, T* codes) {
    RoundPlainly(sums + i, some, n, rounding, codes);
  };
  RoundDoublesToCodes(count, rounding.range, value, plain, dst);
}

// Writes the codes of `count` sums of n codes each. Sum: int32_t or uint16_t.
template <typename Sum, typename T>
HWY_NOINLINE void RoundSums(const Sum* sums, int64_t count, int64_t n,
                            Steps* steps, T* dst) {
  const AverageRounding& rounding = steps->rounding();
  // So few are faster one by one.
  if (count < 4) return RoundPlainly(sums, count, n, rounding, dst);
  const auto exact = [&](int64_t i, int64_t some, T* codes) HWY_ATTR {
    RoundExactly(sums + i, some, n, rounding, codes);
  };
  const Step& step = steps->For(n);
  const DF df;
  const VI offset = hn::Set(DI(), step.offset);
  const VF multiplier = hn::Set(df, step.multiplier);
  const auto scaled = [&](const auto& part, int64_t i) HWY_ATTR {
    const VI centred = hn::Sub(LoadSums(part, sums + i), offset);
    return hn::Mul(hn::ConvertTo(df, centred), multiplier);
  };
  if (step.divides) {
    const VF denominator = hn::Set(df, step.denominator);
    RoundToCodes(
        count, rounding.range, 0,
        [&](const auto& part, int64_t i)
            HWY_ATTR { return hn::Div(scaled(part, i), denominator); },
        exact, dst);
  } else {
    RoundToCodes(count, rounding.range, step.slack, scaled, exact, dst);
  }
}

// Pixels this far ahead are fetched into the cache: outside of it that takes
// half of the time off.
constexpr int64_t kAhead = 2048;

// The sums over `taps` pixels of each row, which lie `step` apart. d: uint16_t,
// which holds sums of 257 codes of 8 bits, or int32_t or uint32_t.
template <int kVectors, class D, typename T>
HWY_INLINE void SumOfTaps(D d, const Line<T>& line, const T* at, int64_t taps,
                          int64_t step, hn::TFromD<D>* sums) {
  static_assert(kVectors == 1 || kVectors == 4, "");
  const hn::Rebind<T, D> codes;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d);
  auto s1 = s0, s2 = s0, s3 = s0;
  const auto load = [&](const T* from) HWY_ATTR {
    return hn::PromoteTo(d, hn::LoadU(codes, from));
  };
  line.ForEachRow(at, [&](const T* from) HWY_ATTR {
    for (int64_t w = 0; w < taps; ++w, from += step) {
      s0 = hn::Add(s0, load(from));
      if constexpr (kVectors == 4) {
        hwy::Prefetch(from + kAhead);
        hwy::Prefetch(from + kAhead + 64 / sizeof(T));
        s1 = hn::Add(s1, load(from + lanes));
        s2 = hn::Add(s2, load(from + 2 * lanes));
        s3 = hn::Add(s3, load(from + 3 * lanes));
      }
    }
  });
  hn::StoreU(s0, d, sums);
  if constexpr (kVectors == 4) {
    hn::StoreU(s1, d, sums + lanes);
    hn::StoreU(s2, d, sums + 2 * lanes);
    hn::StoreU(s3, d, sums + 3 * lanes);
  }
}

// Channels last. A piece has at most kPiece channels and, so that a vector
// fits, kLeast more if these are the last ones.
constexpr int64_t kPiece = 1024;
constexpr int64_t kLeast = 64;

template <class D, typename T>
HWY_INLINE void AverageOfPixels(D d, const PoolShape& shape,
                                const Line<T>& line, Steps* steps, T* dst) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = shape.channels;
  HWY_ALIGN hn::TFromD<D> sums[kPiece + kLeast];
  for (int64_t o = 0; o < shape.output[2]; ++o) {
    const int64_t begin = shape.Begin(2, o);
    const int64_t taps = shape.End(2, o) - begin;
    const T* at = line.first + begin * channels;
    for (int64_t left = channels; left > 0;) {
      const int64_t count = left < kPiece + kLeast ? left : kPiece;
      CoverByVectors(count, lanes, [&](auto vectors, int64_t c) HWY_ATTR {
        SumOfTaps<decltype(vectors)::value>(d, line, at + c, taps, channels,
                                            sums + c);
      });
      RoundSums(sums, count, line.num_rows() * taps, steps, dst);
      at += count;
      dst += count;
      left -= count;
    }
  }
}

// The sum of n values that follow each other.
template <typename T>
HWY_INLINE int32_t SumOfRun(const T* HWY_RESTRICT from, int64_t n) {
  int32_t sum = 0;
  int64_t i = 0;
  if constexpr (sizeof(T) == 1) {
    const hn::FixedTag<uint8_t, 16> d;
    const hn::FixedTag<uint64_t, 2> d64;
    if (n >= 16) {
      auto sums = hn::Zero(d64);
      for (; i + 16 <= n; i += 16) {
        sums = hn::Add(sums, hn::SumsOf8(hn::LoadU(d, from + i)));
      }
      sum = static_cast<int32_t>(hn::GetLane(sums) + hn::ExtractLane(sums, 1));
    }
  }
  for (; i < n; ++i) sum += from[i];
  return sum;
}

// sums[o] adds up kKernel values from row + o * stride on.
template <int kKernel, typename T>
HWY_INLINE void SumOfSteps(const T* HWY_RESTRICT row, int64_t stride,
                           int64_t count, int32_t* HWY_RESTRICT sums) {
  for (int64_t o = 0; o < count; ++o) {
    int32_t sum = 0;
    for (int k = 0; k < kKernel; ++k) sum += row[o * stride + k];
    sums[o] = sum;
  }
}

// Channels first: gathers sums in the order of dst, and rounds those that
// follow each other and add up as many codes at once.
template <typename T>
class Planes {
 public:
  Planes(const PoolShape& shape, Steps* steps, T* dst)
      : shape_(shape), steps_(steps), whole_(shape), dst_(dst) {}
  ~Planes() { Flush(); }

  // Adds the line whose rows are added up in `row`, of num_rows rows. Row: T,
  // or int32_t.
  template <typename Row>
  HWY_INLINE void AddLine(const Row* row, int64_t num_rows) {
    const auto one = [&](int64_t o) HWY_ATTR {
      const int64_t begin = shape_.Begin(2, o);
      const int64_t taps = shape_.End(2, o) - begin;
      *Room(num_rows * taps, 1) = SumOfRun(row + begin, taps);
    };
    const int64_t kernel = shape_.kernel[2], stride = shape_.stride[2];
    for (int64_t o = 0; o < whole_.begin; ++o) one(o);
    for (int64_t o = whole_.begin; o < whole_.end;) {
      const int64_t count = std::min(whole_.end - o, kPiece);
      const Row* const from = row + o * stride - shape_.pad[2];
      int32_t* const sums = Room(num_rows * kernel, count);
      if (kernel == 3 && stride == 2) {
        SumOfSteps<3>(from, 2, count, sums);
      } else if (kernel == 3) {
        SumOfSteps<3>(from, stride, count, sums);
      } else if (kernel == 2) {
        SumOfSteps<2>(from, stride, count, sums);
      } else {
        for (int64_t i = 0; i < count; ++i) {
          sums[i] = SumOfRun(from + i * stride, kernel);
        }
      }
      o += count;
    }
    for (int64_t o = whole_.end; o < shape_.output[2]; ++o) one(o);
  }

 private:
  // Where the next `count` sums go, of n codes each.
  int32_t* Room(int64_t n, int64_t count) {
    if (n != n_ || count_ + count > kPiece) Flush();
    n_ = n;
    int32_t* const sums = sums_ + count_;
    count_ += count;
    return sums;
  }
  void Flush() {
    RoundSums(sums_, count_, n_, steps_, dst_);
    dst_ += count_;
    count_ = 0;
  }

  const PoolShape& shape_;
  Steps* const steps_;
  const WholeWindows whole_;
  T* dst_;
  int64_t n_ = 0, count_ = 0;
  HWY_ALIGN int32_t sums_[kPiece];
};

template <typename T>
void AverageOfPlanes(const PoolShape& shape, const T* src, Steps* steps,
                     int64_t begin, int64_t end, T* dst) {
  const int64_t width = shape.input[2];
  Planes<T> planes(shape, steps, dst);
  HWY_ALIGN int32_t row[kMostWidth];
  for (int64_t i = begin; i < end; ++i) {
    const Line<T> line(shape, src, i);
    if (line.num_rows() == 1) {
      planes.AddLine(line.first, 1);
      continue;
    }
    const bool done = WithVectors<int32_t>(width, [&](auto d) HWY_ATTR {
      CoverByVectors(width, static_cast<int64_t>(hn::Lanes(d)),
                     [&](auto vectors, int64_t w) HWY_ATTR {
                       SumOfTaps<decltype(vectors)::value>(
                           d, line, line.first + w, 1, 1, row + w);
                     });
    });
    if (!done) {
      std::fill(row, row + width, 0);
      line.ForEachRow(line.first, [&](const T* from) {
        for (int64_t w = 0; w < width; ++w) row[w] += from[w];
      });
    }
    planes.AddLine(row, line.num_rows());
  }
}

template <typename T>
void AverageLines(const PoolShape& shape, const T* src,
                  const AverageRounding& rounding, int64_t begin, int64_t end,
                  T* dst) {
  constexpr int64_t kMostCode = static_cast<T>(~T{0});
  int64_t taps = 1;
  for (int dim = 0; dim < 3; ++dim) {
    taps *= std::min(shape.kernel[dim], shape.input[dim]);
  }
  // A sum must be a float.
  if (taps > (int64_t{1} << 24) / kMostCode ||
      (shape.channels_first && shape.input[2] > kMostWidth)) {
    return reference::AveragePool(shape, src, rounding, begin, end, dst);
  }
  Steps steps(rounding, kMostCode);
  if (shape.channels_first) {
    return AverageOfPlanes(shape, src, &steps, begin, end, dst);
  }
  const auto pixels = [&](auto d) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      AverageOfPixels(d, shape, Line<T>(shape, src, i), &steps,
                      dst + (i - begin) * shape.line_size());
    }
  };
  bool done = false;
  if constexpr (sizeof(T) == 1) {
    if (taps <= 257) done = WithVectors<uint16_t>(shape.channels, pixels);
  }
  done = done || WithVectors<int32_t>(shape.channels, pixels);
  if (!done) reference::AveragePool(shape, src, rounding, begin, end, dst);
}

#endif

void AveragePool8(const PoolShape& shape, const uint8_t* src,
                  const AverageRounding& rounding, int64_t begin, int64_t end,
                  uint8_t* dst) {
  AverageLines(shape, src, rounding, begin, end, dst);
}

void AveragePool16(const PoolShape& shape, const uint16_t* src,
                   const AverageRounding& rounding, int64_t begin, int64_t end,
                   uint16_t* dst) {
  AverageLines(shape, src, rounding, begin, end, dst);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(AveragePool8);
HWY_EXPORT(AveragePool16);

template <typename T>
void AveragePool(const PoolShape& shape, const T* src,
                 const AverageRounding& rounding, int64_t begin, int64_t end,
                 T* dst) {
  if (UseScalarReference()) {
    return reference::AveragePool(shape, src, rounding, begin, end, dst);
  }
  if constexpr (sizeof(T) == 1) {
    HWY_DYNAMIC_DISPATCH(AveragePool8)(shape, src, rounding, begin, end, dst);
  } else {
    HWY_DYNAMIC_DISPATCH(AveragePool16)(shape, src, rounding, begin, end, dst);
  }
}
template void AveragePool(const PoolShape&, const uint8_t*,
                          const AverageRounding&, int64_t, int64_t, uint8_t*);
template void AveragePool(const PoolShape&, const uint16_t*,
                          const AverageRounding&, int64_t, int64_t, uint16_t*);

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
