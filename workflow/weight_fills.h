// Brings the weights of a model into the form that the rewriter reads: an init
// net of fills that hold their values.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_WEIGHT_FILLS_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_WEIGHT_FILLS_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/model_nets.h"

namespace caffe2_quantization {

struct WeightFills {
  caffe2::NetDef init;
  // The operators of the init net draw random values.
  bool is_random = false;
  // What the user should know but is no error, without the path.
  std::vector<std::string> notes;
};

// Returns an init net that makes what `init` makes. Its constant fills are kept
// as they are; the other operators, such as random fills, the operator Load of
// a predictor and ByteWeightDequant, are run once, and fills hold what they
// made. A blob that no fill can hold is made as before, by the operators that
// it needs. What only other operators of the init net read is left out, and so
// are the inputs of a predictor, whose places its init nets hold.
//
// A net of constant fills alone is moved, not copied.
//
// Errors name the file and the blob: the net fails, or a predictor's parameter
// that no fill can hold.
Status MakeWeightFills(InitModel init, const PredictModel& predict,
                       WeightFills* fills);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_WEIGHT_FILLS_H_
