#include "quantization/quantize.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>

#include "base/return_if_error.h"
#include "quantization/for_each_run.h"
#include "quantization/kernels/isa.h"
#include "quantization/kernels/nibbles.h"
#include "quantization/kernels/quantize.h"
#include "quantization/storage.h"

namespace caffe2_quantization {
namespace {

using kernels::kCacheLine;
using kernels::StoreHint;

constexpr int kMostPackedBits = 4;

Status CheckPacked(QuantizedType type) {
  if (type.precision <= kMostPackedBits) return Status::Ok();
  return Status::InvalidArgument("quantization: packed values of " +
                                 type.Name() + ", expected 4 bits or fewer");
}

bool Streams(StoreHint hint, std::size_t bytes_moved) {
  if (hint != StoreHint::kAuto || kernels::UseScalarReference()) {
    return hint == StoreHint::kStreaming;
  }
  return bytes_moved > kernels::LastLevelCacheBytes();
}

// Takes an array's values a piece at a time. A streaming one gathers them in
// the first cache level, and sends whole lines of the array past the cache.
template <typename T>
class Sink {
 public:
  Sink(T* dst, bool streaming) : array_(dst), streaming_(streaming) {
    Begin(dst);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // The next values go to array[offset] and on. One piece after another is
  // fastest.
  void Seek(std::size_t offset) {
    T* const to = array_ + offset;
    if (to == dst_ + (used_ - begin_) / sizeof(T)) return;
    Flush();
    Begin(to);
  }

  // Room for count values, kPieceValues at most.
  T* Room(std::size_t count) {
    if (!streaming_) return dst_;
    if (used_ + count * sizeof(T) > sizeof(lines_)) Drain();
    return reinterpret_cast<T*>(lines_ + used_);
  }

  // So many have been put there.
  void Commit(std::size_t count) {
    if (streaming_) {
      used_ += count * sizeof(T);
    } else {
      dst_ += count;
    }
  }

  // The place in the array itself, if the next values begin a line of one that
  // is to be streamed; else null. Whole lines may be written past the cache.
  T* Lines() {
    if (!streaming_) return nullptr;
    Drain();
    return used_ == 0 ? dst_ : nullptr;
  }

  // So many have been put there: whole lines.
  void CommitLines(std::size_t count) { dst_ += count; }

  void Finish() {
    Flush();
    if (streaming_) kernels::FlushStream();
  }

 private:
  void Begin(T* dst) {
    dst_ = dst;
    begin_ = used_ =
        streaming_ ? reinterpret_cast<uintptr_t>(dst) % kCacheLine : 0;
  }

  void Flush() {
    Drain();
    Copy(used_);
  }

  // Writes bytes [begin_, end) of lines_.
  void Copy(std::size_t end) {
    if (end == begin_) return;
    std::memcpy(dst_, lines_ + begin_, end - begin_);
    dst_ += (end - begin_) / sizeof(T);
    begin_ = end;
  }

  void Drain() {
    const std::size_t end = used_ / kCacheLine * kCacheLine;
    if (end == 0) return;
    if (begin_ != 0) Copy(kCacheLine);
    kernels::StreamLines(lines_ + begin_, end - begin_, dst_);
    dst_ += (end - begin_) / sizeof(T);
    begin_ = 0;
    used_ -= end;
    std::memcpy(lines_, lines_ + end, used_);
  }

  T* const array_;
  const bool streaming_;
  T* dst_;                    // where byte begin_ of lines_ goes
  std::size_t begin_, used_;  // of lines_; both 0 if not streaming
  alignas(kCacheLine) uint8_t lines_[kPieceValues * sizeof(T) + kCacheLine];
};

// ---- Pieces, with factors (inverses, or scales) and zero points as floats
// ----

using FloatPiece = Piece<float, float>;

// What is left of a piece of which the first `done` values are done: they end
// with a run, or within the only one that is left.
FloatPiece Rest(const FloatPiece& piece, std::size_t done) {
  const std::size_t runs = done / piece.run_length;
  const std::size_t count = piece.count - done;
  return {piece.offset + done,
          count,
          done % piece.run_length == 0 ? piece.run_length : count,
          piece.a + runs,
          piece.b + runs,
          piece.ahead};
}

// Parameters of so many sets are prepared once, before all pieces; of more,
// with each piece.
constexpr std::size_t kMostPreparedSets = std::size_t{1} << 16;

template <typename Body>
void ForEachPiece(const ParameterSets& sets, const QuantizationParams& params,
                  bool inverse, bool in_order, const Body& body) {
  const float* scales = params.scales.data();
  const int32_t* zero_points = params.zero_points.data();
  const std::size_t count = params.scales.size();
  if (count <= kMostPreparedSets) {
    std::vector<float> factors(count), floats(count);
    kernels::PrepareRuns(scales, zero_points, count,
                         inverse ? factors.data() : nullptr, floats.data());
    ForEachRun(sets, inverse ? factors.data() : scales, floats.data(), in_order,
               body);
    return;
  }
  std::vector<float> factors(kPieceValues), floats(kPieceValues);
  ForEachRun(sets, scales, zero_points, in_order,
             [&](const Piece<float, int32_t>& each) {
               const std::size_t runs = (each.count - 1) / each.run_length + 1;
               kernels::PrepareRuns(each.a, each.b, runs,
                                    inverse ? factors.data() : nullptr,
                                    floats.data());
               body(FloatPiece{each.offset, each.count, each.run_length,
                               inverse ? factors.data() : each.a, floats.data(),
                               each.ahead});
             });
}

// Puts codes two a byte. One may be left over from piece to piece.
class NibbleSink {
 public:
  NibbleSink(uint8_t* dst, QuantizedType type, bool streaming)
      : type_(type), bytes_(dst, streaming) {}

  void Quantize(const float* src, const FloatPiece& piece) {
    std::size_t done = 0;
    if (used_ == 0) {
      bytes_.Seek(piece.offset / 2);
      done = kernels::QuantizeRunsToNibbles(
          src + piece.offset, piece.count, piece.run_length, piece.a, piece.b,
          type_.qmin(), type_.qmax(), bytes_.Room(PackedBytes(piece.count)),
          piece.ahead);
      bytes_.Commit(done / 2);
    }
    if (done == piece.count) return;
    const FloatPiece rest = Rest(piece, done);
    if (type_.is_signed) {
      QuantizeCodes<int8_t>(src, rest);
    } else {
      QuantizeCodes<uint8_t>(src, rest);
    }
    Pack(used_ / 2 * 2);
  }

  void Finish() {
    Pack(used_);
    bytes_.Finish();
  }

 private:
  template <typename T>
  void QuantizeCodes(const float* src, const FloatPiece& piece) {
    kernels::QuantizeRuns(src + piece.offset, piece.count, piece.run_length,
                          piece.a, piece.b, type_.qmin(), type_.qmax(),
                          reinterpret_cast<T*>(codes_ + used_));
    used_ += piece.count;
  }

  void Pack(std::size_t count) {
    kernels::PackNibbles(codes_, count, bytes_.Room(PackedBytes(count)));
    bytes_.Commit(PackedBytes(count));
    used_ -= count;
    if (used_ > 0) codes_[0] = codes_[count];
  }

  const QuantizedType type_;
  Sink<uint8_t> bytes_;
  std::size_t used_ = 0;
  alignas(kCacheLine) uint8_t codes_[kPieceValues + 1];
};

class NibbleSource {
 public:
  NibbleSource(const uint8_t* src, bool is_signed)
      : src_(src), is_signed_(is_signed) {}

  void Dequantize(const FloatPiece& piece, Sink<float>* sink) {
    std::size_t done = 0;
    if (piece.offset % 2 == 0) {
      float* const lines = sink->Lines();
      done = kernels::DequantizeRunsOfNibbles(
          src_ + piece.offset / 2, is_signed_, piece.count, piece.run_length,
          piece.a, piece.b, lines != nullptr ? lines : sink->Room(piece.count),
          lines != nullptr);
      if (lines != nullptr) {
        sink->CommitLines(done);
      } else {
        sink->Commit(done);
      }
    }
    if (done == piece.count) return;
    const FloatPiece rest = Rest(piece, done);
    const std::size_t odd = rest.offset % 2;
    kernels::UnpackNibbles(src_ + rest.offset / 2, rest.count + odd, is_signed_,
                           codes_);
    const auto dequantize = [&](const auto* codes) {
      kernels::DequantizeRuns(codes, rest.count, rest.run_length, rest.a,
                              rest.b, sink->Room(rest.count));
    };
    if (is_signed_) {
      dequantize(reinterpret_cast<const int8_t*>(codes_ + odd));
    } else {
      dequantize(codes_ + odd);
    }
    sink->Commit(rest.count);
  }

 private:
  const uint8_t* const src_;
  const bool is_signed_;
  alignas(kCacheLine) uint8_t codes_[kPieceValues + 1];
};

}  // namespace

template <typename T>
Status Quantize(const float* src, const std::vector<int64_t>& shape,
                const QuantizationParams& params, T* dst, StoreHint hint) {
  RETURN_IF_ERROR(params.ValidateFor(shape));
  RETURN_IF_ERROR(CheckStorage<T>(params.type));
  ParameterSets sets;
  RETURN_IF_ERROR(params.SetsFor(shape, &sets));
  if constexpr (std::is_same_v<T, int32_t>) {
    ForEachRun(sets, params.scales.data(), params.zero_points.data(), false,
               [&](const Piece<float, int32_t>& piece) {
                 kernels::QuantizeRuns(src + piece.offset, piece.count,
                                       piece.run_length, piece.a, piece.b,
                                       dst + piece.offset);
               });
  } else {
    const int32_t qmin = params.type.qmin(), qmax = params.type.qmax();
    const std::size_t bytes = sets.num_values() * (sizeof(float) + sizeof(T));
    Sink<T> sink(dst, Streams(hint, bytes));
    ForEachPiece(sets, params, true, false, [&](const FloatPiece& piece) {
      sink.Seek(piece.offset);
      kernels::QuantizeRuns(src + piece.offset, piece.count, piece.run_length,
                            piece.a, piece.b, qmin, qmax,
                            sink.Room(piece.count), piece.ahead);
      sink.Commit(piece.count);
    });
    sink.Finish();
  }
  return Status::Ok();
}

template <typename T>
Status Dequantize(const T* src, const std::vector<int64_t>& shape,
                  const QuantizationParams& params, float* dst,
                  StoreHint hint) {
  RETURN_IF_ERROR(params.ValidateFor(shape));
  RETURN_IF_ERROR(CheckStorage<T>(params.type));
  ParameterSets sets;
  RETURN_IF_ERROR(params.SetsFor(shape, &sets));
  if constexpr (std::is_same_v<T, int32_t>) {
    ForEachRun(sets, params.scales.data(), params.zero_points.data(), false,
               [&](const Piece<float, int32_t>& piece) {
                 kernels::DequantizeRuns(src + piece.offset, piece.count,
                                         piece.run_length, piece.a, piece.b,
                                         dst + piece.offset);
               });
  } else {
    const std::size_t bytes = sets.num_values() * (sizeof(float) + sizeof(T));
    Sink<float> sink(dst, Streams(hint, bytes));
    ForEachPiece(sets, params, false, false, [&](const FloatPiece& piece) {
      sink.Seek(piece.offset);
      std::size_t done = 0;
      if (float* lines = sink.Lines()) {
        done = kernels::StreamDequantizedRuns(src + piece.offset, piece.count,
                                              piece.run_length, piece.a,
                                              piece.b, lines);
        sink.CommitLines(done);
        if (done == piece.count) return;
      }
      const FloatPiece rest = Rest(piece, done);
      kernels::DequantizeRuns(src + rest.offset, rest.count, rest.run_length,
                              rest.a, rest.b, sink.Room(rest.count));
      sink.Commit(rest.count);
    });
    sink.Finish();
  }
  return Status::Ok();
}

#define QUANTIZE(T)                                                   \
  template Status Quantize(const float*, const std::vector<int64_t>&, \
                           const QuantizationParams&, T*, StoreHint); \
  template Status Dequantize(const T*, const std::vector<int64_t>&,   \
                             const QuantizationParams&, float*, StoreHint);
QUANTIZE(int8_t)
QUANTIZE(uint8_t)
QUANTIZE(int16_t)
QUANTIZE(uint16_t)
QUANTIZE(int32_t)
#undef QUANTIZE

Status QuantizePacked(const float* src, const std::vector<int64_t>& shape,
                      const QuantizationParams& params, uint8_t* dst,
                      StoreHint hint) {
  RETURN_IF_ERROR(params.ValidateFor(shape));
  RETURN_IF_ERROR(CheckPacked(params.type));
  ParameterSets sets;
  RETURN_IF_ERROR(params.SetsFor(shape, &sets));
  const std::size_t count = sets.num_values();
  NibbleSink sink(dst, params.type,
                  Streams(hint, count * sizeof(float) + PackedBytes(count)));
  // Pieces that begin with the second half of a byte must come after another.
  const bool in_order = sets.channels * sets.inner % 2 != 0;
  ForEachPiece(sets, params, true, in_order,
               [&](const FloatPiece& piece) { sink.Quantize(src, piece); });
  sink.Finish();
  return Status::Ok();
}

Status DequantizePacked(const uint8_t* src, const std::vector<int64_t>& shape,
                        const QuantizationParams& params, float* dst,
                        StoreHint hint) {
  RETURN_IF_ERROR(params.ValidateFor(shape));
  RETURN_IF_ERROR(CheckPacked(params.type));
  ParameterSets sets;
  RETURN_IF_ERROR(params.SetsFor(shape, &sets));
  const std::size_t count = sets.num_values();
  Sink<float> sink(dst,
                   Streams(hint, count * sizeof(float) + PackedBytes(count)));
  NibbleSource codes(src, params.type.is_signed);
  ForEachPiece(sets, params, false, false, [&](const FloatPiece& piece) {
    sink.Seek(piece.offset);
    codes.Dequantize(piece, &sink);
  });
  sink.Finish();
  return Status::Ok();
}

}  // namespace caffe2_quantization
