// A model in a workspace: the weights that an init net makes, and the net over
// them.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_

#include <string>

#include "base/status.h"
#include "caffe2/core/net.h"
#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {

// What a net wants of data, when `init` makes its weights.
WantedBlobs WantedOf(const caffe2::NetDef& predict, const caffe2::NetDef& init);

// Runs `init` in `workspace` and makes the net `predict` there, whose blobs
// `data` fills. The paths are for messages. *net belongs to the workspace.
Status LoadModel(const std::string& init_path, const caffe2::NetDef& init,
                 const std::string& predict_path, const caffe2::NetDef& predict,
                 const BatchSource& data, caffe2::Workspace* workspace,
                 caffe2::NetBase** net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_LOAD_MODEL_H_
