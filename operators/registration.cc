#include "operators/registration.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/nearest_name.h"
#include "caffe2/core/operator_gradient.h"
#include "operators/int8/engine/refused_keys.h"
#include "operators/int8/engine/register_engine.h"

namespace caffe2_quantization {
namespace {

// The operators that NewSchema was called for. Written while the plugin is
// loaded, read from then on. Never destroyed: nets are made while the process
// exits, too.
std::set<std::string>& OwnSchemas() {
  static auto* names = new std::set<std::string>;
  return *names;
}

}  // namespace

#define OPERATOR(name) void Register##name();
#include "operators/operator_list.inc"
#undef OPERATOR
#define OPERATOR(family, name, ...) \
  void RegisterOnednn##family(const char*, const EngineSuffixes&);
#include "operators/int8/operator_list.inc"
#undef OPERATOR

caffe2::OpSchema& NewSchema(const char* name, const char* file, int line) {
  OwnSchemas().insert(name);
  return caffe2::OpSchemaRegistry::NewSchema(name, file, line);
}

void ReplaceInference(const char* name,
                      caffe2::OpSchema::TensorInferenceFunctionType infer) {
  const auto* const schema = caffe2::OpSchemaRegistry::Schema(name);
  CAFFE_ENFORCE(schema != nullptr, "the host has no schema of ", name);
  // The registry's own object, which is not constant: it gives no other way to
  // it.
  const_cast<caffe2::OpSchema*>(schema)->TensorInferenceFunction(
      std::move(infer));
}

void EnforceKnownArguments(const caffe2::OperatorDef& definition) {
  if (OwnSchemas().count(definition.type()) == 0) return;
  std::vector<std::string> known;
  for (const auto& argument :
       caffe2::OpSchemaRegistry::Schema(definition.type())->args()) {
    known.emplace_back(argument.name());
  }
  for (const caffe2::Argument& argument : definition.arg()) {
    CAFFE_ENFORCE(
        std::find(known.begin(), known.end(), argument.name()) != known.end(),
        definition.type(), ": it has no argument '", argument.name(), "'",
        NameHint(argument.name(), known));
  }
}

void RegisterNoGradient(const char* name) {
  caffe2::GradientRegistry()->Register(
      name,
      [](const caffe2::OperatorDef& definition,
         const std::vector<caffe2::GradientWrapper>& outputs) {
        return std::unique_ptr<caffe2::GradientMakerBase>(
            new caffe2::NoGradient(definition, outputs));
      },
      c10::REGISTRY_PREFERRED);
}

void RegisterOperators() {
#define OPERATOR(name) Register##name();
#include "operators/operator_list.inc"
#undef OPERATOR
  RegisterOnednnOperators();
}

void RegisterOnednnOperators() {
#define OPERATOR(family, name, ...) \
  RegisterOnednn##family(#name, {__VA_ARGS__});
#include "operators/int8/operator_list.inc"
#undef OPERATOR
  RegisterRefusedKeys();
}

}  // namespace caffe2_quantization
