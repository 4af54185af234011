// Declares the options that say what the data is, for run, calibrate
// and quantize.
#ifndef CAFFE2_QUANTIZATION_TOOLS_DATA_OPTIONS_H_
#define CAFFE2_QUANTIZATION_TOOLS_DATA_OPTIONS_H_

#include <CLI/CLI.hpp>

#include "workflow/batch_source.h"

namespace caffe2_quantization {

// Declares --data, --input, --shape and the options of images on `app`.
// `options` is filled when the arguments are parsed, and must live as long as
// `app`.
// Without `is_required` there may be no --data.
void DeclareDataOptions(CLI::App* app, DataOptions* options,
                        bool is_required = true);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_DATA_OPTIONS_H_
