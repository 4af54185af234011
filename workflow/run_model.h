// Runs one net over a data set with several sets of weights, and reports what
// was measured: accuracy, time, the ranges of every output, stored weights.
//
// Each set of weights lives in a workspace of its own:
//   init net  →  weights     data file  →  batches  →  predict net  →  output
//
// Thread rule: one run at a time in a process if nets are observed.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_RUN_MODEL_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_RUN_MODEL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "profiles/output_info.h"
#include "workflow/batch_source.h"
#include "workflow/weight_report.h"

namespace caffe2_quantization {

// One set of weights: its label, and the file that makes the weights, an init
// net or a predictor's minidb.
struct InitNet {
  std::string label;
  std::string path;
};

struct RunOptions {
  enum class Observe { kReference, kAll, kNone };

  std::string predict_path;
  // The first one is the reference that the others are compared with. Empty:
  // the weights of predict_path, which must be a predictor; the file's name is
  // their label.
  std::vector<InitNet> init_nets;
  DataOptions data;
  // The data blob with the right classes. Empty: "label" if there is one.
  std::string label_blob;
  // The blob with a score for each class. Empty: the net's first external
  // output.
  std::string output_blob;
  int64_t batch_size = 64;
  // Replaces the net's own type: simple, dag, async_scheduling ...
  std::string net_type;
  // The number of passes over the data; time and ranges are those of all
  // passes.
  int64_t repeat = 1;
  Observe observe = Observe::kReference;
  // The bins of the histogram of each observed output; 0: no histograms.
  int histogram_bins = 0;
  // The file for the ranges of the reference, in .minmax form. The ranges of
  // another model go to "name_<label>.ext" beside it. Empty: none is written.
  std::string min_max_path;
};

struct RunProgress {
  std::string label;    // of the model that runs
  int64_t images_done;  // of this model, over all passes
  int64_t images_total;
  // Returns what its observer has seen; empty for a model that is not observed.
  std::function<NetInfo()> info;
};

struct ModelReport {
  std::string label;
  std::string init_path;
  double seconds = 0;  // inside the net, over all passes
  int64_t batches = 0;
  int64_t images = 0;
  // The right answers of one pass, if there are labels.
  bool has_accuracy = false;
  int64_t correct = 0;
  // The largest difference of an element of the output from the reference's.
  bool has_largest_output_change = false;
  double largest_output_change = 0;
  bool observed = false;
  NetInfo min_max;
  std::string min_max_path;  // what was written
  std::vector<QTensorWeight> qtensors;
  std::vector<StoredWeight> byte_weights;
};

struct RunReport {
  std::string predict_path;
  std::string data_path;
  std::string net_name;
  std::string net_type;
  std::string output_blob;
  std::string label_blob;  // "" without labels
  int64_t images = 0;      // in the data
  int64_t batch_size = 0;
  int64_t repeat = 0;
  // What the user should know but is no error.
  std::vector<std::string> notes;
  std::vector<ModelReport> models;
};

// Runs every model. An error names the file, net or blob; the process and its
// other workspaces are left as they were.
Status RunModels(const RunOptions& options,
                 const std::function<void(const RunProgress&)>& progress,
                 RunReport* report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_RUN_MODEL_H_
