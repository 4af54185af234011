// Defines what the observers report: plain values, copied out under a lock.
#ifndef CAFFE2_QUANTIZATION_PROFILES_OUTPUT_INFO_H_
#define CAFFE2_QUANTIZATION_PROFILES_OUTPUT_INFO_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/export.h"
#include "base/status.h"
#include "base/value_counts.h"
#include "profiles/operator_path.h"
#include "quantization/histogram.h"

namespace caffe2_quantization {

using TimePoint = std::chrono::system_clock::time_point;

// The smallest and largest finite value seen, without loss: integers are kept
// as integers (a double cannot hold every int64), floats as doubles (which hold
// every float and half).
class ValueRange {
 public:
  // How the values were stored, which decides how many digits they need.
  enum class Kind { kEmpty, kFloat32, kFloat64, kInteger };

  static ValueRange OfFloats(float min, float max);
  static ValueRange OfDoubles(double min, double max);
  static ValueRange OfIntegers(int64_t min, int64_t max);

  // Widens this range to cover the other. If their kinds differ, the result is
  // kFloat64.
  void Merge(const ValueRange& other);

  bool empty() const { return kind_ == Kind::kEmpty; }
  Kind kind() const { return kind_; }
  // +infinity and -infinity if empty; integers beyond 2^53 are rounded.
  double min() const {
    if (empty()) return std::numeric_limits<double>::infinity();
    return kind_ == Kind::kInteger ? static_cast<double>(integer_min_) : min_;
  }
  double max() const {
    if (empty()) return -std::numeric_limits<double>::infinity();
    return kind_ == Kind::kInteger ? static_cast<double>(integer_max_) : max_;
  }
  // For kind kInteger only.
  int64_t integer_min() const { return integer_min_; }
  int64_t integer_max() const { return integer_max_; }

  // The fewest digits that read back as the same value of the kind. An empty
  // range is written as the largest float and the smallest one: min > max, but
  // still numbers to every reader.
  std::string MinText() const { return LimitText(false); }
  std::string MaxText() const { return LimitText(true); }

 private:
  CAFFE2_QUANTIZATION_API std::string LimitText(bool max) const;

  Kind kind_ = Kind::kEmpty;
  double min_ = 0;
  double max_ = 0;
  int64_t integer_min_ = 0;
  int64_t integer_max_ = 0;
};

// The shapes that an output had, as a set of bounded size: the kMaxShapes
// smallest ones in lexicographic order, whatever the order in which they came.
class ShapeSet {
 public:
  static constexpr std::size_t kMaxShapes = 4;

  void Add(const std::vector<int64_t>& shape);
  void Merge(const ShapeSet& other);

  const std::vector<std::vector<int64_t>>& shapes() const { return shapes_; }
  // True if there were more shapes than shapes() holds.
  bool more() const { return more_; }
  void set_more(bool more) { more_ = more; }

 private:
  std::vector<std::vector<int64_t>> shapes_;  // sorted, each once
  bool more_ = false;
};

// The values of one output over a span of runs.
struct OutputValues {
  // The range of scale * (q - zero_point) for an Int8TensorCPU, of scale * (q +
  // bias) for a QTensor, and of the values themselves for all other tensors.
  ValueRange range;
  // The stored integers q of an Int8TensorCPU or a QTensor; else empty.
  ValueRange raw_range;
  // The histogram of the same values. Empty unless histograms were asked for.
  Histogram histogram;
  // One histogram per column, which counts the column's largest finite value in
  // each run. A column is an index of the second of two dimensions. Empty
  // unless asked for.
  std::vector<Histogram> column_max;

  // Adds what the other one saw. An error (histograms with different numbers of
  // bins; a count past 2^64) leaves this one unchanged.
  Status Merge(const OutputValues& other);
};

// One output tensor of one operator, or one external input of a net. The counts
// of its base class are of the elements in all `runs`.
struct OutputInfo : ValueCounts {
  // Of an input: its index in the net's external_input.
  int output_index = 0;
  std::string tensor_name;
  std::string type_name;           // of the last run: "float", "c10::Half" ...
  std::vector<int64_t> shape;      // of the last run
  std::vector<std::string> types;  // all that were seen: sorted, each once
  ShapeSet shapes;
  OutputValues values;  // since the last reset
  OutputValues total;   // since attach (or since the profile it resumed)
  // All that follows is since attach.
  uint64_t runs = 0;        // recorded runs in which it had a type with values
  uint64_t empty_runs = 0;  // those of `runs` without a single element
  uint64_t missing_runs = 0;      // without a tensor: it was never made
  uint64_t unsupported_runs = 0;  // with a type that has no min and max
  // Runs in which a column-max histogram was asked for, but the output did not
  // have two dimensions or had too many columns.
  uint64_t column_max_unsupported_runs = 0;
};

// One operator of a net, or of a net that an operator of that net runs.
struct OperatorInfo {
  // Its index in the net, and, of an operator within, the way from there to it
  // (operator_path.h).
  int op_index = 0;
  std::vector<InnerStep> inner;
  // In place of `inner` in a profile of format version 1: its index in the step
  // net of RecurrentNetwork op_index as the host runs it, with the links that
  // the host puts first. Else -1.
  int step_index = -1;
  std::string op_type;
  std::string op_name;  // of its definition; empty if read from a profile
  std::vector<OutputInfo> outputs;
  TimePoint first_record{};  // the epoch while nothing was recorded
  TimePoint last_record{};
};

// What was recorded and how: profiles that differ here are not merged.
struct RecordingOptions {
  int histogram_bins = 0;                     // 0: no histograms
  int column_max_bins = 0;                    // 0: no column-max histograms
  std::vector<std::string> column_max_blobs;  // sorted
  std::vector<std::string> op_types;          // sorted; empty: all
  std::vector<std::string> op_names;
  std::vector<std::string> outputs;
  // Patterns of external inputs; empty: the net's data (data_inputs.h), if all
  // operators are recorded, else none.
  std::vector<std::string> inputs;
  int64_t every = 1;      // records every `every`-th run
  int64_t run_limit = 0;  // stops after this many recorded runs; 0: never

  friend bool operator==(const RecordingOptions&, const RecordingOptions&);
};

// The state of an unfinished calibration: how far it has come, and with which
// settings it must be run again to continue.
struct Checkpoint {
  int64_t batches = 0;                          // that are done
  std::map<std::string, std::string> settings;  // empty: no checkpoint at all
};

// The format of profiles. Version 1 has no external inputs, and of operators
// within others only those of step nets, by step_index.
inline constexpr uint32_t kProfileFormatVersion = 2;
inline constexpr uint32_t kOldestProfileFormatVersion = 1;

// One net.
struct NetInfo {
  // Of the profile that it was read from; of what is recorded: the newest.
  uint32_t format_version = kProfileFormatVersion;
  std::string net_name;
  std::string observer;  // its label among the observers of the net
  std::string
      net_hash;  // of the NetDef's operators (net_hash.h), 32 hex digits
  RecordingOptions options;
  uint64_t runs = 0;           // of the net, while not stopped
  uint64_t recorded_runs = 0;  // those of `runs` that were recorded
  uint64_t samples = 0;        // as the net's caller says; 0: unknown
  bool stopped = false;
  bool net_alive = true;
  TimePoint attached_at{};
  std::vector<OutputInfo> inputs;  // those of external_input that are recorded
  std::vector<OperatorInfo> operators;
  // For a profile that was merged or resumed: the machines it was made on
  // (sorted, each once), and what differed but was merged by force (likewise).
  std::vector<std::string> hosts;
  std::vector<std::string> forced;
  TimePoint first_record{};
  TimePoint last_record{};
  Checkpoint checkpoint;
};

// Returns the same as JSON: one object, or a list of them. A range without a
// finite value has null limits. The counts of histograms are included if
// `histograms` is true.
CAFFE2_QUANTIZATION_API std::string ToJson(const NetInfo& info,
                                           bool histograms = false);
CAFFE2_QUANTIZATION_API std::string ToJson(const std::vector<NetInfo>& infos,
                                           bool histograms = false);

// False for an operator within another one.
inline bool IsOfNetItself(const OperatorInfo& op) {
  return op.inner.empty() && op.step_index < 0;
}

// Returns the path of an operator. One of a step net of format version 1 has no
// path of its own: "3/step_net[2]".
std::string PathText(const OperatorInfo& op);

// Returns a time in the form 2026-01-31T12:00:00.000Z; "" for the epoch itself.
std::string ToIso8601(TimePoint time);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_OUTPUT_INFO_H_
