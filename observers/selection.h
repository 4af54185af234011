// Checks that what is to be observed exists: a pattern that matches nothing is
// a mistake, and would measure nothing.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_SELECTION_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_SELECTION_H_

#include "base/status.h"
#include "caffe2/core/net.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// Returns an error if one of the op_types, op_names, outputs, inputs or
// column_max_blobs matches nothing in the net, including the nets within its
// operators, or if no operator matches all of them. The error names the
// nearest name that exists.
//
// Thread rule: any thread, while the net is neither run nor changed.
Status CheckSelection(const RecordingOptions& options, caffe2::NetBase* net);

// For nets that do not exist yet: returns an error if one of the op_types
// matches no operator that the host knows by now.
//
// Thread rule: that of the host's registry.
Status CheckOperatorTypes(const RecordingOptions& options);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_SELECTION_H_
