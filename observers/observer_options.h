// Brings an observer's options into their normal form, whoever gave them.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OBSERVER_OPTIONS_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OBSERVER_OPTIONS_H_

#include "observers/output_min_max_observer.h"

namespace caffe2_quantization {

// Returns what NormalizeOptions makes of valid options. Numbers out of range,
// which an observer may get if it is constructed directly, are brought into
// range.
OutputMinMaxOptions NormalOptions(OutputMinMaxOptions options);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OBSERVER_OPTIONS_H_
