#include "quantization/onednn/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>

#include "base/process.h"

// libgomp's, all of them in its first versions.
extern "C" {
void GOMP_parallel(void (*function)(void*), void* data, unsigned threads,
                   unsigned flags);
int omp_get_max_threads();
int omp_in_parallel();
void omp_set_num_threads(int threads);
}

namespace caffe2_quantization {
namespace onednn {

int MaxThreads() {
  return omp_in_parallel() || IsForked() ? 1 : omp_get_max_threads();
}

ThreadsScope::ThreadsScope(int threads) : before_(omp_get_max_threads()) {
  if (threads != before_) omp_set_num_threads(threads);
}

ThreadsScope::~ThreadsScope() {
  if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
}

namespace internal {

Status ParallelFor(int64_t count, int threads, Body call, const void* body) {
  threads = static_cast<int>(std::min<int64_t>(threads, count));
  Status error;
  std::mutex mutex;
  std::atomic<int64_t> next{0};
  auto run = [&] {
    for (int64_t i = next++; i < count; i = next++) {
      Status status = call(body, i);
      if (status.ok()) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      error = std::move(status);
    }
  };
  if (threads <= 1) {
    run();
  } else {
    GOMP_parallel([](void* each) { (*static_cast<decltype(run)*>(each))(); },
                  &run, static_cast<unsigned>(threads), 0);
  }
  return error;
}

}  // namespace internal
}  // namespace onednn
}  // namespace caffe2_quantization
