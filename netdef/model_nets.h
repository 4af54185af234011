// Reads the two halves of a model, the net that is run and what makes its
// weights, from the forms in which the host writes them.
//
//   form              the net               its weights
//   two NetDefs       one of them           what the other one makes
//   predictor minidb  PREDICT_NET_TYPE      records, GLOBAL_INIT_NET_TYPE,
//                                           PREDICT_INIT_NET_TYPE
//
// Init nets of the host's exporters do more than make weights. Those of
// mobile_exporter, caffe_translator and predictor_exporter fill the inputs too,
// to hold their place; that of the ONNX importer holds the whole model behind
// its fills. What is here tells these from weights.
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
  // The inputs for data, as a predictor declares them; else empty.
  std::vector<std::string> inputs;
};

// Reads a NetDef, or the net of a predictor.
Status ReadPredictModel(const std::string& path, PredictModel* predict);

struct InitModel {
  std::string path;
  // The operators that can run, in order. Of a predictor an operator Load
  // stands for the parameters, which are read from its file.
  caffe2::NetDef net;
  std::vector<std::string> parameters;
  // Inputs that the net only holds a place for: those that a predictor
  // declares, and outputs of a fill with one zero as the exporters write it.
  std::vector<std::string> placeholders;
  // What operators that cannot run would make; they read what nothing makes.
  std::vector<std::string> left_out_outputs;
  // What is no error and worth knowing, without the path.
  std::vector<std::string> notes;
};

// Reads a NetDef, which may have no operators, or what makes the weights of a
// predictor. Operators that read a blob which no operator before makes, and
// those that read what these would make, are left out with a note.
Status ReadInitModel(const std::string& path, InitModel* init);

// Makes the weights in `workspace`. Fills of the blobs `fed`, which data will
// fill, are not run unless another operator reads them.
Status MakeWeights(const InitModel& init, const std::vector<std::string>& fed,
                   caffe2::Workspace* workspace);

// Inputs that a net declares and that none of its operators, nor of the nets in
// their arguments, reads.
std::vector<std::string> UnreadInputs(const caffe2::NetDef& net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_MODEL_NETS_H_
