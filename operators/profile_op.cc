#include "operators/profile_op.h"

#include <string>
#include <utility>
#include <vector>

#include "operators/enforce.h"
#include "operators/registration.h"
#include "operators/string_arguments.h"
#include "profiles/profile.h"

namespace caffe2_quantization {

bool OutputMinMaxObserverMergeOp::RunOnDevice() {
  const auto paths = StringArguments(*this, "paths", "inputs");
  CAFFE_ENFORCE(!paths.empty(), type(),
                ": argument paths is missing, expected the paths of profiles");
  const auto output = GetSingleArgument<std::string>("output", "");
  CAFFE_ENFORCE(!output.empty(), type(),
                ": argument output is missing, expected the path to write");
  MergeOptions options;
  options.force = GetSingleArgument<bool>("force", false);
  const Status status = MergeProfileFiles(paths, output, options);
  EnforceOk(*this, status);
  return true;
}

bool ProfileToJsonOp::RunOnDevice() {
  const auto path = GetSingleArgument<std::string>("path", "");
  CAFFE_ENFORCE(!path.empty(), type(),
                ": argument path is missing, expected the path of a profile");
  NetInfo info;
  std::string json;
  Status status = ReadProfile(path, &info);
  if (status.ok()) status = ProfileToJson(info, &json);
  EnforceOk(*this, status);
  *Output(0, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
      std::move(json);
  return true;
}

void RegisterOutputMinMaxObserverMerge() {
  RegisterCpuOperator<OutputMinMaxObserverMergeOp>("OutputMinMaxObserverMerge");
  RegisterNoGradient("OutputMinMaxObserverMerge");
  CAFFE2_QUANTIZATION_SCHEMA("OutputMinMaxObserverMerge")
      .NumInputs(0)
      .NumOutputs(0)
      .SetDoc("Makes one profile file of many, exactly.")
      .Arg("paths", "Paths of profiles, binary or JSON.")
      .Arg("inputs", "An older name of paths; one of them is given.")
      .Arg("output", "File to write; JSON when it ends in .json.")
      .Arg("force",
           "1: merge profiles of other nets or options too, and write what "
           "differed to the result. Default 0.");
}

void RegisterProfileToJson() {
  RegisterCpuOperator<ProfileToJsonOp>("ProfileToJson");
  RegisterNoGradient("ProfileToJson");
  CAFFE2_QUANTIZATION_SCHEMA("ProfileToJson")
      .NumInputs(0)
      .NumOutputs(1)
      .SetDoc("Reads a profile file.")
      .Arg("path", "Path of a profile, binary or JSON.")
      .Output(0, "json", "string tensor [1]");
}

}  // namespace caffe2_quantization
