#include "operators/observer_control_op.h"

#include "base/process.h"
#include "operators/enforce.h"
#include "operators/registration.h"
#include "operators/string_arguments.h"

namespace caffe2_quantization {
namespace {

class AttachOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    OutputMinMaxOptions options = Options();
    options.resume_path = GetSingleArgument<std::string>("resume_from", "");
    CAFFE_ENFORCE(options.dump_freq <= 0 || !options.path.empty(), type(),
                  ": dump_freq is ", options.dump_freq,
                  ", but there is no path to dump to");
    caffe2::NetBase* net = Net();
    for (const caffe2::OperatorBase* op : net->GetOperators()) {
      CAFFE_ENFORCE(op != this, type(), ": it is an operator of net '",
                    net->Name(),
                    "', which is running, expected one of another net");
    }
    EnforceOk(*this, AttachOutputMinMaxObserver(net, std::move(options)));
    return true;
  }
};

class AttachToLaterNetsOp final : public ObserverControlOp {
 public:
  using ObserverControlOp::ObserverControlOp;
  bool RunOnDevice() override {
    if (GetSingleArgument<bool>("enable", true)) {
      LaterNetsPaths paths;
      paths.folder = GetSingleArgument<std::string>("folder", "");
      paths.unique = GetSingleArgument<bool>("unique_paths", false);
      OutputMinMaxOptions options = Options();
      CAFFE_ENFORCE(paths.folder.empty() || options.path.empty(), type(),
                    ": both a folder, '", paths.folder, "', and a path, '",
                    options.path, "', are given, expected one of them");
      CAFFE_ENFORCE(options.dump_freq <= 0 || !paths.folder.empty() ||
                        !options.path.empty(),
                    type(), ": dump_freq is ", options.dump_freq,
                    ", but there is no folder or path to dump to");
      EnforceOk(*this, AttachOutputMinMaxObserverToLaterNets(std::move(options),
                                                             std::move(paths)));
    } else if (HasArgument("observer")) {
      const auto label = GetSingleArgument<std::string>("observer", "");
      StopAttachingToLaterNets(&label);
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
    const bool histograms = GetSingleArgument<bool>("histograms", false);
    std::string json;
    if (HasArgument("net")) {
      json = ToJson(Measurement()->get_info(), histograms);
    } else {
      std::vector<NetInfo> infos;
      for (const auto& measurement : AllNetMeasurements()) {
        infos.push_back(measurement->get_info());
      }
      json = ToJson(infos, histograms);
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
    DumpOptions options;
    options.path = GetSingleArgument<std::string>("path", "");
    options.format = Format();
    options.delimiter = GetSingleArgument<std::string>("delimiter", "");
    options.reset = GetSingleArgument<bool>("reset", false);
    const auto samples = GetSingleArgument<int64_t>("samples", 0);
    CAFFE_ENFORCE(samples >= 0, type(), ": samples is ", samples,
                  ", expected 0 or more");
    const auto measurement = Measurement();
    if (HasArgument("samples")) {
      measurement->set_samples(static_cast<uint64_t>(samples));
    }
    if (HasArgument("checkpoint_batches")) {
      measurement->set_checkpoint(ReadCheckpoint());
    }
    EnforceOk(*this, measurement->dump_as(options));
    return true;
  }

 private:
  Checkpoint ReadCheckpoint() const {
    Checkpoint checkpoint;
    checkpoint.batches = GetSingleArgument<int64_t>("checkpoint_batches", 0);
    CAFFE_ENFORCE(checkpoint.batches >= 0, type(), ": checkpoint_batches is ",
                  checkpoint.batches, ", expected 0 or more");
    const auto settings =
        GetRepeatedArgument<std::string>("checkpoint_settings");
    CAFFE_ENFORCE(settings.size() % 2 == 0, type(),
                  ": checkpoint_settings has ", settings.size(),
                  " texts, expected pairs of name and value");
    for (std::size_t i = 0; i < settings.size(); i += 2) {
      checkpoint.settings[settings[i]] = settings[i + 1];
    }
    return checkpoint;
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
    const auto measurement = Measurement();
    const std::string& label = measurement->label();
    caffe2::NetBase* net = measurement->net();
    if (net != nullptr) {
      EnforceOk(*this, DetachOutputMinMaxObserver(net, label));
    } else {
      ForgetNetMeasurement(NetName(), &label);
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
constexpr char kObserverDoc[] =
    "Label of the observer. Default: the net's only one.";
constexpr char kFormatDoc[] =
    "min_max, histogram, column_max, profile or profile_json.";
constexpr char kDelimiterDoc[] =
    "Between the fields of the text forms. Default: a blank.";

// What both attaching operators take.
caffe2::OpSchema& RecordingArguments(caffe2::OpSchema& schema) {
  return schema
      .Arg("observer",
           "Label that tells several observers of a net apart. Default: empty.")
      .Arg("dump_freq",
           "Every N runs, write what was seen since the last dump to "
           "name_K.ext.")
      .Arg("format",
           "min_max, histogram, column_max, profile or profile_json. Default: "
           "what is recorded.")
      .Arg("delimiter", kDelimiterDoc)
      .Arg("histogram_bins",
           "Records histograms of so many bins at most, 4 to 65536. Default 0: "
           "none.")
      .Arg("column_max_blobs",
           "Records histograms of each column's maximum of these outputs.")
      .Arg("column_max_bins", "Their bins. Default 16.")
      .Arg("op_types",
           "Only operators of types that match one of these shell patterns. "
           "Default: all.")
      .Arg("op_names", "Only operators with such names. Default: all.")
      .Arg("output_names", "Only operators with such an output. Default: all.")
      .Arg("input_names",
           "Records these external inputs. Default: the net's data, none if "
           "operators are chosen.")
      .Arg("outputs", "An older name of output_names; one of them is given.")
      .Arg("every", "Records runs 1, N + 1, 2 N + 1 ... Default 1.")
      .Arg("run_limit", "Stops after so many recorded runs. Default 0: never.");
}

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
  const std::string name = NetName();
  const auto measurements = FindNetMeasurements(name, workspace_);
  CAFFE_ENFORCE(!measurements.empty(), type(), ": net '", name,
                "' has no OutputMinMaxNetObserver; run "
                "OutputMinMaxObserverAttach first",
                IsForked()
                    ? ", in this process: an observer that was attached "
                      "before the process was forked belongs to the other"
                    : "");
  std::vector<std::string> labels;
  for (const auto& measurement : measurements) {
    labels.push_back("'" + measurement->label() + "'");
  }
  if (!HasArgument("observer")) {
    CAFFE_ENFORCE(measurements.size() == 1, type(), ": net '", name, "' has ",
                  measurements.size(),
                  " observers, expected the argument observer to name one of ",
                  c10::Join(", ", labels));
    return measurements.front();
  }
  const auto label = GetSingleArgument<std::string>("observer", "");
  for (const auto& measurement : measurements) {
    if (measurement->label() == label) return measurement;
  }
  CAFFE_THROW(type(), ": net '", name, "' has no observer '", label,
              "'; it has: ", c10::Join(", ", labels));
}

OutputMinMaxOptions::Format ObserverControlOp::Format() const {
  using Format = OutputMinMaxOptions::Format;
  if (!HasArgument("format")) return Format::kDefault;
  const auto name = GetSingleArgument<std::string>("format", "");
  for (const auto& [known, format] :
       {std::pair("min_max", Format::kMinMax),
        std::pair("histogram", Format::kHistogram),
        std::pair("column_max", Format::kColumnMax),
        std::pair("profile", Format::kProfile),
        std::pair("profile_json", Format::kProfileJson)}) {
    if (name == known) return format;
  }
  CAFFE_THROW(type(), ": format is '", name,
              "', expected min_max, histogram, column_max, profile or "
              "profile_json");
}

OutputMinMaxOptions ObserverControlOp::Options() const {
  OutputMinMaxOptions options;
  options.label = GetSingleArgument<std::string>("observer", "");
  options.path = GetSingleArgument<std::string>("path", "");
  options.dump_freq = GetSingleArgument<int64_t>("dump_freq", -1);
  options.format = Format();
  options.delimiter = GetSingleArgument<std::string>("delimiter", " ");
  RecordingOptions& recording = options.recording;
  recording.histogram_bins = GetSingleArgument<int>("histogram_bins", 0);
  recording.column_max_bins = GetSingleArgument<int>("column_max_bins", 0);
  recording.column_max_blobs = StringArguments(*this, "column_max_blobs");
  recording.op_types = StringArguments(*this, "op_types");
  recording.op_names = StringArguments(*this, "op_names");
  recording.outputs = StringArguments(*this, "output_names", "outputs");
  recording.inputs = StringArguments(*this, "input_names");
  recording.every = GetSingleArgument<int64_t>("every", 1);
  recording.run_limit = GetSingleArgument<int64_t>("run_limit", 0);
  return options;
}

void RegisterOutputMinMaxObserverAttach() {
  RegisterCpuOperator<AttachOp>("OutputMinMaxObserverAttach");
  RecordingArguments(ControlSchema("OutputMinMaxObserverAttach", 0))
      .SetDoc("Observes the values of every output of a net.")
      .Arg("net", kNetDoc)
      .Arg("path", "File of the dumps. Default: only where a Dump says.")
      .Arg("resume_from", "Profile whose totals are gone on from.");
}

void RegisterOutputMinMaxObserverAttachToLaterNets() {
  RegisterCpuOperator<AttachToLaterNetsOp>(
      "OutputMinMaxObserverAttachToLaterNets");
  RecordingArguments(ControlSchema("OutputMinMaxObserverAttachToLaterNets", 0))
      .SetDoc("Observes every net that is made from now on in this process.")
      .Arg("folder", "Each net is dumped to folder/<net name>.<extension>.")
      .Arg("path", "Instead of folder: each net is dumped to this one file.")
      .Arg("unique_paths", "1: the n-th net is dumped to path.<n>. Default 0.")
      .Arg("enable",
           "0: leave later nets alone again, of all observers or of the one "
           "that observer names. Default 1.");
}

void RegisterOutputMinMaxObserverInfo() {
  RegisterCpuOperator<InfoOp>("OutputMinMaxObserverInfo");
  ControlSchema("OutputMinMaxObserverInfo", 1)
      .SetDoc("What was measured, as JSON.")
      .Arg("net", "Name of a net. Default: every observed net, as a list.")
      .Arg("observer", kObserverDoc)
      .Arg("histograms", "1: with the counts of histograms. Default 0.")
      .Output(0, "json", "string tensor [1]");
}

void RegisterOutputMinMaxObserverDump() {
  RegisterCpuOperator<DumpOp>("OutputMinMaxObserverDump");
  ControlSchema("OutputMinMaxObserverDump", 0)
      .SetDoc("Writes what was measured of a net.")
      .Arg("net", kNetDoc)
      .Arg("observer", kObserverDoc)
      .Arg("format", kFormatDoc)
      .Arg("delimiter", kDelimiterDoc)
      .Arg("samples", "Samples fed so far, for the header of a profile.")
      .Arg("checkpoint_settings",
           "Names and values in turn: what an unfinished calibration was "
           "started with. Without any the profile is a finished one.")
      .Arg("checkpoint_batches",
           "Makes profiles from now on the checkpoint of that calibration, "
           "which has done this many batches. Default: as it was.")
      .Arg("path", "File to write. Default: the path given at attach.")
      .Arg("reset", "1: write what was seen since the last reset, and reset.");
}

void RegisterOutputMinMaxObserverReset() {
  RegisterCpuOperator<ResetOp>("OutputMinMaxObserverReset");
  ControlSchema("OutputMinMaxObserverReset", 0)
      .SetDoc("Forgets the values seen so far; totals and counts stay.")
      .Arg("net", kNetDoc)
      .Arg("observer", kObserverDoc);
}

void RegisterOutputMinMaxObserverStop() {
  RegisterCpuOperator<StopOp>("OutputMinMaxObserverStop");
  ControlSchema("OutputMinMaxObserverStop", 0)
      .SetDoc("Records no run until OutputMinMaxObserverResume.")
      .Arg("net", kNetDoc)
      .Arg("observer", kObserverDoc);
}

void RegisterOutputMinMaxObserverResume() {
  RegisterCpuOperator<ResumeOp>("OutputMinMaxObserverResume");
  ControlSchema("OutputMinMaxObserverResume", 0)
      .SetDoc("Goes on recording after OutputMinMaxObserverStop.")
      .Arg("net", kNetDoc)
      .Arg("observer", kObserverDoc);
}

void RegisterOutputMinMaxObserverDetach() {
  RegisterCpuOperator<DetachOp>("OutputMinMaxObserverDetach");
  ControlSchema("OutputMinMaxObserverDetach", 0)
      .SetDoc(
          "Takes the observer off a net; writes its totals first if it was "
          "attached with a path.")
      .Arg("net", kNetDoc)
      .Arg("observer", kObserverDoc);
}

}  // namespace caffe2_quantization
