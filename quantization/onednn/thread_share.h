// Divides the threads among computations that run at once, so that several
// nets, or one net's workers, do not together use more than the processor has.
//
// A process has as many threads to share as OpenMP says (OMP_NUM_THREADS, or
// omp_set_num_threads of the caller). A computation that begins takes all
// threads that are left, but at least its own. A net that runs alone gets all
// of them; of several that run at once, the first gets most, and the others get
// one each, until the first one ends.
//
// Thread rule: any thread. Inside a parallel region a share is one thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_THREAD_SHARE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_THREAD_SHARE_H_

#include "quantization/onednn/parallel.h"

namespace caffe2_quantization {
namespace onednn {

// Holds its threads as long as it lives.
class ThreadShare {
 public:
  // Takes at most `most` threads.
  explicit ThreadShare(int most = MaxThreads());
  ~ThreadShare();
  ThreadShare(const ThreadShare&) = delete;
  ThreadShare& operator=(const ThreadShare&) = delete;

  int count() const { return count_; }

 private:
  int count_;
};

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_THREAD_SHARE_H_
