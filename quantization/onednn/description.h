// What oneDNN is here, for people to read.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_DESCRIPTION_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_DESCRIPTION_H_

#include <string>

namespace caffe2_quantization {
namespace onednn {

// Version and instruction set, "2.6.3, ISA AVX512_CORE_AMX", by the names that
// oneDNN has for them; with the cap `scalar`, that it is not called. Call after
// the cap is known (kernels/isa.h). Thread rule: any thread.
std::string Description();

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_DESCRIPTION_H_
