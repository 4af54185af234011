// Reads a predictor that the host's predictor_exporter saved to a minidb. The
// file has a record with a MetaNetDef, which holds the nets and the names of
// their blobs, and one or more records for each parameter.
//
// The records may be in any order, and nothing in them is trusted. A refusal
// names the file and the record, what was found and what was expected.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_PREDICTOR_FILE_H_
#define CAFFE2_QUANTIZATION_NETDEF_PREDICTOR_FILE_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

struct Predictor {
  caffe2::NetDef predict;
  // global_init makes the weights; in it an operator Load stands for the
  // parameters. predict_init prepares each thread's inputs and outputs.
  caffe2::NetDef global_init;
  caffe2::NetDef predict_init;
  // The names of blobs.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> parameters;
};

// The key of the record with the MetaNetDef.
const std::string& MetaNetDefKey();

// The blob through which the nets read the file.
const std::string& PredictorReaderBlob();

// Returns whether the operator reads parameters from the predictor's own file.
bool LoadsParameters(const caffe2::OperatorDef& op);

// Reads everything of a predictor except the values of its parameters. A file
// with several predictors is refused; the error names them. *predictor is
// changed only on success.
Status ReadPredictor(const std::string& path, Predictor* predictor);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_PREDICTOR_FILE_H_
