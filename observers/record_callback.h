// Callbacks that hear of each output when it is recorded.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_RECORD_CALLBACK_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_RECORD_CALLBACK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/value_counts.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// One output of one run of one operator. The counts of its base are of the
// elements, and 0 too of a type without values.
struct OutputRecord : ValueCounts {
  std::string net_name;  // empty when the operator's observer is no net's
  std::string observer;  // the observer's label
  int op_index = 0;
  int step_index = -1;  // as of OperatorInfo
  std::string op_type;
  std::string op_name;
  int output_index = 0;
  std::string tensor_name;
  std::string type_name;
  std::vector<int64_t> shape;
  ValueRange range;      // of this run alone; empty without a finite value
  ValueRange raw_range;  // as of OutputValues
  uint64_t run = 0;      // of the operator's recorded runs, from 1
};

// One JSON object in one line.
std::string ToJson(const OutputRecord& record);

// The callbacks of the process, which hear of every observer's records.
// plugin/plugin.h shows them to other programs, in C.
//
// A callback is called by the thread that ran the operator, after the record
// and under no lock; by several threads at once when several run operators. It
// must not throw, attach or detach.
using RecordCallback = void (*)(const char* record_json, void* user_data);

// The callback's id, above 0.
int64_t AddRecordCallback(RecordCallback callback, void* user_data);
// True when there was such a callback. Then none of its calls is running after
// the return, unless this was called from inside a callback.
bool RemoveRecordCallback(int64_t id);

// True when there is any.
bool HasRecordCallbacks();
void CallRecordCallbacks(const OutputRecord& record);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_RECORD_CALLBACK_H_
