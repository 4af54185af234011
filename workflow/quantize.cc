#include "workflow/quantize.h"

#include <unistd.h>

#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/path_lock.h"
#include "base/read_file.h"
#include "base/return_if_error.h"
#include "netdef/operator_keys.h"
#include "profiles/profile.h"
#include "rewrite/measurements.h"
#include "rewrite/recipe_json.h"
#include "workflow/load_model.h"
#include "workflow/weight_fills.h"

namespace caffe2_quantization {
namespace {

constexpr char kInitName[] = "init_net.pb";
constexpr char kPredictName[] = "predict_net.pb";
constexpr char kRecipeName[] = "recipe.json";
constexpr char kReportName[] = "report.json";

std::string WithoutSlashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

Status ReadRecipe(const std::string& path, rewrite::Recipe* recipe) {
  std::string json;
  RETURN_IF_ERROR(
      ReadFile(path, static_cast<int64_t>(rewrite::kMostRecipeBytes), &json));
  const Status status = rewrite::RecipeFromJson(json, recipe);
  return status.ok()
             ? status
             : Status::Corruption("'" + path + "': " + status.message());
}

// Whether a folder was written here: its recipe can be read.
Status CheckOurs(const std::string& folder) {
  rewrite::Recipe recipe;
  const Status status =
      ReadRecipe(folder + "/" + std::string(kRecipeName), &recipe);
  return status.ok() ? status
                     : Status::InvalidArgument(
                           "'" + folder +
                           "' is not replaced, expected a folder that "
                           "`quantize` wrote: " +
                           status.message());
}

AtomicFolderOptions FolderOptions() {
  AtomicFolderOptions options;
  options.may_replace = CheckOurs;
  return options;
}

std::string LineOf(const rewrite::OperatorChoice& choice) {
  return "operator " + std::to_string(choice.op_index) + " (" + choice.type +
         (choice.output.empty() ? "" : ", output '" + choice.output + "'") +
         "): " + rewrite::Explanation(choice.decision.reason) +
         (choice.decision.detail.empty() ? ""
                                         : " (" + choice.decision.detail + ")");
}

class Quantization {
 public:
  Quantization(const QuantizeRunOptions& options,
               const std::function<void(const std::string&)>& on_note,
               const std::function<void(const CalibrateProgress&)>& progress,
               QuantizeRunReport* report)
      : options_(options),
        on_note_(on_note),
        progress_(progress),
        report_(*report),
        output_(WithoutSlashes(options.output_path)) {}

  Status Run() {
    RETURN_IF_ERROR(CheckOptions());
    RETURN_IF_ERROR(lock_.Acquire(output_));
    // A long calibration should not end in this.
    RETURN_IF_ERROR(CheckFolder(
        output_, {kInitName, kPredictName, kRecipeName, kReportName},
        FolderOptions()));
    RETURN_IF_ERROR(ReadNets());
    if (!options_.recipe_path.empty()) {
      RETURN_IF_ERROR(ReadRecipe(options_.recipe_path, &recipe_));
      RETURN_IF_ERROR(rewrite::QuantizeNetBy(recipe_, fills_.init, predict_.net,
                                             HasOperator, &report_.nets));
    } else {
      RETURN_IF_ERROR(ReadMeasurements());
      if (!report_.stopped.empty()) return Status::Ok();
      RETURN_IF_ERROR(rewrite::QuantizeNet(fills_.init, predict_.net,
                                           measurements_, options_.options,
                                           HasOperator, &report_.nets));
    }
    for (const rewrite::OperatorChoice& choice :
         report_.nets.recipe.operators) {
      if (rewrite::IsLeftFloat(choice.decision.reason)) {
        report_.left_float.push_back(LineOf(choice));
      }
    }
    RETURN_IF_ERROR(
        rewrite::ReportToJson(report_.nets, report_.notes, &report_.json));
    if (options_.strict && !report_.left_float.empty()) {
      return Status::InvalidArgument(
          "nothing is written: " + std::to_string(report_.left_float.size()) +
          " float operators that nobody asked for; " +
          Join(report_.left_float, "; "));
    }
    return Write();
  }

 private:
  void Note(const std::string& note) {
    report_.notes.push_back(note);
    if (on_note_) on_note_(note);
  }

  std::string CalibrationPath() const { return output_ + ".calibration"; }
  std::string WeightsPath() const { return output_ + ".weights"; }

  Status CheckOptions() const {
    const int given = static_cast<int>(!options_.profile_path.empty()) +
                      static_cast<int>(!options_.recipe_path.empty()) +
                      static_cast<int>(!options_.calibrate.data.path.empty());
    if (given != 1) {
      return Status::InvalidArgument(
          std::to_string(given) +
          " of profile, recipe and data are given, expected one");
    }
    return output_.empty()
               ? Status::InvalidArgument("no path of the folder to write")
               : Status::Ok();
  }

  Status ReadNets() {
    RETURN_IF_ERROR(ReadPredictModel(options_.predict_path, &predict_));
    std::string init_path = options_.init_path;
    RETURN_IF_ERROR(ChooseWeights(predict_, &init_path));
    InitModel init;
    RETURN_IF_ERROR(ReadInitModel(init_path, &init));
    for (const std::string& note : init.notes) {
      Note("init net: " + note);
      told_.insert(init_path + ": " + note);
    }
    RETURN_IF_ERROR(MakeWeightFills(std::move(init), predict_, &fills_));
    for (const std::string& note : fills_.notes) Note("init net: " + note);
    if (!DeclareInputs(&predict_.net).empty()) {
      Note(
          "predict net: operators read inputs that it does not declare; the "
          "int8 net declares them");
    }
    report_.init_path = init_path;
    report_.predict_path = options_.predict_path;
    report_.output_path = output_;
    return Status::Ok();
  }

  Status ReadMeasurements() {
    std::string path = options_.profile_path;
    if (path.empty()) {
      RETURN_IF_ERROR(CalibrateOnData());
      if (!report_.stopped.empty()) return Status::Ok();
      path = CalibrationPath();
    }
    NetInfo profile;
    RETURN_IF_ERROR(ReadProfile(path, &profile));
    const Status status = rewrite::Measurements::FromProfile(
        profile, predict_.net, &measurements_);
    return status.ok()
               ? status
               : Status::InvalidArgument("'" + path + "': " + status.message());
  }

  Status CalibrateOnData() {
    CalibrateOptions calibrate = options_.calibrate;
    calibrate.init_path = report_.init_path;
    calibrate.predict_path = options_.predict_path;
    calibrate.profile_path = CalibrationPath();
    if (calibrate.recording.histogram_bins == 0 &&
        options_.options.activation_method != ChooseMethod::kMinMax) {
      calibrate.recording.histogram_bins = Histogram::kDefaultBins;
    }
    if (fills_.is_random) {
      // The calibration must run the weights that the int8 net will have.
      std::string bytes;
      RETURN_IF_ERROR(rewrite::NetToBytes(fills_.init, &bytes));
      RETURN_IF_ERROR(WriteFileAtomically(WeightsPath(), bytes));
      calibrate.init_path = WeightsPath();
    }
    CalibrateReport calibrated;
    const Status status = Calibrate(
        calibrate,
        [this](const std::string& note) {
          // Not for the report, which is the same after a run that went on.
          if (on_note_ && told_.count(note) == 0) on_note_(note);
        },
        progress_, &calibrated);
    if (fills_.is_random) unlink(WeightsPath().c_str());
    RETURN_IF_ERROR(status);
    report_.stopped = calibrated.stopped;
    return Status::Ok();
  }

  Status Write() {
    fills_ = WeightFills();  // the memory of the float weights
    std::string init, predict, recipe;
    RETURN_IF_ERROR(rewrite::NetToBytes(report_.nets.init, &init));
    RETURN_IF_ERROR(rewrite::NetToBytes(report_.nets.predict, &predict));
    RETURN_IF_ERROR(rewrite::RecipeToJson(report_.nets.recipe, &recipe));
    RETURN_IF_ERROR(WriteFolderAtomically(output_,
                                          {{kInitName, std::move(init)},
                                           {kPredictName, std::move(predict)},
                                           {kRecipeName, std::move(recipe)},
                                           {kReportName, report_.json}},
                                          FolderOptions()));
    if (!options_.calibrate.data.path.empty()) {
      unlink(CalibrationPath().c_str());
    }
    return Status::Ok();
  }

  const QuantizeRunOptions& options_;
  const std::function<void(const std::string&)>& on_note_;
  const std::function<void(const CalibrateProgress&)>& progress_;
  QuantizeRunReport& report_;
  const std::string output_;

  PathLock lock_;
  std::set<std::string> told_;  // notes as a calibration says them
  PredictModel predict_;
  WeightFills fills_;
  rewrite::Recipe recipe_;
  rewrite::Measurements measurements_;
};

}  // namespace

Status QuantizeModel(
    const QuantizeRunOptions& options,
    const std::function<void(const std::string&)>& on_note,
    const std::function<void(const CalibrateProgress&)>& progress,
    QuantizeRunReport* report) {
  QuantizeRunReport made;
  const Status status = Quantization(options, on_note, progress, &made).Run();
  if (status.ok() || (options.strict && !made.left_float.empty())) {
    *report = std::move(made);
  }
  return status;
}

}  // namespace caffe2_quantization
