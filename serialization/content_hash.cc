#include "serialization/content_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "caffe2/core/blob.h"
#include "caffe2/core/blob_serialization.h"
#include "caffe2/core/tensor.h"

static_assert(XXH_VERSION_NUMBER >= 800, "XXH3 is stable from xxHash 0.8.0 on");

namespace caffe2_quantization {

struct ContentHash::State {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> xxh{
      XXH3_createState(), XXH3_freeState};
};

ContentHash::ContentHash() : state_(new State) {
  XXH3_128bits_reset(state_->xxh.get());
}
ContentHash::~ContentHash() = default;

void ContentHash::Add(uint64_t number) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; ++i) {
    bytes[i] = static_cast<unsigned char>(number >> (8 * i));
  }
  AddBytes(bytes, sizeof(bytes));
}

void ContentHash::Add(const std::string& text) {
  Add(static_cast<uint64_t>(text.size()));
  AddBytes(text.data(), text.size());
}

void ContentHash::AddBytes(const void* bytes, std::size_t size) {
  XXH3_128bits_update(state_->xxh.get(), bytes, size);
}

std::string ContentHash::Hex() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_->xxh.get()));
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string HashOfBlob(const caffe2::Blob& blob) {
  ContentHash hash;
  hash.Add(std::string(blob.TypeName()));
  const bool is_tensor = caffe2::BlobIsTensorType(blob, caffe2::CPU);
  const caffe2::Tensor* const tensor =
      is_tensor ? &blob.Get<caffe2::Tensor>() : nullptr;
  const bool has_values =
      is_tensor && tensor->dtype_initialized() && tensor->storage_initialized();
  if (is_tensor) {
    const auto sizes = tensor->sizes();
    hash.Add(static_cast<uint64_t>(sizes.size()));
    for (const int64_t dim : sizes) hash.Add(static_cast<uint64_t>(dim));
    hash.Add(std::string(tensor->dtype().name()));
    if (!has_values) return hash.Hex();
    if (tensor->IsType<std::string>()) {
      const auto* const texts = tensor->data<std::string>();
      for (int64_t i = 0; i < tensor->numel(); ++i) hash.Add(texts[i]);
      return hash.Hex();
    }
    if (tensor->dtype().copy() == nullptr) {  // plain values
      hash.AddBytes(tensor->raw_data(), tensor->nbytes());
      return hash.Hex();
    }
  }
  try {
    hash.Add(caffe2::SerializeBlob(blob, ""));
  } catch (const std::exception&) {
    // No serializer: the type's name is in already.
  }
  return hash.Hex();
}

}  // namespace caffe2_quantization
