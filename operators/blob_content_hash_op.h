// BlobContentHash: tells whether blobs hold what they held before.
//
// Inputs    one or more blobs of any type; or none, with the argument net.
// Output 0  string tensor [inputs]: the hash of each input (HashOfBlob of
//           serialization/content_hash.h), 32 hexadecimal digits.
// Output 1  with the argument net, string tensor: the names of the blobs whose
//           hashes output 0 holds.
//
// Arguments: net, the name of a net of the operator's workspace, whose inputs
// from outside are hashed (HashesOfInputs of netdef/net_inputs.h); fed, the
// names of blobs that are left out of these.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_BLOB_CONTENT_HASH_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_BLOB_CONTENT_HASH_OP_H_

#include <string>
#include <vector>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

class BlobContentHashOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  BlobContentHashOp(const caffe2::OperatorDef& definition,
                    caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  void SetOutput(int index, const std::vector<std::string>& texts);

  caffe2::Workspace* const workspace_;
  const std::string net_;
  const std::vector<std::string> fed_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_BLOB_CONTENT_HASH_OP_H_
