// The searches' loops in Highway: this file is compiled once per target.
#include "quantization/kernels/range_error.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/range_error.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
// After highway.h.
#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;

// Of ranges at..at + kVectors * lanes - 1. Several vectors hide the latency of
// the additions, which keep their order.
template <size_t kVectors>
HWY_INLINE void SumBlock(const double* value, const double* slope,
                         const double* curvature, const Positions& positions,
                         size_t at, double* sums) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V acc[kVectors];
  for (size_t v = 0; v < kVectors; ++v) acc[v] = hn::Zero(d);
  for (size_t k = 0; k < positions.count; ++k) {
    const double f = positions.fractions[k];
    const V fraction = hn::Set(d, f);
    const V half_square = hn::Set(d, f * f / 2);
    const size_t i = at + positions.offsets[k];
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t b = i + v * lanes;
      V sum = hn::Add(acc[v], hn::LoadU(d, value + b));
      sum = hn::Add(sum, hn::Mul(hn::LoadU(d, slope + b), fraction));
      acc[v] = hn::Add(sum, hn::Mul(hn::LoadU(d, curvature + b), half_square));
    }
  }
  for (size_t v = 0; v < kVectors; ++v) {
    hn::StoreU(acc[v], d, sums + at + v * lanes);
  }
}

void SumAtOffsets(const double* value, const double* slope,
                  const double* curvature, const Positions& positions,
                  size_t count, double* sums) {
  const size_t lanes = hn::Lanes(D());
  size_t at = 0;
  for (; at + 8 * lanes <= count; at += 8 * lanes) {
    SumBlock<8>(value, slope, curvature, positions, at, sums);
  }
  for (; at + 2 * lanes <= count; at += 2 * lanes) {
    SumBlock<2>(value, slope, curvature, positions, at, sums);
  }
  for (; at + lanes <= count; at += lanes) {
    SumBlock<1>(value, slope, curvature, positions, at, sums);
  }
  if (at < count && count >= lanes) {
    // The last ranges once more, together with those before them.
    SumBlock<1>(value, slope, curvature, positions, count - lanes, sums);
  } else if (at < count) {
    reference::SumAtOffsets(value, slope, curvature, positions, count, sums);
  }
}

template <class V>
HWY_INLINE V XLogX(V x) {
  const hn::DFromV<V> d;
  const V log = hn::Log(d, hn::Max(x, hn::Set(d, 1.0)));
  return hn::Mul(x, log);  // counts: below 1 is 0
}

// mass * log(nonzero / expected); 0 where mass is.
HWY_INLINE V Cell(V mass, V nonzero, V expected) {
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1.0);
  const auto any = hn::Gt(mass, zero);
  // Mass over nothing expected comes from beyond the range: infinite.
  const auto impossible = hn::And(any, hn::Eq(expected, zero));
  const auto regular = hn::AndNot(impossible, any);
  const V ratio = hn::Div(hn::IfThenElse(regular, nonzero, one),
                          hn::IfThenElse(regular, expected, one));
  const V term = hn::IfThenElseZero(any, hn::Mul(mass, hn::Log(d, ratio)));
  return hn::IfThenElse(impossible, hn::Inf(d), term);
}

struct Boundary {
  V before;          // counts before it
  V nonzero_before;  // and bins
  V whole_before;    // counts before the first whole bin after it
  V piece;           // whole counts of the piece after it
};

HWY_INLINE Boundary LoadBoundary(const KlBins& bins, size_t i, double f,
                                 V* mass, V* nonzero, V* expected,
                                 const Boundary& last) {
  const D d;
  const V fraction = hn::Set(d, f);
  const V m = hn::LoadU(d, bins.counts + i);
  const V before = hn::LoadU(d, bins.counts_before + i);
  const V cut = hn::Mul(m, fraction);
  Boundary b;
  b.before = hn::Add(before, cut);
  b.nonzero_before = hn::Add(hn::LoadU(d, bins.nonzero_before + i),
                             hn::Mul(hn::LoadU(d, bins.nonzero + i), fraction));
  b.whole_before = hn::Add(before, m);
  b.piece = hn::Floor(hn::Mul(m, hn::Set(d, 1 - f)));
  *mass = hn::Add(hn::Add(hn::Sub(before, last.whole_before), last.piece),
                  hn::Floor(cut));
  *nonzero = hn::Sub(b.nonzero_before, last.nonzero_before);
  *expected = hn::Sub(b.before, last.before);
  return b;
}

// One vector of ranges. Cells are added from the left; the first and the last,
// which hold what lies outside, come before all others, for they alone tell
// most ranges that are too small.
HWY_INLINE void KlVector(const KlBins& bins, size_t num_bins,
                         const Positions& positions, const double* const* cut,
                         size_t size, size_t s, double limit, double* dst) {
  const D d;
  const V zero = hn::Zero(d);
  const V one = hn::Set(d, 1.0);
  const size_t levels = positions.count - 1;
  const size_t e = s + size;

  const V left = hn::LoadU(d, bins.counts_before + s);
  const V right = hn::Sub(hn::Set(d, bins.counts_before[num_bins]),
                          hn::LoadU(d, bins.counts_before + e));
  const V m_first = hn::LoadU(d, bins.counts + s);
  const V m_last = hn::LoadU(d, bins.counts + e - 1);
  const V entropy_first = hn::LoadU(d, bins.entropy_before + s);
  const V entropy_last = hn::LoadU(d, bins.entropy_before + e);
  // Whole bins' entropy is added as the cells are, so that a partial sum is a
  // lower bound.
  V edges = hn::Add(hn::Sub(XLogX(hn::Add(m_first, left)), XLogX(m_first)),
                    hn::Sub(XLogX(hn::Add(m_last, right)), XLogX(m_last)));

  Boundary b{left, hn::LoadU(d, bins.nonzero_before + s), left, zero};
  V mass, nonzero, expected;
  // First cell.
  b = LoadBoundary(bins, s + positions.offsets[1], positions.fractions[1],
                   &mass, &nonzero, &expected, b);
  nonzero = hn::Add(
      nonzero, hn::IfThenElseZero(
                   hn::And(hn::Eq(m_first, zero), hn::Gt(left, zero)), one));
  edges = hn::Add(edges, Cell(hn::Add(mass, left), nonzero, expected));
  // Last cell.
  Boundary last;
  {
    // The boundary itself is wanted, not the cell before it.
    const size_t i = s + positions.offsets[levels - 1];
    V unused_mass, unused_nonzero, unused_expected;
    last = LoadBoundary(bins, i, positions.fractions[levels - 1], &unused_mass,
                        &unused_nonzero, &unused_expected, b);
    V m, n, x;
    LoadBoundary(bins, e, 0.0, &m, &n, &x, last);
    n = hn::Add(n,
                hn::IfThenElseZero(
                    hn::And(hn::Eq(m_last, zero), hn::Gt(right, zero)), one));
    edges = hn::Add(edges, Cell(hn::Add(m, right), n, x));
  }
  const size_t last_cut = s + positions.offsets[levels - 1];
  const V last_bins =
      hn::Sub(entropy_last, hn::LoadU(d, bins.entropy_before + last_cut + 1));
  const size_t lanes = hn::Lanes(d);
  V terms = edges;
  // Cells are taken in runs, between which there is time for a look around.
  constexpr size_t kRun = 4, kRunsOfBound = 8;
  size_t next_bound = 1;
  for (size_t k = 1;;) {
    // Over cells that have no counts in any of the ranges.
    const int64_t empty = bins.next[s + positions.offsets[k]] -
                          static_cast<int64_t>(s + lanes - 1);
    if (empty > positions.offsets[k]) {
      k = std::max(k, LastBoundaryBefore(empty, size, levels));
    }
    const size_t i = s + positions.offsets[k];
    terms = hn::Add(terms, hn::LoadU(d, cut[k] + i));
    if (k >= next_bound) {
      next_bound = k + kRunsOfBound * kRun;
      // All cells up to boundary k and the last one, whose first piece is
      // missing and would add, as pieces never take away.
      const V whole_bins = hn::Add(
          hn::Sub(hn::LoadU(d, bins.entropy_before + i + 1), entropy_first),
          last_bins);
      const V piece_density =
          hn::Mul(b.piece, hn::Set(d, 1 / (1 - positions.fractions[k])));
      const V piece = hn::Mul(b.piece, hn::Log(d, hn::Max(one, piece_density)));
      // A cut loses a count at most, and a lost count a nat.
      const V lost = hn::Set(d, static_cast<double>(levels - k));
      const V bound = hn::Sub(hn::Sub(hn::Add(terms, whole_bins), piece), lost);
      if (hn::AllTrue(d, hn::Gt(bound, hn::Set(d, limit)))) {
        hn::StoreU(bound, d, dst);
        return;
      }
    }
    if (k + 1 == levels) break;
    const size_t end = std::min(k + kRun, levels - 1);
    for (;;) {
      b = LoadBoundary(bins, s + positions.offsets[k + 1],
                       positions.fractions[k + 1], &mass, &nonzero, &expected,
                       b);
      terms = hn::Add(terms, Cell(mass, nonzero, expected));
      if (++k == end) break;
      terms = hn::Add(terms, hn::LoadU(d, cut[k] + s + positions.offsets[k]));
    }
  }
  hn::StoreU(hn::Add(terms, hn::Sub(entropy_last, entropy_first)), d, dst);
}

void KlOfRanges(const KlBins& bins, size_t num_bins, const Positions& positions,
                const double* const* cut, size_t size, size_t first,
                size_t count, double limit, double* divergences) {
  const size_t lanes = hn::Lanes(D());
  if (count < lanes) {
    return reference::KlOfRanges(bins, num_bins, positions, cut, size, first,
                                 count, limit, divergences);
  }
  for (size_t j = 0; j < count; j += lanes) {
    // The last ranges once more, together with those before them.
    const size_t at = std::min(j, count - lanes);
    KlVector(bins, num_bins, positions, cut, size, first + at, limit,
             divergences + at);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(SumAtOffsets);
HWY_EXPORT(KlOfRanges);

void SumAtOffsets(const double* value, const double* slope,
                  const double* curvature, const Positions& positions,
                  std::size_t count, double* sums) {
  if (UseScalarReference()) {
    return reference::SumAtOffsets(value, slope, curvature, positions, count,
                                   sums);
  }
  HWY_DYNAMIC_DISPATCH(SumAtOffsets)
  (value, slope, curvature, positions, count, sums);
}

void KlOfRanges(const KlBins& bins, std::size_t num_bins,
                const Positions& positions, const double* const* cut,
                std::size_t size, std::size_t first, std::size_t count,
                double limit, double* divergences) {
  if (UseScalarReference()) {
    return reference::KlOfRanges(bins, num_bins, positions, cut, size, first,
                                 count, limit, divergences);
  }
  HWY_DYNAMIC_DISPATCH(KlOfRanges)
  (bins, num_bins, positions, cut, size, first, count, limit, divergences);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
