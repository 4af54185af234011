#include "plugin/registration.h"

#include <string>

#include "caffe2/core/common.h"
#include "caffe2/core/macros.h"
#include "operators/registration.h"
#include "quantization/kernels/isa.h"
#include "serialization/qtensor_serializer.h"

namespace caffe2_quantization {
namespace {

std::string BuiltForVersion() {
  return std::to_string(CAFFE2_VERSION_MAJOR) + '.' +
         std::to_string(CAFFE2_VERSION_MINOR) + '.' +
         std::to_string(CAFFE2_VERSION_PATCH);
}

// The layouts of the host's classes are compiled into us: another version would
// be read wrongly, not refused.
Status CheckHostVersion() {
  const auto& options = caffe2::GetBuildOptions();
  const auto found = options.find("TORCH_VERSION");
  const std::string running =
      found == options.end() ? "unknown" : found->second;
  // "1.10.2+cpu" is 1.10.2.
  if (running.substr(0, running.find('+')) != BuiltForVersion()) {
    return Status::InvalidArgument(
        "this library was built for Caffe2 " + BuiltForVersion() +
        " and was loaded into version " + running +
        "; build it against the running one (-DCAFFE2_HOST_ROOT)");
  }
  return Status::Ok();
}

Status RegisterOnce() {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckHostVersion());
  const std::string isa_error = kernels::ConfigureIsaFromEnvironment();
  if (!isa_error.empty()) return Status::InvalidArgument(isa_error);
  RegisterQTensorSerializers();
  RegisterOperators();
  return Status::Ok();
}

}  // namespace

Status RegisterPlugin() {
  static const Status status = RegisterOnce();
  return status;
}

}  // namespace caffe2_quantization
