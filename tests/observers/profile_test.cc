#include "observers/profile.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "tests/observers/profile_testing.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

void ExpectSame(const ValueRange& a, const ValueRange& b) {
  EXPECT_EQ(a.kind(), b.kind());
  EXPECT_EQ(a.min(), b.min());
  EXPECT_EQ(a.max(), b.max());
  EXPECT_EQ(a.integer_min(), b.integer_min());
  EXPECT_EQ(a.integer_max(), b.integer_max());
}

void ExpectSame(const OutputInfo& a, const OutputInfo& b) {
  EXPECT_EQ(a.output_index, b.output_index);
  EXPECT_EQ(a.tensor_name, b.tensor_name);
  EXPECT_EQ(a.types, b.types);
  EXPECT_EQ(a.shapes.shapes(), b.shapes.shapes());
  EXPECT_EQ(a.shapes.more(), b.shapes.more());
  ExpectSame(a.total.range, b.total.range);
  ExpectSame(a.total.raw_range, b.total.raw_range);
  EXPECT_EQ(a.total.histogram.counts(), b.total.histogram.counts());
  if (!a.total.histogram.empty()) {
    EXPECT_EQ(a.total.histogram, b.total.histogram);
  }
  EXPECT_EQ(a.total.column_max, b.total.column_max);
  EXPECT_EQ(a.runs, b.runs);
  EXPECT_EQ(a.count, b.count);
  EXPECT_EQ(a.zero_count, b.zero_count);
  EXPECT_EQ(a.nan_count, b.nan_count);
  EXPECT_EQ(a.positive_infinity_count, b.positive_infinity_count);
  EXPECT_EQ(a.negative_infinity_count, b.negative_infinity_count);
  EXPECT_EQ(a.empty_runs, b.empty_runs);
  EXPECT_EQ(a.missing_runs, b.missing_runs);
  EXPECT_EQ(a.unsupported_runs, b.unsupported_runs);
  EXPECT_EQ(a.column_max_unsupported_runs, b.column_max_unsupported_runs);
}

void ExpectSame(const NetInfo& a, const NetInfo& b) {
  EXPECT_EQ(a.net_name, b.net_name);
  EXPECT_EQ(a.observer, b.observer);
  EXPECT_EQ(a.net_hash, b.net_hash);
  EXPECT_TRUE(a.options == b.options);
  EXPECT_EQ(a.runs, b.runs);
  EXPECT_EQ(a.recorded_runs, b.recorded_runs);
  EXPECT_EQ(a.samples, b.samples);
  EXPECT_EQ(a.hosts, b.hosts);
  EXPECT_EQ(a.forced, b.forced);
  EXPECT_TRUE(a.first_record == b.first_record);
  EXPECT_TRUE(a.last_record == b.last_record);
  ASSERT_EQ(a.operators.size(), b.operators.size());
  for (std::size_t i = 0; i < a.operators.size(); ++i) {
    const OperatorInfo &x = a.operators[i], &y = b.operators[i];
    EXPECT_EQ(x.op_index, y.op_index);
    EXPECT_EQ(x.step_index, y.step_index);
    EXPECT_EQ(x.op_type, y.op_type);
    ASSERT_EQ(x.outputs.size(), y.outputs.size());
    for (std::size_t k = 0; k < x.outputs.size(); ++k) {
      ExpectSame(x.outputs[k], y.outputs[k]);
    }
  }
}

TEST(Profile, BytesKeepEverything) {
  NetInfo read;
  const Status status = ProfileFromBytes(BytesOf(FixedProfile()), &read);
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectSame(read, FixedProfile());
}

TEST(Profile, JsonKeepsEverything) {
  NetInfo read;
  const Status status = ProfileFromJson(JsonOf(FixedProfile()), &read);
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectSame(read, FixedProfile());
}

TEST(Profile, RandomRecordingsComeBackFromBothForms) {
  TestRandom random;
  for (int i = 0; i < 100; ++i) {
    const TestRecording recording(random.generator()());
    NetInfo info = recording.start();
    for (int64_t n = random.Integer(0, 20); n > 0; --n) {
      recording.Record(static_cast<uint64_t>(n), &info);
    }
    const std::string bytes = BytesOf(info);
    NetInfo from_bytes, from_json;
    ASSERT_TRUE(ProfileFromBytes(bytes, &from_bytes).ok());
    ASSERT_TRUE(ProfileFromJson(JsonOf(info), &from_json).ok());
    EXPECT_EQ(BytesOf(from_bytes), bytes);
    EXPECT_EQ(BytesOf(from_json), bytes);
  }
}

}  // namespace
}  // namespace caffe2_quantization
