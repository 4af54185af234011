// QTensorLoad: does what the host's Load does, but reads QTensors straight from
// the bytes of the file to their planes, without protobuf.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_LOAD_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_LOAD_OP_H_

#include <map>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// No inputs. The files are minidbs, or hold one BlobProto each
// (QTensorToFile()). While a QTensor is read, nothing but itself is held in
// memory; for another blob, its bytes are held too. A file that becomes shorter
// meanwhile is an error.
//
// Outputs: the blobs of those names. With load_all every blob of the files is
// put into the operator's workspace, and outputs must be among them. Blobs that
// are no QTensors are read as Load reads them.
//
// Either every blob is loaded or none is: until the last one has been read,
// they are kept beside those that they replace.
//
// Arguments, as Load has them: db or dbs; db_type "minidb" or "file", detected
// if absent; absolute_path (else paths are below the workspace's root folder);
// load_all; source_blob_names; strip_prefix, add_prefix; allow_incomplete
// (outputs that are not there keep what they had); keep_device. Load's
// db_options and inputs have no meaning here.
class QTensorLoadOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  QTensorLoadOp(const caffe2::OperatorDef& definition,
                caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  class Loading;

  caffe2::Workspace* const workspace_;
  std::vector<std::string> paths_;
  std::string db_type_;
  std::string strip_prefix_;
  std::string add_prefix_;
  bool load_all_;
  bool allow_incomplete_;
  bool keep_device_;
  // The output that a blob of the files goes to; unused with load_all.
  std::map<std::string, int> output_of_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_LOAD_OP_H_
