#include "quantization/onednn/thread_share.h"

#include <algorithm>
#include <atomic>

namespace caffe2_quantization {
namespace onednn {
namespace {

// Threads that are in use.
std::atomic<int> in_use{0};

}  // namespace

ThreadShare::ThreadShare(int most) {
  const int total = MaxThreads();
  int used = in_use.load(std::memory_order_relaxed);
  do {
    count_ = std::max(1, std::min(most, total - used));
  } while (!in_use.compare_exchange_weak(used, used + count_,
                                         std::memory_order_relaxed));
}

ThreadShare::~ThreadShare() {
  in_use.fetch_sub(count_, std::memory_order_relaxed);
}

}  // namespace onednn
}  // namespace caffe2_quantization
