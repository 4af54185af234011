/* A benchmark case: the boundary between the cases, which meet the host and
 * have its C++ ABI, and the runner, which meets Debian's Google Benchmark and
 * has the system's. Nothing but C crosses it.
 */
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_BENCHMARK_CASE_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_BENCHMARK_CASE_H_

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BenchmarkCase {
  /* Cases of one group do the same work and are compared with each other. */
  const char* group;
  /* "host" is the baseline of a group; in a group without one, the first case.
   */
  const char* variant;
  /* Bytes read and written by one run; 0: no rate is shown. */
  size_t bytes;
  /* Called before each repetition and after it. */
  void* (*set_up)(const struct BenchmarkCase*);
  void (*run)(void* state);
  void (*tear_down)(void* state);
  /* Repetitions that are made at most; 0: as many as are asked for. */
  int most_repetitions;
  /* For the case's own use. */
  const void* parameter;
} BenchmarkCase;

/* All cases; the array lives as long as the process. */
const BenchmarkCase* caffe2_quantization_benchmark_cases(size_t* count);

/* Starts the host. Call once, first. */
void caffe2_quantization_benchmark_init(const char* program);

/* What the header shows; the strings live as long as the process. */
const char* caffe2_quantization_benchmark_isa(void);
const char* caffe2_quantization_benchmark_host_version(void);
int caffe2_quantization_benchmark_threads(void);

#ifdef __cplusplus
}
#endif

#endif /* CAFFE2_QUANTIZATION_BENCHMARKS_BENCHMARK_CASE_H_ */
