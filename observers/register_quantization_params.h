// Static quantization parameters from a profile: reads what was measured of a
// float net, chooses scale and zero point of each output, and gives them to the
// int8 operators of a net as the arguments Y_scale and Y_zero_point (Y2_scale …
// of their later outputs).
//
// Int8 operators are those whose engine, in the NetDef or as the host made
// them, is DNNLOWP or ONEDNN with any suffix. How parameters are chosen:
// netdef/dnnlowp_settings.h. Files: .minmax, .hist, each in both its forms,
// and profiles, binary or JSON; told by their first character.
//
// What is matched with what: the tensor's name. A line of another operator type
// or index is taken all the same when it is the only one of that name: a net
// whose operators were renamed (Int8…) or fused is no other net. Of a name that
// the file has more than once:
//   1. lines of the operator's type (an Int8 before it left out) come first,
//   2. of several, the k-th one goes to the k-th operator of the net that
//   writes
//      it, if there are as many, else the one of the operator's own index,
//   3. with no line of that type, and only one operator in the net that writes
//      the name, the last line: operators were fused.
// Quantize, which a float net does not have, takes the line of its input where
// its output has none; with neither it is left to choose in every run, and a
// warning says so.
//
// Errors, each naming the tensor: no line; lines that do not tell which; two
// lines for the same output of one operator; no histogram where one is asked
// for; limits that are no floats. Not needed, but used if they are there, are
// lines of outputs that are no int8 tensors: of Dequantize, of operators with
// dequantize_output, and of weights that are being packed.
//
// Operators of nets within operators (RecurrentNetwork) receive nothing.
//
// An output that saw no value gets scale 0.1 and zero point 0, as upstream. One
// of a single value v is treated as the range [v, v]; upstream gives it scale
// 0.1, which clips a v beyond 25.5.
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

// Of every net that is made from now on, in any workspace; further calls add
// further files. The file is read now. A net none of whose int8 operators
// writes a tensor of the file is left alone; a net that fits in part is not
// made: the host's CreateNet throws the error.
Status RegisterQuantizationParamsOfLaterNets(const RegisterOptions& options);
void StopRegisteringQuantizationParams();

// The same for a NetDef, from histograms, but for operators with
// dequantize_output, which are left alone. Existing arguments are replaced.
Status AddScaleZeroOffsetArgumentsWithHistogram(const std::string& path,
                                                caffe2::NetDef* net,
                                                bool dnnlowp = false);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_REGISTER_QUANTIZATION_PARAMS_H_
