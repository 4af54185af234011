// Checks that what is to be observed is there: a pattern that fits nothing is a
// mistake, and would measure nothing.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_SELECTION_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_SELECTION_H_

#include "base/status.h"
#include "caffe2/core/net.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// An error when one of the op_types, op_names, outputs or column_max_blobs fits
// nothing in the net, the steps of its RecurrentNetworks included, or when no
// operator fits all of them. It names the nearest name that there is.
//
// Thread rule: while the net is neither run nor changed.
Status CheckSelection(const RecordingOptions& options, caffe2::NetBase* net);

// For nets that are not there yet: an error when one of the op_types fits no
// operator that the host knows by now.
//
// Thread rule: as the host's registry.
Status CheckOperatorTypes(const RecordingOptions& options);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_SELECTION_H_
