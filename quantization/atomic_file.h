// Writing a file so that a reader sees the old one or the new one, never a
// part.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ATOMIC_FILE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ATOMIC_FILE_H_

#include <string>

#include "quantization/status.h"

namespace caffe2_quantization {

// Writes `contents` to a new file beside `path`, syncs it and renames it over
// `path`. On failure the old file stands, the new one is removed, and the error
// names the path and what the system said. A link stays one; a device or a pipe
// is written to as it is.
//
// Thread rule: any thread; of two calls with one path at once, one wins whole.
Status WriteFileAtomically(const std::string& path,
                           const std::string& contents);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ATOMIC_FILE_H_
