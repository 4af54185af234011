#include "base/process.h"

#include <pthread.h>

#include <vector>

#include "base/no_destructor.h"

namespace caffe2_quantization {
namespace internal {

std::atomic<uint64_t> fork_count{0};

}  // namespace internal

namespace {

// The mutexes that are held across forks, under a mutex that is itself. Never
// destroyed.
struct Held {
  std::mutex mutex;
  std::vector<std::mutex*> all;
};

Held& TheHeld() {
  static NoDestructor<Held> held;
  return *held;
}

void BeforeFork() {
  TheHeld().mutex.lock();
  for (std::mutex* mutex : TheHeld().all) mutex->lock();
}

void AfterFork() {
  for (std::mutex* mutex : TheHeld().all) mutex->unlock();
  TheHeld().mutex.unlock();
}

void AfterForkInChild() {
  internal::fork_count.fetch_add(1, std::memory_order_relaxed);
  AfterFork();
}

// When the library is loaded: a child of a process that has not used it yet is
// a child too, and the host's threads may have run before.
[[maybe_unused]] const int g_registered =
    (TheHeld(), pthread_atfork(BeforeFork, AfterFork, AfterForkInChild));

}  // namespace

void HoldAcrossForks(std::mutex* mutex) {
  const std::lock_guard<std::mutex> lock(TheHeld().mutex);
  TheHeld().all.push_back(mutex);
}

}  // namespace caffe2_quantization
