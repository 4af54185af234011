// The module: what happens when the library is loaded.
#include "caffe2/core/module.h"

#include <cstdio>
#include <string>

#include "base/export.h"
#include "base/no_destructor.h"
#include "observers/record_callback.h"
#include "plugin/plugin.h"
#include "plugin/registration.h"
#include "quantization/kernels/isa.h"

// CAFFE2_MODULE defines it with the visibility of its first declaration.
extern "C" CAFFE2_QUANTIZATION_API bool
gCaffe2ModuleSanityCheckcaffe2_quantization();

namespace {

// Asked before CAFFE2_MODULE below enters our own name.
const bool g_loaded_before = caffe2::HasModule("caffe2_quantization");

}  // namespace

CAFFE2_MODULE(caffe2_quantization,
              "Quantization toolkit: observers, QTensor, "
              "byte weights and parameters");

namespace {

std::string Load() {
  std::string error;
  if (g_loaded_before) {
    error = "another copy of the plugin is loaded already; this one stays idle";
  } else {
    const auto status = caffe2_quantization::RegisterPlugin();
    if (!status.ok()) error = status.message();
  }
  // An initialiser cannot throw through dlopen. The operators are missing now;
  // say why, once, even to those who do not ask
  // caffe2_quantization_load_error().
  if (!error.empty()) {
    std::fprintf(stderr, "caffe2_quantization: %s\n", error.c_str());
  }
  return error;
}

const std::string& LoadError() {
  static caffe2_quantization::NoDestructor<std::string> error(Load());
  return *error;
}

[[maybe_unused]] const bool g_loaded = LoadError().empty();

}  // namespace

const char* caffe2_quantization_version(void) {
  return CAFFE2_QUANTIZATION_VERSION;
}

const char* caffe2_quantization_load_error(void) { return LoadError().c_str(); }

const char* caffe2_quantization_isa(void) {
  static const std::string* name =
      new std::string(caffe2_quantization::kernels::ActiveTargetName());
  return name->c_str();
}

int64_t caffe2_quantization_add_record_callback(
    caffe2_quantization_record_callback callback, void* user_data) {
  if (callback == nullptr) return 0;
  return caffe2_quantization::AddRecordCallback(callback, user_data);
}

int caffe2_quantization_remove_record_callback(int64_t id) {
  return caffe2_quantization::RemoveRecordCallback(id) ? 0 : 1;
}
