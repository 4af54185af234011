// Reading a whole file, if it is not too large.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_READ_FILE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_READ_FILE_H_

#include <cstdint>
#include <string>

#include "quantization/status.h"

namespace caffe2_quantization {

// Reads `path`, a file or a pipe, into *contents. An error names the path and
// what the system said, or its size when that is above max_bytes; no more than
// that is ever held.
Status ReadFile(const std::string& path, int64_t max_bytes,
                std::string* contents);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_READ_FILE_H_
