// Keeps weights in packed form once per process and content: nets that hold the
// same weights, each in a blob of its own or in a common one, share what
// operators make of them.
//
// A hash of 128 bits over the values, and over all else that the packed form
// depends on, tells what is the same. Neither a blob's address nor its name
// counts.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_SHARED_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_SHARED_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/process.h"
#include "base/return_if_error.h"
#include "base/status.h"

namespace caffe2_quantization {

struct ChooseOptions;

// What a packed form is made of. Add() everything, always in the same order.
class WeightsKey {
 public:
  void Add(int64_t number);
  void Add(double number);
  // Adds a hash of the bytes (XXH3 of 128 bits) and their size.
  void Add(const void* bytes, std::size_t size);
  void Add(const ChooseOptions& options);
  const std::string& Digest() const { return digest_; }

 private:
  std::string digest_;
};

// The packed forms of one type. Each is kept as long as somebody holds it.
// Thread rule: any thread. If two threads ask for the same form at once, one
// makes it and the other waits.
template <typename Packed>
class SharedWeights {
 public:
  // make: Status(std::shared_ptr<const Packed>*). If it fails, its error is
  // returned, and the next caller tries again.
  template <typename Make>
  Status GetOrMake(const WeightsKey& key, const Make& make,
                   std::shared_ptr<const Packed>* packed) {
    const std::shared_ptr<Entry> entry = Find(key.Digest());
    const std::lock_guard<std::mutex> lock(entry->mutex);
    *packed = entry->packed.lock();
    if (*packed != nullptr) return Status::Ok();
    RETURN_IF_ERROR(make(packed));
    entry->packed = *packed;
    return Status::Ok();
  }

  // Returns how many are held now.
  std::size_t Count() {
    const std::lock_guard<std::mutex> lock(mutex_);
    RemoveUnused();
    return entries_.size();
  }

 private:
  struct Entry {
    std::mutex mutex;
    std::weak_ptr<const Packed> packed;
  };

  std::shared_ptr<Entry> Find(const std::string& digest) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (entries_.count(digest) == 0) RemoveUnused();
    std::shared_ptr<Entry>& entry = entries_[digest];
    if (entry == nullptr) entry = std::make_shared<Entry>();
    return entry;
  }

  // Whoever is filling an entry holds it too, so it counts as used.
  void RemoveUnused() {
    for (auto it = entries_.begin(); it != entries_.end();) {
      const bool unused =
          it->second.use_count() == 1 && it->second->packed.expired();
      it = unused ? entries_.erase(it) : std::next(it);
    }
  }

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

// Returns the object that all nets of this process share. After a fork, nets
// that the child inherits keep what they hold, and nets that it makes share
// what it packs itself.
template <typename Packed>
SharedWeights<Packed>& SharedWeightsOfProcess() {
  static PerProcess<SharedWeights<Packed>> all;
  return all.Get();
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_SHARED_WEIGHTS_H_
