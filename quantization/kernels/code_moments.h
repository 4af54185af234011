// Sums of codes and of their squares, exact, for means and variances.
//
//   sums[c]    = sum over r of src[r * stride + c]
//   squares[c] = sum over r of src[r * stride + c] ^ 2
//
// Preconditions: count and rows are below 2^47. No alignment is needed; src
// does not overlap what is written. Thread rule: pure functions; call from any
// thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_CODE_MOMENTS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_CODE_MOMENTS_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

struct CodeMoments {
  int64_t sum = 0, squares = 0;
};

// Of `count` codes that follow each other.
CodeMoments RunMoments(const uint8_t* src, int64_t count);

// Of each of the columns of a matrix, whose rows begin `stride` codes apart.
void ColumnMoments(const uint8_t* src, int64_t rows, int64_t columns,
                   int64_t stride, CodeMoments* moments);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
CodeMoments RunMoments(const uint8_t* src, int64_t count);
void ColumnMoments(const uint8_t* src, int64_t rows, int64_t columns,
                   int64_t stride, CodeMoments* moments);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_CODE_MOMENTS_H_
