// Registers everything that the plugin adds to the host, in one call.
#ifndef CAFFE2_QUANTIZATION_PLUGIN_REGISTRATION_H_
#define CAFFE2_QUANTIZATION_PLUGIN_REGISTRATION_H_

#include "base/status.h"

namespace caffe2_quantization {

// Checks that the running host is the one we were built for and that the ISA
// cap is valid, then registers serializers and operators. A second call does
// nothing. On an error nothing is registered.
Status RegisterPlugin();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PLUGIN_REGISTRATION_H_
