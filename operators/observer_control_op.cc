#include "operators/observer_control_op.h"

#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

// A failed Status becomes the host's enforce error.
void Enforce(const std::string& op, const Status& status) {
  CAFFE_ENFORCE(status.ok(), op, ": ", status.message());
}

class AttachOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    OutputMinMaxOptions options = Options();
    options.path = GetSingleArgument<std::string>("path", "");
    CAFFE_ENFORCE(options.dump_freq <= 0 || !options.path.empty(), type(),
                  ": dump_freq is ", options.dump_freq,
                  ", but there is no path to dump to");
    Enforce(type(), AttachOutputMinMaxObserver(Net(), std::move(options)));
    return true;
  }
};

class AttachToLaterNetsOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    if (GetSingleArgument<bool>("enable", true)) {
      const auto folder = GetSingleArgument<std::string>("folder", "");
      OutputMinMaxOptions options = Options();
      CAFFE_ENFORCE(options.dump_freq <= 0 || !folder.empty(), type(),
                    ": dump_freq is ", options.dump_freq,
                    ", but there is no folder to dump to");
      AttachOutputMinMaxObserverToLaterNets(std::move(options), folder);
    } else {
      StopAttachingToLaterNets();
    }
    return true;
  }
};

class InfoOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    std::string json;
    if (HasArgument("net")) {
      json = ToJson(Measurement()->get_info());
    } else {
      std::vector<NetInfo> infos;
      for (const auto& measurement : AllNetMeasurements()) {
        infos.push_back(measurement->get_info());
      }
      json = ToJson(infos);
    }
    *Output(0, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
        std::move(json);
    return true;
  }
};

class DumpOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    const auto path = GetSingleArgument<std::string>("path", "");
    const auto measurement = Measurement();
    Enforce(type(), GetSingleArgument<bool>("reset", false)
                        ? measurement->dump_and_reset(path)
                        : measurement->dump(path));
    return true;
  }
};

class ResetOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    Measurement()->reset();
    return true;
  }
};

class StopOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    Measurement()->stop();
    return true;
  }
};

class ResumeOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    Measurement()->resume();
    return true;
  }
};

class DetachOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    caffe2::NetBase* net = Measurement()->net();
    if (net != nullptr) {
      Enforce(type(), DetachOutputMinMaxObserver(net));
    } else {
      ForgetNetMeasurement(NetName());
    }
    return true;
  }
};

// All of them take no input; Info has one output, the others none.
caffe2::OpSchema& ControlSchema(const char* name, int outputs) {
  RegisterNoGradient(name);
  return CAFFE2_QUANTIZATION_SCHEMA(name).NumInputs(0).NumOutputs(outputs);
}

constexpr char kNetDoc[] = "Name of a net of this workspace.";
constexpr char kDumpFreqDoc[] =
    "Every N runs, write what was seen since the last dump to name_K.ext.";
constexpr char kOpTypesDoc[] = "Only operators of these types. Default: all.";
constexpr char kOutputsDoc[] =
    "Only operators with one of these outputs. Default: all.";

}  // namespace

ObserverControlOp::ObserverControlOp(const caffe2::OperatorDef& definition,
                                     caffe2::Workspace* workspace)
    : Operator(definition, workspace), workspace_(workspace) {}

std::string ObserverControlOp::NetName() const {
  const auto name = GetSingleArgument<std::string>("net", "");
  CAFFE_ENFORCE(!name.empty(), type(),
                ": argument net is missing, expected the name of a net");
  return name;
}

caffe2::NetBase* ObserverControlOp::Net() const {
  const std::string name = NetName();
  caffe2::NetBase* net = workspace_->GetNet(name);
  const std::string others = c10::Join(", ", workspace_->Nets());
  CAFFE_ENFORCE(
      net != nullptr, type(), ": there is no net '", name,
      "' in this workspace; it has: ", others.empty() ? "(none)" : others);
  return net;
}

std::shared_ptr<NetMeasurement> ObserverControlOp::Measurement() const {
  auto measurement = FindNetMeasurement(NetName(), workspace_);
  CAFFE_ENFORCE(measurement != nullptr, type(), ": net '", NetName(),
                "' has no OutputMinMaxNetObserver; run "
                "OutputMinMaxObserverAttach first");
  return measurement;
}

std::vector<std::string> ObserverControlOp::Names(const char* argument) const {
  if (!HasArgument(argument)) return {};
  // One name may stand alone.
  if (HasSingleArgumentOfType<std::string>(argument)) {
    return {GetSingleArgument<std::string>(argument, "")};
  }
  auto names = GetRepeatedArgument<std::string>(argument);
  CAFFE_ENFORCE(!names.empty(), type(), ": argument ", argument,
                " holds no string, expected one name or several");
  return names;
}

OutputMinMaxOptions ObserverControlOp::Options() const {
  OutputMinMaxOptions options;
  options.dump_freq = GetSingleArgument<int64_t>("dump_freq", -1);
  options.op_types = Names("op_types");
  options.outputs = Names("outputs");
  return options;
}

void RegisterOutputMinMaxObserverAttach() {
  RegisterCpuOperator<AttachOp>("OutputMinMaxObserverAttach");
  ControlSchema("OutputMinMaxObserverAttach", 0)
      .SetDoc("Observes min and max of every output of a net.")
      .Arg("net", kNetDoc)
      .Arg("path", "File of the dumps; default: only where a Dump says.")
      .Arg("dump_freq", kDumpFreqDoc)
      .Arg("op_types", kOpTypesDoc)
      .Arg("outputs", kOutputsDoc);
}

void RegisterOutputMinMaxObserverAttachToLaterNets() {
  RegisterCpuOperator<AttachToLaterNetsOp>(
      "OutputMinMaxObserverAttachToLaterNets");
  ControlSchema("OutputMinMaxObserverAttachToLaterNets", 0)
      .SetDoc("Observes every net that is made from now on in this process.")
      .Arg("folder", "Each net is dumped to folder/<net name>.minmax.")
      .Arg("enable", "0: leave later nets alone again. Default 1.")
      .Arg("dump_freq", kDumpFreqDoc)
      .Arg("op_types", kOpTypesDoc)
      .Arg("outputs", kOutputsDoc);
}

void RegisterOutputMinMaxObserverInfo() {
  RegisterCpuOperator<InfoOp>("OutputMinMaxObserverInfo");
  ControlSchema("OutputMinMaxObserverInfo", 1)
      .SetDoc("What was measured, as JSON.")
      .Arg("net", "Name of a net. Default: every observed net, as a list.")
      .Output(0, "json", "string tensor [1]");
}

void RegisterOutputMinMaxObserverDump() {
  RegisterCpuOperator<DumpOp>("OutputMinMaxObserverDump");
  ControlSchema("OutputMinMaxObserverDump", 0)
      .SetDoc("Writes a net's ranges in the .minmax format.")
      .Arg("net", kNetDoc)
      .Arg("path", "File to write. Default: the path given at attach.")
      .Arg("reset", "1: write what was seen since the last reset, and reset.");
}

void RegisterOutputMinMaxObserverReset() {
  RegisterCpuOperator<ResetOp>("OutputMinMaxObserverReset");
  ControlSchema("OutputMinMaxObserverReset", 0)
      .SetDoc("Forgets the ranges seen so far; totals and counts stay.")
      .Arg("net", kNetDoc);
}

void RegisterOutputMinMaxObserverStop() {
  RegisterCpuOperator<StopOp>("OutputMinMaxObserverStop");
  ControlSchema("OutputMinMaxObserverStop", 0)
      .SetDoc("Records no run until OutputMinMaxObserverResume.")
      .Arg("net", kNetDoc);
}

void RegisterOutputMinMaxObserverResume() {
  RegisterCpuOperator<ResumeOp>("OutputMinMaxObserverResume");
  ControlSchema("OutputMinMaxObserverResume", 0)
      .SetDoc("Goes on recording after OutputMinMaxObserverStop.")
      .Arg("net", kNetDoc);
}

void RegisterOutputMinMaxObserverDetach() {
  RegisterCpuOperator<DetachOp>("OutputMinMaxObserverDetach");
  ControlSchema("OutputMinMaxObserverDetach", 0)
      .SetDoc(
          "Takes the observer off a net; writes its totals first if it was "
          "attached with a path.")
      .Arg("net", kNetDoc);
}

}  // namespace caffe2_quantization
