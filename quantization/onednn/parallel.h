// Runs work on the threads of the process's OpenMP pool, and on no others.
//
// oneDNN computes on the caller's pool, and so do we. OpenMP says how many
// threads that may be (OMP_NUM_THREADS, omp_set_num_threads). It is one thread
// within a parallel region, and in a forked process: a pool that the parent
// used has no threads in the child, which would wait for them.
//
// parallel.cc calls a few of libgomp's oldest functions by name and uses no
// pragma: in Python these are the functions of the host's copy, which is older
// than the system's and might lack what a newer compiler would call.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PARALLEL_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PARALLEL_H_

#include <cstdint>

#include "base/status.h"

namespace caffe2_quantization {
namespace onednn {

// The number of threads that the calling thread may use.
int MaxThreads();

// While it lives, oneDNN uses this many threads, both when a plan is made and
// when it runs.
class ThreadsScope {
 public:
  explicit ThreadsScope(int threads);
  ~ThreadsScope();
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  const int before_;
};

namespace internal {
using Body = Status (*)(const void* body, int64_t i);
Status ParallelFor(int64_t count, int threads, Body call, const void* body);
}  // namespace internal

// Calls body(i), which returns a Status, for each i in [0, count), on up to
// `threads` threads, each of which takes the next i that is left; with one
// thread, it is the calling one. Returns one of the errors, if there are any; a
// failed iteration stops no other. body must not throw.
template <class Body>
Status ParallelFor(int64_t count, int threads, const Body& body) {
  return internal::ParallelFor(
      count, threads,
      [](const void* each, int64_t i) {
        return (*static_cast<const Body*>(each))(i);
      },
      &body);
}

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PARALLEL_H_
