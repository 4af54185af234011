#include "operators/int8/products/shared_weights.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "quantization/choose.h"

namespace caffe2_quantization {
namespace {

template <typename T>
void Append(const T& value, std::string* text) {
  text->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

void WeightsKey::Add(int64_t number) { Append(number, &digest_); }

void WeightsKey::Add(double number) { Append(number, &digest_); }

void WeightsKey::Add(const void* bytes, std::size_t size) {
  Add(static_cast<int64_t>(size));
  Append(XXH3_128bits(bytes, size), &digest_);
}

void WeightsKey::Add(const ChooseOptions& options) {
  Add(static_cast<int64_t>(options.method));
  Add(static_cast<int64_t>(options.type.precision));
  Add(static_cast<int64_t>(options.type.is_signed));
  Add(static_cast<int64_t>(options.preserve_sparsity));
  Add(static_cast<int64_t>(options.force_scale_power_of_two));
  Add(static_cast<int64_t>(options.reduced_range));
  Add(options.percentile);
  Add(static_cast<double>(options.smallest_scale));
}

}  // namespace caffe2_quantization
