// Writes and reads QuantizationParams as JSON: one object, whose members are in
// docs/formats.md.
//
//   {"format_version": 1, "type": "int8", "symmetry": "symmetric",
//    "granularity": "channel", "axis": 0, "block_size": 0,
//    "scales": [0.5, 0.25], "zero_points": [0, 0], "min": -1, "max": 1}
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_JSON_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_JSON_H_

#include <string>

#include "base/status.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Writes the fewest digits that read back as the same floats, members in the
// order above, min and max only if known, and a line break at the end. Errors:
// what Validate() refuses. *json is set only on success.
Status QuantizationParamsToJson(const QuantizationParams& params,
                                std::string* json);

// Reads what the function above writes, with members in any order. Errors,
// which leave *params unchanged: text that is no JSON object or has more than
// 256 MiB, a member that is missing, given twice, unknown or of another type, a
// number that is no float or int, another format version, and what Validate()
// refuses.
Status QuantizationParamsFromJson(const std::string& json,
                                  QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZATION_PARAMS_JSON_H_
