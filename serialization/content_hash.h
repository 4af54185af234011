// Computes hashes of what nets and blobs hold: 128 bits of XXH3, given as 32
// hexadecimal digits. They tell whether two contents are the same, on any
// machine and in any version. They do not protect against someone who makes two
// contents look alike on purpose.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_CONTENT_HASH_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_CONTENT_HASH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace caffe2 {
class Blob;
}  // namespace caffe2

namespace caffe2_quantization {

// Thread rule: one thread at a time.
class ContentHash {
 public:
  ContentHash();
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;

  void Add(uint64_t number);
  // Adds the size before the contents, so that no two lists of texts look
  // alike.
  void Add(const std::string& text);
  // Adds bytes without their size.
  void AddBytes(const void* bytes, std::size_t size);
  // Returns the hash of what was added so far.
  std::string Hex() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// Returns the hash of a blob's type and contents; for a tensor, also of its
// element type and shape. The blob's name does not count. If the host cannot
// serialize the type, the type's name alone counts.
//
// Thread rule: any thread, while nobody writes to the blob.
std::string HashOfBlob(const caffe2::Blob& blob);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_CONTENT_HASH_H_
