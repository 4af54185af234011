#include "operators/int8/shared_weights.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "quantization/choose.h"

namespace caffe2_quantization {

struct WeightsKey::State {
  XXH3_state_t* hash = XXH3_createState();
  ~State() { XXH3_freeState(hash); }
};

WeightsKey::WeightsKey() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->hash);
}
WeightsKey::WeightsKey(WeightsKey&&) noexcept = default;
WeightsKey::~WeightsKey() = default;

void WeightsKey::Add(int64_t number) {
  XXH3_128bits_update(state_->hash, &number, sizeof(number));
}

void WeightsKey::Add(double number) {
  XXH3_128bits_update(state_->hash, &number, sizeof(number));
}

// The size goes before the content: no two lists of contents look alike.
void WeightsKey::Add(const void* bytes, std::size_t size) {
  Add(static_cast<int64_t>(size));
  if (size > 0) XXH3_128bits_update(state_->hash, bytes, size);
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

std::string WeightsKey::Digest() const {
  const XXH128_hash_t digest = XXH3_128bits_digest(state_->hash);
  std::string text(sizeof(digest), '\0');
  std::memcpy(&text[0], &digest, sizeof(digest));
  return text;
}

}  // namespace caffe2_quantization
