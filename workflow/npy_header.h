// Reads the header of numpy's .npy form, versions 1 to 3, which says what an
// array's bytes are.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_NPY_HEADER_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_NPY_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

enum class NpyType {
  kFloat16,
  kFloat32,
  kFloat64,
  kInt8,
  kUInt8,
  kInt16,
  kUInt16,
  kInt32,
  kInt64,
  kBool
};

struct NpyHeader {
  NpyType type = NpyType::kFloat32;
  size_t item_bytes = 0;
  std::vector<int64_t> shape;
  // The bytes of all elements, and of the header itself.
  int64_t data_bytes = 0;
  int64_t header_bytes = 0;
};

// Reads a header through `read`, which fills a buffer of the given size or
// fails. Errors, which name what is refused: a type that is not in NpyType, a
// byte order other than the machine's (little-endian), Fortran's order of
// elements.
Status ReadNpyHeader(const std::function<Status(char*, size_t)>& read,
                     NpyHeader* header);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_NPY_HEADER_H_
