// What is in a model file: its nets, operators, blobs, tensors and QTensors.
//
// Nothing in the file is trusted: no size in it decides how much memory is
// taken, nothing in it is run, and what is wrong is told by offset and field
// beside whatever could be read. Lists stop at some 32 MiB; sums go on.
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

namespace caffe2_quantization {

// The smallest and largest of some values. Infinite ones count.
struct InspectedRange {
  uint64_t count = 0;  // of values that are a number
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
  // Where it stands: "" for the file itself, else its key in a MetaNetDef or
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
  std::string field;  // that holds it, or the operator that makes it
  std::string type;   // "float", "uint8" …
  std::vector<int64_t> dims;
  uint64_t elements = 0;  // the product of the dims
  uint64_t values = 0;    // that the file has; 0 when it has the dims alone
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
  uint64_t channels = 0;  // of a per-channel one
  InspectedRange scales;  // over the channels
  InspectedRange biases;
  uint64_t elements = 0;
  uint64_t bytes = 0;        // of its planes
  uint64_t float_bytes = 0;  // of as many floats
  InspectedRange integers;   // x
  InspectedRange range;      // scale * (x + bias)
};

// An entry of a MetaNetDef that is no net: "blobs", "modelInfo" …
struct InspectedMeta {
  std::string field;
  std::string key;
  std::vector<std::string> values;
};

// A weight kept in fewer bits, against the float weight of another model.
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
  // value = scale * (integer - zero offset): those of all channels.
  InspectedRange scales;
  InspectedRange zero_offsets;
  // The smallest and largest value that the integers can stand for, over the
  // channels, and those of the float weight.
  InspectedRange representable;
  InspectedRange float_range;
  // Elements at the smallest or largest integer, and float elements that are
  // more than half a step beyond what it stands for.
  uint64_t at_limits = 0;
  uint64_t clipped = 0;
  // Different integers in use, of how many there are; 0 when these are too many
  // to count.
  uint64_t integers_used = 0;
  uint64_t integers = 0;
  double signal = 0;  // sum of w^2
  double noise = 0;   // sum of (w - stored w)^2
  double largest_error = 0;

  double SqnrDecibel() const;  // infinite without noise
};

// What a model costs to load into a workspace.
struct ModelCost {
  std::string path;
  uint64_t file_bytes = 0;
  double load_seconds = 0;  // the shortest of several
  bool has_peak = false;
  uint64_t peak_bytes = 0;  // of memory beyond what was taken before
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
  // A minidb that holds a predictor: a MetaNetDef and its parameters.
  bool is_predictor = false;

  std::vector<InspectedNet> nets;
  std::vector<InspectedBlob> blobs;
  std::vector<InspectedTensor> tensors;
  std::vector<InspectedQTensor> qtensors;
  std::vector<InspectedMeta> meta;

  // Over everything, listed or not.
  uint64_t operator_count = 0;
  uint64_t tensor_count = 0;
  uint64_t tensor_bytes = 0;
  uint64_t qtensor_count = 0;
  uint64_t qtensor_bytes = 0;
  uint64_t qtensor_float_bytes = 0;
  uint64_t unlisted = 0;  // entries that the lists had no room for

  std::vector<std::string> notes;
  // What is wrong with the file; the first ones when there are many.
  std::vector<ModelFault> faults;
  uint64_t fault_count = 0;

  // Set by CompareWithFloat().
  std::optional<FloatComparison> against_float;

  bool ok() const { return fault_count == 0; }
};

// Fills *report, in which nothing but the path may be set.
void InspectBytes(const void* bytes, std::size_t size, InspectReport* report);

// The same for a file. It is an error when the file cannot be read at all; what
// is broken in it is told in the report.
Status InspectFile(const std::string& path, InspectReport* report);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_INSPECT_H_
