// Makes an int8 net of a float net: reads both nets and a profile, or runs a
// calibration, or reads a recipe; rewrites; and writes a folder.
//
//   OUTPUT/init_net.pb      the net that makes the int8 weights
//   OUTPUT/predict_net.pb   the int8 net
//   OUTPUT/recipe.json      what makes both again (docs/formats.md)
//   OUTPUT/report.json      what became of operators and tensors
//   OUTPUT.calibration      the profile of a calibration; with its checkpoint
//                           (workflow/calibrate.h) a run that was killed goes
//                           on; removed at the end
//   OUTPUT.lock             held while the run lasts (base/path_lock.h)
//
// The folder is written beside and put in place whole (base/atomic_folder.h).
// An existing one is replaced only if it is one of these: it holds files of
// these four names and no others, and recipe.json can be read. The same nets,
// profile or recipe, and options give the same bytes.
//
// Thread rule: any thread, but one run at a time for each OUTPUT.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_QUANTIZE_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_QUANTIZE_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "rewrite/quantize_net.h"
#include "workflow/calibrate.h"

namespace caffe2_quantization {

struct QuantizeRunOptions {
  // As in CalibrateOptions.
  std::string init_path;
  std::string predict_path;
  // One of these three is given: a profile, a recipe, or calibrate.data.
  std::string profile_path;
  std::string recipe_path;
  // What runs the data. The paths in it are not read; a method that needs
  // histograms asks for them where histogram_bins is 0.
  CalibrateOptions calibrate;
  rewrite::QuantizeOptions options;  // by a recipe those that it has
  // An operator that stays float though nobody asked for it is an error.
  bool strict = false;
  std::string output_path;  // the folder
};

struct QuantizeRunReport {
  std::string init_path, predict_path, output_path;
  rewrite::QuantizedNets nets;
  // What the user should know of the nets but is no error.
  std::vector<std::string> notes;
  // Empty unless options.calibrate.stop stopped the calibration; then nothing
  // was written (CalibrateReport::stopped).
  std::string stopped;
  // Operators that are float though nobody asked for it, a line each.
  std::vector<std::string> left_float;
  std::string json;  // report.json
};

// `on_note` is called with each note when it arises, `progress` while a
// calibration runs; both may be empty. After an error the folder is what it
// was. With options.strict *report is filled even if operators are left float.
Status QuantizeModel(
    const QuantizeRunOptions& options,
    const std::function<void(const std::string&)>& on_note,
    const std::function<void(const CalibrateProgress&)>& progress,
    QuantizeRunReport* report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_QUANTIZE_H_
