// Callbacks that are called with each output when it is recorded.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_RECORD_CALLBACK_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_RECORD_CALLBACK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/value_counts.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// One output of one run of one operator. The counts of its base class are of
// the elements; for a type without values they are 0.
struct OutputRecord : ValueCounts {
  std::string net_name;  // empty if the observer belongs to no net
  std::string observer;  // the observer's label
  std::string path;      // of the operator: "3", "3/then_net/2"
  int op_index = 0;      // of the net's operator, where the path begins
  // Its index in the step net of a RecurrentNetwork of the net itself, else -1.
  int step_index = -1;
  std::string op_type;
  std::string op_name;
  int output_index = 0;
  std::string tensor_name;
  std::string type_name;
  std::vector<int64_t> shape;
  ValueRange range;      // of this run alone; empty without a finite value
  ValueRange raw_range;  // as in OutputValues
  uint64_t run = 0;      // among the operator's recorded runs, from 1
};

// Returns one JSON object in one line.
std::string ToJson(const OutputRecord& record);

// The callbacks of the process, which are called with every observer's records.
// plugin/plugin.h offers them to other programs, in C.
//
// A callback is called by the thread that ran the operator, after the output is
// recorded and under no lock; by several threads at once if several run
// operators. It must not throw, and must not attach or detach observers.
using RecordCallback = void (*)(const char* record_json, void* user_data);

// Adds a callback and returns its id, which is above 0.
int64_t AddRecordCallback(RecordCallback callback, void* user_data);
// Removes a callback; returns true if there was such a one. Then none of its
// calls is running after the return, unless this was called from inside a
// callback.
bool RemoveRecordCallback(int64_t id);

// True if there is any callback.
bool HasRecordCallbacks();
void CallRecordCallbacks(const OutputRecord& record);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_RECORD_CALLBACK_H_
