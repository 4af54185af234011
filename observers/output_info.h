// What the observers report: plain values, copied out under a lock.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_INFO_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_INFO_H_

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "quantization/export.h"

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

  // Widens this range to cover the other. Of two kinds the result is kFloat64.
  void Merge(const ValueRange& other);

  bool empty() const { return kind_ == Kind::kEmpty; }
  Kind kind() const { return kind_; }
  // +infinity and -infinity when empty; rounded for integers beyond 2^53.
  double min() const {
    if (empty()) return std::numeric_limits<double>::infinity();
    return kind_ == Kind::kInteger ? static_cast<double>(integer_min_) : min_;
  }
  double max() const {
    if (empty()) return -std::numeric_limits<double>::infinity();
    return kind_ == Kind::kInteger ? static_cast<double>(integer_max_) : max_;
  }
  // Of kind kInteger only.
  int64_t integer_min() const { return integer_min_; }
  int64_t integer_max() const { return integer_max_; }

  // The fewest digits that read back as the same value of the kind. An empty
  // range is written as the largest float and the smallest: min > max, and
  // still a number to every reader.
  CAFFE2_QUANTIZATION_API std::string MinText() const;
  CAFFE2_QUANTIZATION_API std::string MaxText() const;

 private:
  Kind kind_ = Kind::kEmpty;
  double min_ = 0;
  double max_ = 0;
  int64_t integer_min_ = 0;
  int64_t integer_max_ = 0;
};

// One output tensor of one operator.
struct OutputInfo {
  int output_index = 0;
  std::string tensor_name;
  std::string type_name;       // of the last run: "float", "c10::Half" ...
  std::vector<int64_t> shape;  // of the last run
  ValueRange range;            // since the last reset
  ValueRange total_range;      // since attach
  uint64_t runs = 0;           // runs that were recorded, since attach
  uint64_t count = 0;          // elements, and of these:
  uint64_t nan_count = 0;
  uint64_t positive_infinity_count = 0;
  uint64_t negative_infinity_count = 0;
  uint64_t unsupported_runs = 0;  // runs with a type that has no min and max
};

// One operator of a net.
struct OperatorInfo {
  int op_index = 0;
  std::string op_type;
  std::vector<OutputInfo> outputs;
  TimePoint first_record{};  // the epoch while nothing was recorded
  TimePoint last_record{};
};

// One net.
struct NetInfo {
  std::string net_name;
  uint64_t runs = 0;
  bool stopped = false;
  bool net_alive = true;
  TimePoint attached_at{};
  std::vector<OperatorInfo> operators;
};

// The same as one JSON object; a range with no finite value has null limits.
CAFFE2_QUANTIZATION_API std::string ToJson(const NetInfo& info);
CAFFE2_QUANTIZATION_API std::string ToJson(const std::vector<NetInfo>& infos);

// Seconds since the epoch as 2026-01-31T12:00:00.000Z; "" for the epoch itself.
std::string ToIso8601(TimePoint time);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_OUTPUT_INFO_H_
