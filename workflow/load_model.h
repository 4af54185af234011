// Puts a model into a workspace: the weights that an init net or a predictor's
// file makes, and the net over them.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/core/net.h"
#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/model_nets.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {

// Sets *init_path, if it is empty, to the file that has the weights of
// `predict`: a predictor's own file, which holds both. Returns an error if
// there is no such file.
Status ChooseWeights(const PredictModel& predict, std::string* init_path);

// Returns what a net wants of the data if `init` makes its weights. Data
// without names goes to the inputs that a predictor declares; else to those
// that `init` does not make; or, if `init` makes all, to those for which it
// only holds a place.
WantedBlobs WantedOf(const PredictModel& predict, const InitModel& init);

// Declares as external inputs what operators read and the net does not declare,
// which the host refuses; returns these names. A net that declares nothing at
// all is left as it is.
std::vector<std::string> DeclareInputs(caffe2::NetDef* net);

// Makes the weights in `workspace` and the net over them, whose blobs `data`
// fills. Appends to *notes what the user should know but is no error. The
// workspace owns *net.
Status LoadModel(const InitModel& init, const PredictModel& predict,
                 const BatchSource& data, caffe2::Workspace* workspace,
                 std::vector<std::string>* notes, caffe2::NetBase** net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_
