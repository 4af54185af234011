#include "plugin/registration.h"

#include <string>

#include "base/process.h"
#include "base/return_if_error.h"
#include "caffe2/core/common.h"
#include "caffe2/core/macros.h"
#include "caffe2/core/workspace.h"
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

// The host's list of workspaces has a lock, which every Workspace takes when it
// is made and when it ends; ours makes some beside operators. A thread that
// held it while the process forked would leave the child without. Nothing but
// an explicit instantiation may name it.
template <auto kFunction>
struct WorkspaceList {
  friend auto TheWorkspaceList() { return kFunction(); }
};
auto TheWorkspaceList();
template struct WorkspaceList<&caffe2::Workspace::bookkeeper>;

void KeepWorkspacesWholeAcrossForks() {
  static const auto* const list = new auto(TheWorkspaceList());  // for good
  HoldAcrossForks(&(*list)->wsmutex);
}

Status RegisterOnce() {
  RETURN_IF_ERROR(CheckHostVersion());
  const std::string isa_error = kernels::ConfigureIsaFromEnvironment();
  if (!isa_error.empty()) return Status::InvalidArgument(isa_error);
  KeepWorkspacesWholeAcrossForks();
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
