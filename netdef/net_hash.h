// The hash of a net, which tells whether two profiles are of the same net.
#ifndef CAFFE2_QUANTIZATION_NETDEF_NET_HASH_H_
#define CAFFE2_QUANTIZATION_NETDEF_NET_HASH_H_

#include <string>

namespace caffe2 {
class NetDef;
}  // namespace caffe2

namespace caffe2_quantization {

// 32 hexadecimal digits, the 128 bits of XXH3 over what the net computes: of
// each operator, in order, its type, inputs, outputs and arguments (sorted by
// name), and the net's external inputs and outputs. Nets within arguments, such
// as a RecurrentNetwork's step net, count in the same way.
//
// What changes how or where a net runs leaves no trace: the net's name, type,
// workers and own arguments; engines, devices and names of operators.
//
// Stable: the same on every machine and from version to version. Thread rule:
// any thread.
std::string NetHash(const caffe2::NetDef& net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_NET_HASH_H_
