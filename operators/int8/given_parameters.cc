#include "operators/int8/given_parameters.h"

#include <memory>
#include <string>

#include "operators/int8/convert.h"
#include "operators/int8_quant_blobs.h"

namespace caffe2_quantization {

void TakeGivenParameters(caffe2::OperatorBase* op, int index,
                         QuantizationParams* params) {
  using ParamsPtr = std::unique_ptr<caffe2::Int8QuantParamsBlob>;
  const std::string& name = op->debug_def().input(index);
  const caffe2::Blob& blob = *op->Inputs()[index];
  CAFFE_ENFORCE(blob.IsType<ParamsPtr>(), op->type(), ": blob '", name,
                "' holds a ", blob.TypeName(),
                ", expected an Int8QuantParamsBlob");
  const auto& given = blob.Get<ParamsPtr>();
  CAFFE_ENFORCE(given != nullptr, op->type(), ": blob '", name,
                "' holds an empty Int8QuantParamsBlob");
  const Status status =
      SetParameters(given->qparam.scale, given->qparam.zero_point, params);
  CAFFE_ENFORCE(status.ok(), op->type(), ": blob '", name,
                "': ", status.message());
}

}  // namespace caffe2_quantization
