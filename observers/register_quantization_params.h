// Gives a net static quantization parameters from a profile: reads what was
// measured on a float net, chooses scale and zero point of each output, and
// sets them as the arguments Y_scale and Y_zero_point (Y2_scale … for later
// outputs) of the net's int8 operators.
//
// Int8 operators are those whose engine, in the NetDef or as the host made
// them, is DNNLOWP or ONEDNN with any suffix. netdef/static_parameters.h says
// how parameters are chosen; netdef/output_match.h says which line of a file
// belongs to an output of the net.
//
// Operators of nets within operators (RecurrentNetwork) receive no parameters.
//
// Thread rule: any thread; the net that receives parameters must not be
// running. Operators read them in their first run: register before that.
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
  // If it is not empty, every output of the net that has a line is written
  // there,
  //   op_index op_type output_index tensor_name qmin_real qmax_real scale
  //   zero_point precision
  // one line each.
  std::string output_path;
};

// Sets the parameters of a net's operators. An error names the file and the
// tensor; then nothing is changed or written.
Status RegisterQuantizationParams(caffe2::NetBase* net,
                                  const RegisterOptions& options);

// Does the same for every net that is made from now on, in any workspace;
// further calls add further files. The file is read now. A net is left alone if
// none of its int8 operators writes a tensor of the file. A net that fits only
// in part is not made: the host's CreateNet throws the error.
Status RegisterQuantizationParamsOfLaterNets(const RegisterOptions& options);
void StopRegisteringQuantizationParams();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_REGISTER_QUANTIZATION_PARAMS_H_
