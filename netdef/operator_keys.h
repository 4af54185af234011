// Asks the host's registry of operators whether there is one that computes.
//
// Thread rule: any thread, once the plugin is loaded.
#ifndef CAFFE2_QUANTIZATION_NETDEF_OPERATOR_KEYS_H_
#define CAFFE2_QUANTIZATION_NETDEF_OPERATOR_KEYS_H_

#include <string>

namespace caffe2_quantization {

// The help message of the registry's keys under which the plugin refuses an
// operator (operators/int8/engine/refused_keys.h). The registry is one in a
// process, so every binary in it can tell such a key, whoever registered it.
constexpr char kRefusedKey[] = "caffe2_quantization: refused";

// Whether a key, such as "Int8Conv_ENGINE_ONEDNN", has an operator of the CPU
// that computes.
bool HasOperator(const std::string& key);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_OPERATOR_KEYS_H_
