#include "rewrite/int8_forms.h"

#include "base/no_destructor.h"

namespace caffe2_quantization {
namespace rewrite {

const std::vector<Int8Form>& Int8Forms() {
  static NoDestructor<std::vector<Int8Form>> forms(std::vector<Int8Form>{
#define FORM(float_type, int8_type, with_relu, region, parameters, layout) \
  {                                                                        \
      float_type,                                                          \
      int8_type,                                                           \
      with_relu,                                                           \
      Region::region,                                                      \
      Parameters::parameters,                                              \
      Layout::layout},
#include "rewrite/int8_forms.inc"
#undef FORM
  });
  return *forms;
}

const Int8Form* FindInt8Form(const std::string& float_type) {
  for (const Int8Form& form : Int8Forms()) {
    if (float_type == form.float_type) return &form;
  }
  return nullptr;
}

bool FixedParameters(Parameters parameters, float* scale, int32_t* zero_point) {
  switch (parameters) {
    case Parameters::kSigmoid:
      *scale = 1.0f / 254;
      *zero_point = 0;
      return true;
    case Parameters::kTanh:
      *scale = 1.0f / 127;
      *zero_point = 128;
      return true;
    case Parameters::kSoftmax:
      *scale = 1.0f / 256;
      *zero_point = 0;
      return true;
    case Parameters::kOwn:
    case Parameters::kKept:
      break;
  }
  return false;
}

}  // namespace rewrite
}  // namespace caffe2_quantization
