// Reads blobs out of a minidb that the host's Save wrote. Each blob has a
// record, or several if it is a large tensor. Nothing in the file is trusted:
// the host takes the memory that a tensor's dims ask for, so these are compared
// first with what the file holds. A refusal names the file and the record, what
// was found and what was expected.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_LOAD_BLOBS_H_
#define CAFFE2_QUANTIZATION_NETDEF_LOAD_BLOBS_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "caffe2/core/workspace.h"

namespace caffe2_quantization {

// Returns whether the file at `path` begins as a minidb does, whole or cut
// short. Returns false also if the file cannot be read; whoever reads it next
// reports that.
bool BeginsAsBlobMinidb(const std::string& path);

// Loads the named blobs into `workspace`. Each must be complete in the file,
// and must be a tensor, a QTensor, an Int8TensorCPU or a std::string.
Status LoadBlobs(const std::string& path, const std::vector<std::string>& names,
                 caffe2::Workspace* workspace);

// Loads every blob of those types, and ignores the others.
Status LoadAllBlobs(const std::string& path, caffe2::Workspace* workspace);

// Loads a blob of one of those types from its whole BlobProto, whose `type`
// says which. An error calls the blob "it".
Status LoadBlob(const std::string& name, std::string_view bytes,
                caffe2::Workspace* workspace);

// Returns a key as messages show it: printable, and shortened.
std::string ShownKey(std::string_view key);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_LOAD_BLOBS_H_
