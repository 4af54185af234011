// Calibration: runs a net over data with an observer attached, and writes what
// the observer saw as a profile. A run that was killed continues from its last
// checkpoint, and ends with the same profile as a run that was never killed.
// With other data, weights or settings it refuses to continue (docs/formats.md,
// "Checkpoints").
//
//   PROFILE             the result; written when the whole run is done
//   PROFILE.checkpoint  a profile of what is done so far, with the settings of
//                       the run; removed at the end
//   PROFILE.lock        held while the run lasts (base/path_lock.h)
//
// Thread rule: any thread. Each calibration has a workspace of its own, so
// several may run at once in a process, but only one for each PROFILE.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_CALIBRATE_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_CALIBRATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "profiles/output_info.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {

struct CalibrateOptions {
  // Each is the path of a NetDef or of a predictor's minidb. init_path may be
  // empty if predict_path is a predictor, which has its own weights.
  std::string init_path;
  std::string predict_path;
  DataOptions data;
  // The profile is written as JSON if the path ends in ".json".
  std::string profile_path;
  int64_t batch_size = 64;  // the last batch holds what is left
  // Replaces the net's own type: simple, dag, async_scheduling ...
  std::string net_type;
  RecordingOptions recording;
  // Uses the first `limit` samples of the data; 0: all.
  int64_t limit = 0;
  // Runs those of the batches 0, 1, 2 ... whose number modulo `shards` is
  // `shard`. The profiles of all shards, merged, equal the profile of one run
  // over all batches.
  int64_t shard = 0;
  int64_t shards = 1;
  // Writes a checkpoint after this many batches of the shard. 0: writes one
  // only when the run is stopped.
  int64_t checkpoint_every = 50;
  // Also writes a checkpoint when this many seconds have passed since the last
  // one, or 50 times the time that writing that one took, if that is more. 0:
  // no checkpoints by time.
  double checkpoint_seconds = 10;
  // Starts from the beginning even if there is a checkpoint.
  bool restart = false;
  // Called before each batch; true stops the run. Then a checkpoint is written
  // but no profile, and the report says so in `stopped`. Empty: never stops.
  std::function<bool()> stop;
  // The clock for checkpoint_seconds. Empty: the system's steady clock.
  std::function<double()> clock;
};

struct CalibrateProgress {
  int64_t samples_done;  // of this shard, with those before a checkpoint
  int64_t samples_total;
};

struct CalibrateReport {
  std::string init_path, predict_path, data_path, profile_path;
  std::string data_form;
  std::string net_type;
  std::vector<std::string> inputs;  // the blobs that the data fills
  int64_t samples = 0;              // of this shard
  int64_t batches = 0;
  int64_t batch_size = 0;
  int64_t shard = 0;
  int64_t shards = 1;
  int64_t resumed_samples = 0;  // those of `samples` done before this run
  double seconds = 0;           // inside the net, in this run
  // Empty unless options.stop stopped the run. Then it says how many samples
  // were done and whether a checkpoint holds them, and ends with what the next
  // run would do: "to go on" or "to begin anew".
  std::string stopped;
  // What the user should know but is no error.
  std::vector<std::string> notes;
  NetInfo info;  // what the profile holds
};

// Runs a calibration. `on_note` is called with each note when it arises,
// `progress` once before the first batch and after each batch; both may be
// empty. An error names the file, net, blob or setting; a checkpoint that was
// already written stays.
Status Calibrate(const CalibrateOptions& options,
                 const std::function<void(const std::string&)>& on_note,
                 const std::function<void(const CalibrateProgress&)>& progress,
                 CalibrateReport* report);

// Returns the report as one JSON object, without the histograms.
std::string ToJson(const CalibrateReport& report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_CALIBRATE_H_
