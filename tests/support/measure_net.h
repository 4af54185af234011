// Runs a float net operator by operator, and tells what a profile would: types,
// shapes, ranges and histograms of its inputs and outputs.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_MEASURE_NET_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_MEASURE_NET_H_

#include <set>
#include <string>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"
#include "rewrite/measurements.h"

namespace caffe2_quantization {

// Runs the net once on what the workspace holds; throws if an operator fails.
// Of the net's inputs those of `data` are known, as a profile has them, or all.
rewrite::Measurements MeasureNet(const caffe2::NetDef& net,
                                 caffe2::Workspace* workspace,
                                 const std::set<std::string>* data = nullptr);

// An init net that fills the blobs of floats, int32 and int64 among the net's
// inputs with what
// the workspace holds, without `data`.
caffe2::NetDef InitNetOf(const caffe2::NetDef& net,
                         const caffe2::Workspace& workspace,
                         const std::set<std::string>& data);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_MEASURE_NET_H_
