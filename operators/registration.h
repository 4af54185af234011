// Registers the plugin's operators in the host's registries.
//
// Each operator file defines one `void Register…()`; operator_list.inc names
// it, and RegisterOperators() calls the whole list. Nothing is registered by a
// static initialiser, so the order is visible, and a second copy of the plugin
// in the process can be refused before it touches a registry.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_REGISTRATION_H_
#define CAFFE2_QUANTIZATION_OPERATORS_REGISTRATION_H_

#include <cstring>
#include <memory>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// Refuses an argument that the schema of NewSchema does not name, since nobody
// would read it. Operators with the host's own schemas, and those of engines,
// accept what the host's operators accept, which ignore unknown arguments.
void EnforceKnownArguments(const caffe2::OperatorDef& definition);

// Registers OpClass as the CPU operator `name`, with preference over the host's
// own if it has one. The name may carry an engine: "FC_ENGINE_ONEDNN".
template <class OpClass>
void RegisterCpuOperator(const char* name) {
  const bool is_of_engine = std::strstr(name, "_ENGINE_") != nullptr;
  caffe2::CPUOperatorRegistry()->Register(
      name,
      [is_of_engine](const caffe2::OperatorDef& definition,
                     caffe2::Workspace* workspace) {
        if (!is_of_engine) EnforceKnownArguments(definition);
        return std::unique_ptr<caffe2::OperatorBase>(
            new OpClass(definition, workspace));
      },
      c10::REGISTRY_PREFERRED);
}

// Starts the schema of an operator that the host does not know.
caffe2::OpSchema& NewSchema(const char* name, const char* file, int line);
#define CAFFE2_QUANTIZATION_SCHEMA(name) \
  ::caffe2_quantization::NewSchema(name, __FILE__, __LINE__)

// Replaces the shape inference of a schema of the host's: for an operator that
// has an argument of ours by which its shape changes, and one of which the host
// infers nothing. Without such an argument the function must infer what the
// host does. Call it while the plugin is loaded.
void ReplaceInference(const char* name,
                      caffe2::OpSchema::TensorInferenceFunctionType infer);

// Registers that an operator has no gradient, so that a training net gets an
// error that names it.
void RegisterNoGradient(const char* name);

// Registers every operator of operator_list.inc and int8/operator_list.inc.
void RegisterOperators();

// Registers only those of int8/operator_list.inc, which exist beside the host's
// operators and do not replace them, and what the engine refuses
// (int8/refused_list.inc). (It is for programs that compare the two;
// RegisterOperators calls it.)
void RegisterOnednnOperators();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_REGISTRATION_H_
