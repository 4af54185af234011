// Profiles for tests: one with fixed contents, and recordings that can be
// split.
#ifndef CAFFE2_QUANTIZATION_TESTS_PROFILES_PROFILE_TESTING_H_
#define CAFFE2_QUANTIZATION_TESTS_PROFILES_PROFILE_TESTING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "profiles/output_info.h"
#include "profiles/profile.h"

namespace caffe2_quantization {

inline std::string BytesOf(const NetInfo& info) {
  std::string bytes;
  const Status status = ProfileToBytes(info, &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  return bytes;
}

inline std::string JsonOf(const NetInfo& info) {
  std::string json;
  const Status status = ProfileToJson(info, &json);
  EXPECT_TRUE(status.ok()) << status.message();
  return json;
}

// All but the provenance.
inline NetInfo WithoutProvenance(NetInfo info) {
  info.hosts.clear();
  info.first_record = info.last_record = TimePoint();
  return info;
}

inline TimePoint AtNanoseconds(int64_t nanoseconds) {
  return TimePoint(std::chrono::nanoseconds(nanoseconds));
}

// Every field, every kind of range. tests/profiles/data holds it as a file of
// version 1: do not change it.
inline NetInfo FixedProfile() {
  NetInfo info;
  info.format_version = 1;
  info.net_name = "digits";
  info.observer = "calibration";
  info.net_hash = "0123456789abcdef0123456789abcdef";
  info.options.histogram_bins = 8;
  info.options.column_max_bins = 4;
  info.options.column_max_blobs = {"fc", "pool"};
  info.options.op_types = {"Conv", "FC"};
  info.options.op_names = {"first*"};
  info.options.outputs = {"[a-f]*"};
  info.options.every = 2;
  info.options.run_limit = 1000;
  info.runs = 7;
  info.recorded_runs = 4;
  info.samples = 28;
  info.hosts = {"one", "two"};
  info.forced = {"net_hash: 0123456789abcdef0123456789abcdef",
                 "net_hash: 89abcdef0123456789abcdef01234567"};
  info.first_record = AtNanoseconds(1767225600123456789);
  info.last_record = AtNanoseconds(1767225601000000001);
  info.operators.resize(3);

  OperatorInfo& conv = info.operators[0];
  conv.op_type = "Conv";
  conv.outputs.resize(1);
  OutputInfo& floats = conv.outputs[0];
  floats.tensor_name = "conv\xC3\xA9 1";
  floats.types = {"c10::Half", "float"};
  floats.shapes.Add({1, 2, 0});
  floats.shapes.Add({1, 2, 3});
  floats.total.range = ValueRange::OfFloats(-0.1f, 2.5f);
  floats.total.histogram = Histogram(8);
  floats.total.histogram.AddRepeated(-0.1f, 1);
  floats.total.histogram.AddRepeated(0, 2);
  floats.total.histogram.AddRepeated(2.5, 3);
  floats.runs = 4;
  floats.count = 11;
  floats.zero_count = 2;
  floats.nan_count = 3;
  floats.positive_infinity_count = 1;
  floats.negative_infinity_count = 1;
  floats.empty_runs = 1;
  floats.missing_runs = 2;
  floats.unsupported_runs = 5;
  floats.column_max_unsupported_runs = 4;

  OperatorInfo& fc = info.operators[1];
  fc.op_index = 1;
  fc.op_type = "FC";
  fc.outputs.resize(2);
  OutputInfo& integers = fc.outputs[0];
  integers.tensor_name = "fc";
  integers.types = {"int64"};
  for (int64_t i = 1; i <= 5; ++i) integers.shapes.Add({i, 9007199254740993});
  integers.total.range = ValueRange::OfIntegers(
      std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
  integers.total.column_max.assign(2, Histogram(4));
  integers.total.column_max[0].AddRepeated(1e30, 1);
  integers.runs = 1;
  integers.count = 18446744073709551615u;
  OutputInfo& doubles = fc.outputs[1];
  doubles.output_index = 1;
  doubles.tensor_name = "fc_aux";
  doubles.types = {"double"};
  doubles.total.range =
      ValueRange::OfDoubles(-5e-324, std::numeric_limits<double>::max());
  doubles.runs = 1;
  doubles.count = 2;

  OperatorInfo& step = info.operators[2];
  step.op_index = 1;
  step.step_index = 0;
  step.op_type = "Int8Relu";
  step.outputs.resize(2);
  OutputInfo& quantized = step.outputs[0];
  quantized.tensor_name = "q";
  quantized.total.range = ValueRange::OfFloats(0, 12.75f);
  quantized.total.raw_range = ValueRange::OfIntegers(0, 255);
  quantized.runs = 1;
  quantized.count = 100;
  quantized.zero_count = 50;
  step.outputs[1].output_index = 1;
  step.outputs[1].tensor_name = "";
  step.outputs[1].missing_runs = 4;
  return info;
}

// The same as a file of version 2, with what version 1 lacks: do not change it.
inline NetInfo FixedProfile2() {
  NetInfo info = FixedProfile();
  info.format_version = 2;
  info.options.inputs = {"data*", "label"};
  OperatorInfo& step = info.operators[2];
  step.step_index = -1;
  step.inner = {{"step_net", 0}};
  for (const std::vector<InnerStep>& inner :
       std::vector<std::vector<InnerStep>>{
           {{"step_net", 2}},
           {{"step_net", 10}},  // by number, not by text
           {{"then_net", 3}, {"loop_net", 0}}}) {
    OperatorInfo op = info.operators[2];
    op.inner = inner;
    op.op_type = "Tanh";
    op.outputs.resize(1);
    info.operators.push_back(op);
  }
  info.inputs.resize(2);
  OutputInfo& data = info.inputs[0];
  data.tensor_name = "data";
  data.types = {"float"};
  data.shapes.Add({4, 3});
  data.total.range = ValueRange::OfFloats(-1, 1);
  data.total.histogram = Histogram(8);
  data.total.histogram.AddRepeated(-1, 5);
  data.total.histogram.AddRepeated(1, 7);
  data.runs = 4;
  data.count = 12;
  OutputInfo& label = info.inputs[1];
  label.output_index = 3;
  label.tensor_name = "label";
  label.types = {"int64"};
  label.total.range = ValueRange::OfIntegers(0, 9007199254740993);
  label.runs = 4;
  label.count = 4;
  label.zero_count = 1;
  return info;
}

// A recording that can be made in any order: what batch `n` brings is a
// function of `seed` and n alone.
class TestRecording {
 public:
  explicit TestRecording(uint64_t seed,
                         uint32_t version = kProfileFormatVersion)
      : seed_(seed) {
    std::mt19937_64 random(seed);
    start_.format_version = version;
    const auto upto = [&random](uint64_t n) { return random() % n; };
    start_.net_name = "net";
    start_.net_hash = "00112233445566778899aabbccddeeff";
    if (upto(3) != 0) start_.options.histogram_bins = 4 + upto(60);
    if (upto(2) == 0) start_.options.column_max_bins = 16;
    start_.operators.resize(1 + upto(4));
    for (std::size_t i = 0; i < start_.operators.size(); ++i) {
      OperatorInfo& op = start_.operators[i];
      op.op_index = static_cast<int>(i / 2);
      const int step = static_cast<int>(upto(3));
      if (i % 2 == 1 && version == 1) op.step_index = step;
      if (i % 2 == 1 && version > 1) {
        op.inner = {{upto(2) == 0 ? "then_net" : "step_net", step}};
        if (upto(2) == 0) op.inner.push_back({"loop_net", step});
      }
      op.op_type = upto(2) == 0 ? "Conv" : "FC";
      Make(upto(4), &random, &op.outputs);
    }
    if (version > 1) Make(upto(3), &random, &start_.inputs);
  }

  // Nothing recorded yet.
  const NetInfo& start() const { return start_; }

  void Record(uint64_t batch, NetInfo* info) const {
    std::mt19937_64 random(seed_ * 1000003 + batch);
    const auto upto = [&random](uint64_t n) { return random() % n; };
    const uint64_t runs = 1 + upto(3);
    info->runs += runs;
    info->recorded_runs += 1 + upto(runs);
    info->samples += upto(100);
    const TimePoint time =
        AtNanoseconds(1 + static_cast<int64_t>(upto(1u << 30)));
    if (info->first_record == TimePoint()) info->first_record = time;
    info->first_record = std::min(info->first_record, time);
    info->last_record = std::max(info->last_record, time);
    info->hosts.push_back("host" + std::to_string(upto(3)));
    for (OperatorInfo& op : info->operators) {
      for (OutputInfo& output : op.outputs)
        RecordOutput(&random, info, &output);
    }
    for (OutputInfo& input : info->inputs) RecordOutput(&random, info, &input);
  }

 private:
  void Make(std::size_t count, std::mt19937_64* random,
            std::vector<OutputInfo>* outputs) const {
    outputs->resize(count);
    for (std::size_t k = 0; k < count; ++k) {
      OutputInfo& output = (*outputs)[k];
      output.output_index = static_cast<int>(k);
      output.tensor_name = "blob " + std::to_string((*random)() % 1000);
      output.total.histogram = Histogram(start_.options.histogram_bins);
    }
  }

  void RecordOutput(std::mt19937_64* random, NetInfo* info,
                    OutputInfo* output) const {
    const auto upto = [random](uint64_t n) { return (*random)() % n; };
    switch (upto(8)) {
      case 0:
        ++output->missing_runs;
        return;
      case 1:
        ++output->unsupported_runs;
        return;
      default:
        break;
    }
    ++output->runs;
    const std::vector<int64_t> shape = {static_cast<int64_t>(upto(7)), 3};
    output->shapes.Add(shape);
    const char* const kTypes[] = {"float", "double", "int64"};
    const auto type = upto(3);
    AddType(kTypes[type], &output->types);
    const auto count = static_cast<std::size_t>(shape[0] * shape[1]);
    output->count += count;
    if (count == 0) ++output->empty_runs;
    std::vector<double> values;
    for (std::size_t i = 0; i < count; ++i) {
      switch (upto(12)) {
        case 0:
          ++output->nan_count;
          break;
        case 1:
          ++output->positive_infinity_count;
          break;
        case 2:
          ++output->negative_infinity_count;
          break;
        case 3:
          ++output->zero_count;
          values.push_back(upto(2) == 0 ? 0.0 : -0.0);
          break;
        default:
          values.push_back(std::ldexp(static_cast<double>(1 + upto(1000)),
                                      static_cast<int>(upto(40)) - 20) *
                           (upto(2) == 0 ? 1 : -1));
      }
    }
    for (const double value : values) {
      const auto integer = static_cast<int64_t>(value);
      output->total.range.Merge(
          type == 0   ? ValueRange::OfFloats(static_cast<float>(value),
                                             static_cast<float>(value))
          : type == 1 ? ValueRange::OfDoubles(value, value)
                      : ValueRange::OfIntegers(integer, integer));
      output->total.raw_range.Merge(ValueRange::OfIntegers(integer, integer));
    }
    if (info->options.histogram_bins > 0) {
      output->total.histogram.Add(values.data(), values.size());
    }
    if (info->options.column_max_bins > 0) {
      auto& columns = output->total.column_max;
      const std::size_t n = 1 + upto(3);
      while (columns.size() < n) {
        columns.emplace_back(info->options.column_max_bins);
      }
      for (std::size_t i = 0; i < n && i < values.size(); ++i) {
        columns[i].AddRepeated(values[i], 1);
      }
      output->column_max_unsupported_runs += upto(2);
    }
  }

  static void AddType(const char* type, std::vector<std::string>* types) {
    if (std::find(types->begin(), types->end(), type) == types->end()) {
      types->push_back(type);
      std::sort(types->begin(), types->end());
    }
  }

  const uint64_t seed_;
  NetInfo start_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_PROFILES_PROFILE_TESTING_H_
