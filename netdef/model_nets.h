// Reads the two halves of a model, the net that is run and the net that makes
// its weights, from the forms in which the host writes them.
//
//   form              the net               its weights
//   two NetDefs       one of them           what the other one makes
//   predictor minidb  PREDICT_NET_TYPE      records, GLOBAL_INIT_NET_TYPE,
//                                           PREDICT_INIT_NET_TYPE
//
// Init nets of the host's exporters do more than make weights. Those of
// mobile_exporter, caffe_translator and predictor_exporter also fill the
// inputs, as placeholders; that of the ONNX importer holds the whole model
// after its fills. The functions here tell these from weights.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_MODEL_NETS_H_
#define CAFFE2_QUANTIZATION_NETDEF_MODEL_NETS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

struct PredictModel {
  std::string path;
  caffe2::NetDef net;
  bool is_predictor = false;
  // The inputs for data that a predictor declares; else empty.
  std::vector<std::string> inputs;
};

// Reads a NetDef, or the predict net of a predictor.
Status ReadPredictModel(const std::string& path, PredictModel* predict);

struct InitModel {
  std::string path;
  // The operators that can run, in order. For a predictor, an operator Load
  // stands for the parameters, which are read from its file.
  caffe2::NetDef net;
  std::vector<std::string> parameters;
  // Inputs for which the net only holds a place: those that a predictor
  // declares, and outputs of a fill with a single zero, as the exporters write
  // it.
  std::vector<std::string> placeholders;
  // The outputs of operators that cannot run, because nothing makes what they
  // read.
  std::vector<std::string> left_out_outputs;
  // What the user should know but is no error, without the path.
  std::vector<std::string> notes;
};

// Reads a NetDef, which may have no operators, or the nets that make the
// weights of a predictor. Operators that read a blob which no earlier operator
// makes are left out with a note, and so are those that read their outputs.
Status ReadInitModel(const std::string& path, InitModel* init);

// Makes the weights in `workspace`. A fill of a blob in `fed`, which data will
// fill, is not run unless another operator reads that blob.
Status MakeWeights(const InitModel& init, const std::vector<std::string>& fed,
                   caffe2::Workspace* workspace);

// Returns the inputs that a net declares but that no operator reads, neither
// its own nor one of a net in their arguments.
std::vector<std::string> UnreadInputs(const caffe2::NetDef& net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_NETS_H_
