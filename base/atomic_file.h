// Writes a file so that a reader sees the old one or the new one, never a part.
#ifndef CAFFE2_QUANTIZATION_BASE_ATOMIC_FILE_H_
#define CAFFE2_QUANTIZATION_BASE_ATOMIC_FILE_H_

#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Writes `contents` to a new file beside `path`, syncs it and renames it over
// `path`. On failure the old file stands, the new one is removed, and the error
// names the path and what the system said. A link stays one; a device or a pipe
// is written to as it is.
//
// The new file has no name until it is whole (O_TMPFILE), so a process that is
// killed leaves no part of a file; at worst a whole one under its temporary
// name, "path.<process>.<count>.tmp", which the next write to `path` removes.
// On a file system without nameless files a killed process leaves what it had
// written under that name, until then.
//
// Thread rule: any thread; of two calls with one path at once, one wins whole.
Status WriteFileAtomically(const std::string& path,
                           const std::string& contents);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_ATOMIC_FILE_H_
