// Computes a net's hash, which tells whether two profiles are of the same net.
#ifndef CAFFE2_QUANTIZATION_NETDEF_NET_HASH_H_
#define CAFFE2_QUANTIZATION_NETDEF_NET_HASH_H_

#include <string>

namespace caffe2 {
class NetDef;
}  // namespace caffe2

namespace caffe2_quantization {

// Returns 32 hexadecimal digits, the 128 bits of XXH3 over what the net
// computes: the type, inputs, outputs and arguments (sorted by name) of each
// operator, in order, and the net's external inputs and outputs. Nets within
// arguments, such as a RecurrentNetwork's step net, count in the same way.
//
// What only changes how or where a net runs does not count: the net's name,
// type, workers and own arguments; the engines, devices and names of operators.
//
// The hash is stable: the same on every machine and from version to version.
// Thread rule: any thread.
std::string NetHash(const caffe2::NetDef& net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_NET_HASH_H_
