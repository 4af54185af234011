#include "operators/registration.h"

#include "caffe2/core/operator_gradient.h"

namespace caffe2_quantization {

#define OPERATOR(name) void Register##name();
#include "operators/operator_list.inc"
#undef OPERATOR
#define OPERATOR(name) void RegisterOnednn##name();
#include "operators/int8/operator_list.inc"
#undef OPERATOR

caffe2::OpSchema& NewSchema(const char* name, const char* file, int line) {
  return caffe2::OpSchemaRegistry::NewSchema(name, file, line);
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
#define OPERATOR(name) RegisterOnednn##name();
#include "operators/int8/operator_list.inc"
#undef OPERATOR
}

}  // namespace caffe2_quantization
