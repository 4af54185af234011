// Compares a model whose QTensors or bytes stand for floats with the float
// model: what the fewer bits cost in error, size and time.
//
// Thread rule: one at a time in a process, since it measures the process's
// memory.
#ifndef CAFFE2_QUANTIZATION_INSPECT_INSPECT_FLOAT_H_
#define CAFFE2_QUANTIZATION_INSPECT_INSPECT_FLOAT_H_

#include <string>

#include "base/status.h"
#include "inspect/inspect.h"

namespace caffe2_quantization {

// Loads the model of `report`, which must have no fault, and the float model,
// each several times into fresh workspaces, and fills report->against_float. A
// NetDef is run, with whatever operators it has; for a minidb, BlobProto or
// TensorProtos the blobs are read.
//
// A QTensor is compared with what QTensorDequantize makes of it in the model's
// own net, or with a float tensor of its name, with or without "_q" at the end;
// bytes are compared with what ByteWeightDequant makes of them. The notes name
// a weight that the float model does not have.
Status CompareWithFloat(const std::string& float_path, InspectReport* report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_INSPECT_FLOAT_H_
