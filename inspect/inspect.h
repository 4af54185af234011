// Reports what a file holds: the nets, operators, blobs, tensors and QTensors
// of a model, or a profile.
//
// Nothing in the file is trusted: no size in it decides how much memory is
// taken, and nothing in it is run. The report tells what is wrong, by offset
// and field, beside whatever could be read. Lists stop growing at about 32 MiB;
// sums go on.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_INSPECT_INSPECT_H_
#define CAFFE2_QUANTIZATION_INSPECT_INSPECT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "netdef/model_reader.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// The smallest and largest of some values. Infinite values count.
struct InspectedRange {
  uint64_t count = 0;  // of values that are not NaN
  uint64_t nan_count = 0;
  double min = 0;
  double max = 0;

  void Add(double value);
  void Add(const InspectedRange& other);
};

struct InspectedOperator {
  uint64_t index = 0;
  std::string name;
  std::string type;
  std::string engine;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  uint64_t arguments = 0;
};

// A name that the operators of a net read or write.
struct InspectedNetBlob {
  std::string name;
  // The first operator that writes it; -1 when it comes from outside.
  int64_t made_by = -1;
  uint64_t reads = 0;
  uint64_t writes = 0;
};

struct InspectedNet {
  // Where the net is: "" for the file itself, else its key in a MetaNetDef or
  // the field that holds it.
  std::string label;
  std::string name;
  std::string type;
  uint64_t operator_count = 0;
  std::vector<InspectedOperator> operators;
  std::vector<InspectedNetBlob> blobs;
  std::vector<std::string> external_inputs;
  std::vector<std::string> external_outputs;
};

// A blob that the file stores.
struct InspectedBlob {
  std::string name;
  std::string type;      // "Tensor", "QTensor", "std::string" …
  uint64_t bytes = 0;    // of its messages
  uint64_t records = 1;  // of the minidb
};

struct InspectedTensor {
  std::string name;
  std::string field;  // the field or operator that holds it
  std::string type;   // "float", "uint8" …
  std::vector<int64_t> dims;
  uint64_t elements = 0;  // the product of the dims
  uint64_t values = 0;    // in the file; 0 if it has only the dims
  uint64_t bytes = 0;     // of the values, in memory
  InspectedRange range;   // of the values
};

struct InspectedQTensor {
  std::string name;
  std::string field;
  std::vector<int64_t> dims;
  int64_t precision = 0;
  bool is_signed = false;
  double scale = 0;
  double bias = 0;
  bool is_per_channel = false;
  int64_t axis = 0;
  uint64_t channels = 0;  // if it is per channel
  InspectedRange scales;  // over the channels
  InspectedRange biases;
  uint64_t elements = 0;
  uint64_t bytes = 0;        // of its planes
  uint64_t float_bytes = 0;  // of the same number of floats
  InspectedRange integers;   // x
  InspectedRange range;      // scale * (x + bias)
};

// An entry of a MetaNetDef that is no net: "blobs", "modelInfo" …
struct InspectedMeta {
  std::string field;
  std::string key;
  std::vector<std::string> values;
};

// A weight kept in fewer bits, compared with the float weight of another model.
struct ComparedWeight {
  std::string blob;    // the QTensor, or the bytes
  std::string weight;  // its float
  bool is_qtensor = false;
  std::vector<int64_t> dims;
  int bits = 0;  // of magnitude
  bool is_signed = false;
  uint64_t bytes = 0;
  uint64_t float_bytes = 0;
  uint64_t elements = 0;
  // The range over all channels, where value = scale * (integer - zero offset).
  InspectedRange scales;
  InspectedRange zero_offsets;
  // The smallest and largest value that the integers can stand for, over all
  // channels, and the range of the float weight.
  InspectedRange representable;
  InspectedRange float_range;
  // at_limits: elements at the smallest or largest integer. clipped: float
  // elements that lie more than half a step beyond what that integer stands
  // for.
  uint64_t at_limits = 0;
  uint64_t clipped = 0;
  // The number of different integers in use, and how many there are; 0 if they
  // are too many to count.
  uint64_t integers_used = 0;
  uint64_t integers = 0;
  double signal = 0;  // sum of w^2
  double noise = 0;   // sum of (w - stored w)^2
  double largest_error = 0;

  double SqnrDecibel() const;  // infinite if there is no noise
};

// What a model costs to load into a workspace.
struct ModelCost {
  std::string path;
  uint64_t file_bytes = 0;
  double load_seconds = 0;  // the shortest of several loads
  bool has_peak = false;
  uint64_t peak_bytes = 0;  // of memory, beyond what was in use before
};

struct FloatComparison {
  ModelCost cost;
  ModelCost float_cost;
  std::vector<ComparedWeight> weights;
  std::vector<std::string> notes;

  double SqnrDecibel() const;  // over all weights
};

struct InspectReport {
  std::string path;
  uint64_t file_bytes = 0;
  ModelForm form = ModelForm::kUnknown;
  bool is_text = false;
  // True for a minidb that holds a predictor: a MetaNetDef and its parameters.
  bool is_predictor = false;

  std::vector<InspectedNet> nets;
  std::vector<InspectedBlob> blobs;
  std::vector<InspectedTensor> tensors;
  std::vector<InspectedQTensor> qtensors;
  std::vector<InspectedMeta> meta;

  // These count everything, whether it is listed or not.
  uint64_t operator_count = 0;
  uint64_t tensor_count = 0;
  uint64_t tensor_bytes = 0;
  uint64_t qtensor_count = 0;
  uint64_t qtensor_bytes = 0;
  uint64_t qtensor_float_bytes = 0;
  uint64_t unlisted = 0;  // entries for which the lists had no room

  std::vector<std::string> notes;
  // What is wrong with the file; only the first faults if there are many.
  std::vector<ModelFault> faults;
  uint64_t fault_count = 0;

  // What a profile holds.
  std::optional<NetInfo> profile;

  // Set by CompareWithFloat().
  std::optional<FloatComparison> against_float;

  bool ok() const { return fault_count == 0; }
};

// Fills *report, in which nothing but the path may be set before.
void InspectBytes(const void* bytes, std::size_t size, InspectReport* report);

// Does the same for a file. It returns an error only if the file cannot be read
// at all; the report tells what is broken in it.
Status InspectFile(const std::string& path, InspectReport* report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_INSPECT_H_
