// Quantize and Dequantize of 64 MiB of floats, beside a copy: what reads and
// writes as many bytes of values, with streaming stores, and does nothing else.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "benchmarks/quantization/plain_read.h"
#include "benchmarks/registry.h"
#include "quantization/kernels/quantize.h"
#include "quantization/quantize.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kCount = std::size_t{16} << 20;

// Memory as a tensor has it: aligned to a cache line; with values that are
// neither all 0 nor become it.
template <typename T>
std::shared_ptr<T> Allocate(std::size_t count) {
  const std::size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
  std::shared_ptr<T> memory(static_cast<T*>(std::aligned_alloc(64, bytes)),
                            [](T* each) { std::free(each); });
  for (std::size_t i = 0; i < count; ++i) {
    memory.get()[i] = static_cast<T>(std::is_same_v<T, float>
                                         ? 0.01f * static_cast<float>(i % 200)
                                         : static_cast<float>(i % 100 + 2));
  }
  return memory;
}

struct Layout {
  const char* name;
  std::vector<int64_t> shape;
  Granularity granularity;
  int axis;
  int64_t block_size;
};

const Layout kLayouts[] = {
    {"tensor", {16 << 20}, Granularity::kTensor, 0, 0},
    {"channel, first axis", {4096, 4096}, Granularity::kChannel, 0, 0},
    {"channel, middle axis", {64, 256, 1024}, Granularity::kChannel, 1, 0},
    {"channel, last axis", {4096, 4096}, Granularity::kChannel, 1, 0},
    {"blocks of 32", {16 << 20}, Granularity::kBlock, 0, 32},
    {"blocks of 128", {16 << 20}, Granularity::kBlock, 0, 128},
};

QuantizationParams MakeParams(const Layout& layout, QuantizedType type) {
  QuantizationParams params(type, 0.01f, 1);
  params.granularity = layout.granularity;
  params.axis = layout.axis;
  params.block_size = layout.block_size;
  int64_t sets = 0;
  if (!params.NumParameterSetsFor(layout.shape, &sets).ok()) std::abort();
  params.scales.assign(sets, 0.01f);
  params.zero_points.assign(sets, 1);
  return params;
}

void Check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::abort();
}

// Reads and writes in turn, a little at a time, as quantizing does. What it
// writes is not zeros: lines of zeros are written twice as fast here.
void Copy(const char* src, std::size_t read, char* dst, std::size_t written) {
  constexpr std::size_t kPieces = 4096;
  constexpr std::size_t kMostBytes = kCount * sizeof(float) / kPieces;
  static const std::shared_ptr<char> lines = [] {
    auto made = Allocate<char>(kMostBytes);
    for (std::size_t i = 0; i < kMostBytes; ++i) {
      made.get()[i] = static_cast<char>(i * 37 + i / 256 + 1);
    }
    return made;
  }();
  for (std::size_t i = 0; i < kPieces; ++i) {
    Consume(ReadAll(src + i * (read / kPieces), read / kPieces));
    kernels::StreamLines(lines.get(), written / kPieces,
                         dst + i * (written / kPieces));
  }
  kernels::FlushStream();
}

void AddCopy(const std::string& group, std::size_t read, std::size_t written) {
  AddBenchmark(group, "copy", read + written, [=] {
    return MakeRun([src = Allocate<char>(read), dst = Allocate<char>(written),
                    read,
                    written] { Copy(src.get(), read, dst.get(), written); });
  });
}

template <typename T, bool kPacked>
void AddType(QuantizedType type) {
  const std::size_t code_bytes = kPacked ? kCount / 2 : kCount * sizeof(T);
  const std::size_t bytes = kCount * sizeof(float) + code_bytes;
  const std::string name = type.Name() + (kPacked ? " packed" : "");
  std::string group = "Quantize/" + name;
  AddCopy(group, kCount * sizeof(float), code_bytes);
  for (const Layout& layout : kLayouts) {
    AddBenchmark(group, layout.name, bytes, [=] {
      return MakeRun([layout, params = MakeParams(layout, type),
                      src = Allocate<float>(kCount),
                      dst = Allocate<T>(kCount)] {
        if constexpr (kPacked) {
          Check(QuantizePacked(src.get(), layout.shape, params, dst.get()));
        } else {
          Check(Quantize(src.get(), layout.shape, params, dst.get()));
        }
      });
    });
  }
  group = "Dequantize/" + name;
  AddCopy(group, code_bytes, kCount * sizeof(float));
  for (const Layout& layout : kLayouts) {
    AddBenchmark(group, layout.name, bytes, [=] {
      return MakeRun([layout, params = MakeParams(layout, type),
                      src = Allocate<T>(kCount),
                      dst = Allocate<float>(kCount)] {
        if constexpr (kPacked) {
          Check(DequantizePacked(src.get(), layout.shape, params, dst.get()));
        } else {
          Check(Dequantize(src.get(), layout.shape, params, dst.get()));
        }
      });
    });
  }
}

}  // namespace

void AddQuantizeBenchmarks() {
  AddType<uint8_t, false>(QuantizedType::UInt8());
  AddType<int8_t, false>(QuantizedType::Int8());
  AddType<int16_t, false>(QuantizedType::Int16());
  AddType<uint8_t, true>(QuantizedType::Int4());
}

}  // namespace caffe2_quantization
