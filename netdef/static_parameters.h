// Chooses scales and zero points for the outputs of a net's int8 operators from
// what was measured on a float net.
//
// dnnlowp_settings.h says how parameters are chosen; output_match.h says from
// which entry, or line, of the file.
//
// A float net has no Quantize, so Quantize takes the line of its input if its
// output has none. With neither line it chooses parameters in every run, and a
// warning says so.
//
// Errors, each naming the tensor: no line; several lines and no way to tell
// which is meant; two lines for the same output of one operator; no histogram
// where one is asked for; limits that are no floats. Lines of outputs that are
// no int8 tensors are not needed, but are used if they are there: those of
// Dequantize, of operators with dequantize_output, and of weights that are
// being packed.
//
// An output that saw no value gets scale 0.1 and zero point 0, as upstream. An
// output that saw a single value v is treated as the range [v, v]; upstream
// gives it scale 0.1, which clips a v beyond 25.5.
//
// Thread rule: any thread, while no flag of the host is being set.
#ifndef CAFFE2_QUANTIZATION_NETDEF_STATIC_PARAMETERS_H_
#define CAFFE2_QUANTIZATION_NETDEF_STATIC_PARAMETERS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/output_match.h"
#include "profiles/measured_outputs.h"
#include "quantization/choose.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

struct StaticParameterOptions {
  bool is_weight = false;  // by the settings of weights
  bool dnnlowp = false;    // DNNLOWP's own parameters: ChooseLikeDnnlowp
  bool every = false;      // of every operator, not of int8 ones alone
};

// Parameters of one output of a net.
struct ChosenParameters {
  std::size_t op_index;
  std::string op_type;
  int output_index;
  std::string tensor_name;
  QuantizedType type;
  Choice choice;
};

// What a file gives the outputs of a net.
struct StaticParameters {
  std::vector<ChosenParameters> chosen;
  // True if at least one of the tensors that need an entry has one.
  bool fits = false;
  // The tensors that need an entry and have none.
  std::vector<std::string> missing;
};

// Chooses parameters for every output that has an entry. An error names the
// file and the tensor.
Status ChooseStaticParameters(const MeasuredOutputs& measured,
                              const std::vector<NetOperator>& operators,
                              const StaticParameterOptions& how,
                              StaticParameters* parameters);

// Returns an error that names the first eight missing tensors; OK if none is
// missing.
Status MissingOutputs(const MeasuredOutputs& measured,
                      const std::string& net_name,
                      const std::vector<std::string>& missing);

// Reads a file of histograms, and sets the parameters of a NetDef's outputs as
// arguments of their operators, in place of any that are there. With a profile
// of format version 2 also in the nets within, by their paths. Operators with
// dequantize_output are left alone. On an error the net is not changed.
Status AddScaleZeroOffsetArgumentsWithHistogram(const std::string& path,
                                                caffe2::NetDef* net,
                                                bool dnnlowp = false);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_STATIC_PARAMETERS_H_
