// Gives a net static quantization parameters from a profile: it reads what was
// measured of a float net, chooses scale and zero point of each output, and
// sets them as the arguments of the net's int8 operators, Y_scale and
// Y_zero_point (Y2_scale … of their later outputs).
//
// Int8 operators are those whose engine, in the NetDef or as the host made
// them, is DNNLOWP or ONEDNN with any suffix. How parameters are chosen:
// netdef/static_parameters.h. Which line of a file is meant by an output of the
// net: netdef/output_match.h.
//
// Operators of nets within operators (RecurrentNetwork) receive nothing.
//
// Thread rule: any thread; the net that receives parameters is not running.
// Operators read them when they run first: register before that.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_REGISTER_QUANTIZATION_PARAMS_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_REGISTER_QUANTIZATION_PARAMS_H_

#include <string>

#include "base/status.h"
#include "caffe2/core/net.h"

namespace caffe2_quantization {

struct RegisterOptions {
  std::string path;        // of the profile
  bool histogram = false;  // choose from histograms, not from min and max
  bool is_weight = false;  // by the settings of weights
  bool dnnlowp = false;    // DNNLOWP's own parameters: ChooseLikeDnnlowp
  // Not empty: every output of the net that has a line is written there,
  //   op_index op_type output_index tensor_name qmin_real qmax_real scale
  //   zero_point precision
  // one line each.
  std::string output_path;
};

// An error names file and tensor, and nothing is changed or written then.
Status RegisterQuantizationParams(caffe2::NetBase* net,
                                  const RegisterOptions& options);

// The same for every net that is made from now on, in any workspace; further
// calls add further files. The file is read now. A net none of whose int8
// operators writes a tensor of the file is left alone; a net that fits in part
// is not made: the host's CreateNet throws the error.
Status RegisterQuantizationParamsOfLaterNets(const RegisterOptions& options);
void StopRegisteringQuantizationParams();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_REGISTER_QUANTIZATION_PARAMS_H_
