// The library's state when the process forks.
//
// fork() copies the memory and one thread. A lock that another thread held is
// held for ever in the child, what that thread was about to write is half
// written, and a pool of threads has none. So state that threads share is of
// one of two kinds:
//   PerProcess<T>    the child begins with a T of its own, as if it were new;
//                    for what belongs to the parent, and for caches
//   HoldAcrossForks  the child has the parent's; for what is kept under a
//                    mutex that nobody holds for long
//
// A process that ran a library after vfork() or posix_spawn() is no matter of
// this file.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_BASE_PROCESS_H_
#define CAFFE2_QUANTIZATION_BASE_PROCESS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace caffe2_quantization {

namespace internal {
extern std::atomic<uint64_t> fork_count;
}  // namespace internal

// How many forks lie between the process that loaded the library and this one:
// 0 in the former, 1 in its child. Costs one read.
inline uint64_t ForkCount() {
  return internal::fork_count.load(std::memory_order_relaxed);
}

// True in a child, which has none of the threads that the process that loaded
// the library had made.
inline bool IsForked() { return ForkCount() != 0; }

// Has every later fork wait until `mutex`, which must live for good, is free,
// and hold it: in the child too it is then free, and what it guards is whole. A
// thread that holds one such mutex must neither take another nor fork.
void HoldAcrossForks(std::mutex* mutex);

// One T for this process, made when it is first asked for and never destroyed
// (nets may still run while the process exits). A child makes its own, whatever
// other threads did with the parent's. Of static storage; T's constructor has
// no effect beyond the object: of two threads that ask first, one throws its
// T away.
template <typename T>
class PerProcess {
 public:
  T& Get() {
    Instance* found = instance_.load(std::memory_order_acquire);
    if (found != nullptr && found->forks == ForkCount()) return found->value;
    auto made = std::make_unique<Instance>();
    made->of_parent = found;
    if (instance_.compare_exchange_strong(found, made.get(),
                                          std::memory_order_acq_rel)) {
      return made.release()->value;
    }
    return found->value;
  }

 private:
  struct Instance {
    const uint64_t forks = ForkCount();
    T value;
    Instance* of_parent = nullptr;  // keeps it from looking lost
  };

  std::atomic<Instance*> instance_{nullptr};
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_PROCESS_H_
