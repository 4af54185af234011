// Makes an int8 net of a float net.
//
// The passes, in order, are the lines of pass_list.inc. What is read are values
// alone: two nets, what a profile or a recipe says of their tensors, and the
// keys of operators that are registered where the int8 net will run. Nothing is
// run.
//
// Thread rule: any thread; each call is by itself.
#ifndef CAFFE2_QUANTIZATION_REWRITE_QUANTIZE_NET_H_
#define CAFFE2_QUANTIZATION_REWRITE_QUANTIZE_NET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/choose.h"
#include "rewrite/decision.h"
#include "rewrite/measurements.h"

namespace caffe2_quantization {
namespace rewrite {

struct QuantizeOptions {
  // "ONEDNN", or "DNNLOWP" for a net that the wheel runs without the plugin.
  std::string engine = "ONEDNN";
  bool per_channel = true;  // weights; DNNLOWP has it for FC alone
  // Activations: unsigned codes of 2 to 8 bits.
  ChooseMethod activation_method = ChooseMethod::kMinMax;
  double activation_percentile = 0.99;
  int activation_bits = 8;
  ChooseMethod weight_method = ChooseMethod::kMinMax;
  double weight_percentile = 0.99;
  int weight_bits = 8;
  // Operators that stay float, and the only ones that may be int8 (empty: all).
  // Each selector is the name of an operator, of its first output, its type, or
  // a regular expression (ECMAScript) that one of these matches as a whole. One
  // that matches nothing is an error with near names.
  std::vector<std::string> keep_float;
  std::vector<std::string> only;
  // External inputs and outputs of the net that are quantized values become
  // int8 tensors, under their names.
  bool int8_io = false;
};

// What the recipe and the report say of one tensor of the float net.
struct TensorChoice8 {
  int op_index = -1;  // -1: an external input
  int output_index = 0;
  std::string name;
  std::string type;
  bool has_shape = false;
  std::vector<int64_t> shape;
  bool is_int8 = false;
  Parameters8 parameters;
  // What a profile says of the values that share the parameters; not by a
  // recipe, and not where the operator has fixed parameters.
  bool has_range = false;
  double min = 0, max = 0;
  double clipped_share = 0;
  std::string warning;
};

// What became of one operator of the float net.
struct OperatorChoice {
  int op_index = 0;
  std::string type;
  std::string name;
  std::string output;  // the first one
  // It computes with codes: by itself, or within another operator, or nothing
  // is left to do where there are codes (NCHW2NHWC).
  bool is_int8 = false;
  // The operator that does its work besides its own; -1: none. Both are int8 or
  // both are float.
  int folded_into = -1;
  Decision decision;
};

// How a net was made int8: the decisions and parameters that, with the same
// nets and options, make the same net again.
struct Recipe {
  QuantizeOptions options;
  std::string net_hash;
  std::vector<OperatorChoice> operators;
  std::vector<TensorChoice8> tensors;
};

struct QuantizedNets {
  caffe2::NetDef init;
  caffe2::NetDef predict;
  Recipe recipe;
  // How often each type of operator is in the new net, by "Type" or
  // "Type (ENGINE)".
  std::map<std::string, int> operator_counts;
  int64_t float_bytes = 0;  // of the nets that were read, serialized
  int64_t int8_bytes = 0;
  std::vector<std::string> warnings;
};

// `init` holds the weights in fills; operators of other kinds are kept, and
// what they make is no constant. Neither is a fill of one value if the profile
// saw other sizes in its blob: it only holds the place of an input. `has_key`
// tells which keys ("Int8Conv_ENGINE_ONEDNN") the registry of operators has.
// Errors name operator and blob. *nets is changed only on success.
Status QuantizeNet(const caffe2::NetDef& init, const caffe2::NetDef& predict,
                   const Measurements& measurements,
                   const QuantizeOptions& options,
                   const std::function<bool(const std::string&)>& has_key,
                   QuantizedNets* nets);

// The same by a recipe, which takes the place of measurements and options: an
// operator is int8 where it says so, with the parameters that it gives. It is
// asked to be int8 if the reason is kInt8, or kFolded where is_int8 is set; an
// operator that is folded is what the one is that does its work. Errors: a
// recipe of another net, an operator that is folded and asked to be float
// alone, parameters that are missing or have no meaning.
Status QuantizeNetBy(const Recipe& recipe, const caffe2::NetDef& init,
                     const caffe2::NetDef& predict,
                     const std::function<bool(const std::string&)>& has_key,
                     QuantizedNets* nets);

// The bytes of a net, the same for the same net. Errors: more bytes than
// protobuf reads (2^31 - 1).
Status NetToBytes(const caffe2::NetDef& net, std::string* bytes);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_QUANTIZE_NET_H_
