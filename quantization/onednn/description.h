// Describes the oneDNN that is in use, for people to read.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_DESCRIPTION_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_DESCRIPTION_H_

#include <string>

namespace caffe2_quantization {
namespace onednn {

// Returns version and instruction set, by oneDNN's names for them: "2.6.3, ISA
// AVX512_CORE_AMX". With the cap `scalar` it says that oneDNN is not called.
// Call it after the cap is known (kernels/isa.h). Thread rule: any thread.
std::string Description();

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_DESCRIPTION_H_
