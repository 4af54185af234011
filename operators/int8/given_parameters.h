// Quantization parameters that an operator of the engine ONEDNN gets in a blob,
// in every run: an Int8QuantParamsBlob (operators/int8_quant_blobs.h).
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_GIVEN_PARAMETERS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_GIVEN_PARAMETERS_H_

#include "caffe2/core/operator.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Sets scale and zero point of params, one set, to those of input `index`.
// Enforces that the blob holds parameters and that they are valid for
// params->type; messages name the operator's type and the blob.
// Thread rule: any thread, as the operator.
void TakeGivenParameters(caffe2::OperatorBase* op, int index,
                         QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_GIVEN_PARAMETERS_H_
