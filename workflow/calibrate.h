// Calibrating: a net run over data with an observer attached, and what it saw
// written as a profile. A run that was killed goes on from its last checkpoint
// and ends with the same profile as one that was not: over other data, weights
// or settings it refuses to go on (docs/formats.md, "Checkpoints").
//
//   PROFILE             the result; written when all is done
//   PROFILE.checkpoint  a profile of what is done so far, and what the run was
//                       started with; removed at the end
//   PROFILE.lock        held while the run lasts (base/path_lock.h)
//
// Thread rule: any thread. Each calibration has a workspace of its own, so that
// several may run at once in a process; of one PROFILE one.
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
  // A NetDef or a predictor's minidb, each. The first may be empty when the
  // second is a predictor, which has its weights.
  std::string init_path;
  std::string predict_path;
  DataOptions data;
  // JSON when it ends in ".json".
  std::string profile_path;
  int64_t batch_size = 64;  // the last batch is what is left
  // Instead of the net's own type: simple, dag, async_scheduling ...
  std::string net_type;
  RecordingOptions recording;
  // The first so many samples of the data; 0: all.
  int64_t limit = 0;
  // Of the batches 0, 1, 2 ... those that are `shard` modulo `shards`. The
  // profiles of all shards, merged, are that of one run.
  int64_t shard = 0;
  int64_t shards = 1;
  // In batches of this shard; 0: none but when it is stopped.
  int64_t checkpoint_every = 50;
  // A checkpoint also when this many seconds have passed since the last one, or
  // 50 times what that one took to write, if that is more. 0: not by time.
  double checkpoint_seconds = 10;
  // Begins anew though there is a checkpoint.
  bool restart = false;
  // Asked before each batch whether to stop: a checkpoint is written, no
  // profile, and the report says so in `stopped`. Empty: never.
  std::function<bool()> stop;
  // Of checkpoint_seconds. Empty: the system's steady clock.
  std::function<double()> clock;
};

struct CalibrateProgress {
  int64_t samples_done;  // of this shard, those before a checkpoint included
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
  int64_t resumed_samples = 0;  // of them: done before this run
  double seconds = 0;           // inside the net, in this run
  // Empty unless options.stop said so: how many samples were done and whether a
  // checkpoint holds them; ends with what running it again is good for, "to go
  // on" or "to begin anew".
  std::string stopped;
  // What the user should know and is no error.
  std::vector<std::string> notes;
  NetInfo info;  // what the profile holds
};

// Calibrates. `on_note` is told each note when it arises, `progress` after each
// batch and once before the first; both may be empty. An error names the file,
// net, blob or setting; a checkpoint that was written stays.
Status Calibrate(const CalibrateOptions& options,
                 const std::function<void(const std::string&)>& on_note,
                 const std::function<void(const CalibrateProgress&)>& progress,
                 CalibrateReport* report);

// The report as one JSON object, but for the histograms.
std::string ToJson(const CalibrateReport& report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_CALIBRATE_H_
