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
// `predict`: that of a predictor, which has both. An error when there is none.
Status ChooseWeights(const PredictModel& predict, std::string* init_path);

// What a net wants of data, when `init` makes its weights. Free for data
// without names are the inputs that a predictor declares, or those that `init`
// does not make, or, if it makes all, those that it only holds a place for.
WantedBlobs WantedOf(const PredictModel& predict, const InitModel& init);

// Makes the weights in `workspace` and the net over them, whose blobs `data`
// fills. Appends to *notes what is no error and worth knowing. *net belongs to
// the workspace.
Status LoadModel(const InitModel& init, const PredictModel& predict,
                 const BatchSource& data, caffe2::Workspace* workspace,
                 std::vector<std::string>* notes, caffe2::NetBase** net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_
