#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>

#include "profiles/profile.h"
#include "tests/profiles/profile_testing.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void MergeInto(const NetInfo& from, NetInfo* into, bool force = false) {
  MergeOptions options;
  options.force = force;
  const Status status = MergeProfile(from, options, into);
  ASSERT_TRUE(status.ok()) << status.message();
}

// Refused with these parts of a message, and nothing changed.
void ExpectRefused(const NetInfo& from, NetInfo into, bool force,
                   Status::Kind kind, const std::vector<std::string>& parts) {
  const std::string before = BytesOf(into);
  MergeOptions options;
  options.force = force;
  const Status status = MergeProfile(from, options, &into);
  EXPECT_EQ(status.kind(), kind) << status.message();
  for (const std::string& part : parts) {
    EXPECT_THAT(status.message(), HasSubstr(part));
  }
  EXPECT_EQ(BytesOf(into), before);
}

// Merges all, each time two that chance picks.
NetInfo MergeAtRandom(std::vector<NetInfo> parts, bool force,
                      TestRandom* random) {
  while (parts.size() > 1) {
    const auto last = static_cast<int64_t>(parts.size()) - 1;
    std::swap(parts[random->Integer(0, last)], parts.back());
    const NetInfo from = std::move(parts.back());
    parts.pop_back();
    MergeInto(from, &parts[random->Integer(0, last - 1)], force);
  }
  return parts[0];
}

TEST(ProfileMerge, ShardsInAnyOrderAndGroupingAreTheSingleRun) {
  TestRandom random;
  for (int i = 0; i < 60; ++i) {
    const TestRecording recording(random.generator()(), i % 3 == 0 ? 1 : 2);
    const auto batches = static_cast<uint64_t>(random.Integer(0, 60));
    NetInfo single = recording.start();
    for (uint64_t n = 0; n < batches; ++n) recording.Record(n, &single);

    for (const int count : {1, 2, 7, 64}) {
      std::vector<NetInfo> shards(count, recording.start());
      std::vector<uint64_t> order(batches);
      for (uint64_t n = 0; n < batches; ++n) order[n] = n;
      std::shuffle(order.begin(), order.end(), random.generator());
      for (const uint64_t n : order) {
        recording.Record(n, &shards[random.Integer(0, count - 1)]);
      }
      const NetInfo merged = MergeAtRandom(shards, false, &random);
      ASSERT_EQ(BytesOf(merged), BytesOf(single)) << count << " shards";
    }
  }
}

TEST(ProfileMerge, GoesThroughBytesAndJsonAlike) {
  TestRandom random;
  const TestRecording recording(random.generator()());
  NetInfo single = recording.start();
  NetInfo merged = recording.start();
  for (uint64_t n = 0; n < 40; ++n) {
    recording.Record(n, &single);
    NetInfo shard = recording.start(), read;
    recording.Record(n, &shard);
    if (n % 2 == 0) {
      ASSERT_TRUE(ProfileFromBytes(BytesOf(shard), &read).ok());
    } else {
      ASSERT_TRUE(ProfileFromJson(JsonOf(shard), &read).ok());
    }
    MergeInto(read, &merged);
  }
  EXPECT_EQ(BytesOf(merged), BytesOf(single));
}

TEST(ProfileMerge, ForcedMergesDoNotDependOnTheOrderEither) {
  TestRandom random;
  for (int i = 0; i < 60; ++i) {
    std::vector<NetInfo> parts;
    for (int k = 0; k < 6; ++k) {
      // Without histograms, whose sizes would differ.
      const TestRecording recording(random.Integer(0, 1000));
      NetInfo info = recording.start();
      info.options.histogram_bins = info.options.column_max_bins = 0;
      recording.Record(k, &info);
      for (OperatorInfo& op : info.operators) {
        for (OutputInfo& output : op.outputs) {
          output.total.histogram = Histogram();
          output.tensor_name = "blob " + std::to_string(random.Integer(0, 2));
        }
      }
      info.net_hash[0] = "0123"[random.Integer(0, 3)];
      info.net_name = "net" + std::to_string(random.Integer(0, 3));
      info.options.every = random.Integer(1, 3);
      if (random.OneIn(2)) info.options.op_types = {"FC"};
      parts.push_back(std::move(info));
    }
    const std::string bytes = BytesOf(MergeAtRandom(parts, true, &random));
    for (int k = 0; k < 5; ++k) {
      ASSERT_EQ(BytesOf(MergeAtRandom(parts, true, &random)), bytes);
    }
  }
}

TEST(ProfileMerge, RefusesWhatDiffersAndNamesBothValues) {
  const NetInfo into = FixedProfile();
  const struct {
    std::function<void(NetInfo*)> change;
    const char* message;
  } cases[] = {
      {[](NetInfo* info) { info->net_hash = std::string(32, 'f'); },
       "net_hash is ffffffffffffffffffffffffffffffff, expected "
       "0123456789abcdef0123456789abcdef"},
      {[](NetInfo* info) { info->net_hash = ""; },
       "net_hash is unknown, expected 0123456789abcdef0123456789abcdef"},
      {[](NetInfo* info) { info->options.histogram_bins = 16; },
       "options.histogram_bins is 16, expected 8"},
      {[](NetInfo* info) { info->options.column_max_bins = 16; },
       "options.column_max_bins is 16, expected 4"},
      {[](NetInfo* info) { info->options.column_max_blobs = {"x"}; },
       "options.column_max_blobs is [x], expected [fc, pool]"},
      {[](NetInfo* info) { info->options.op_types = {}; },
       "options.op_types is [], expected [Conv, FC]"},
      {[](NetInfo* info) { info->options.op_names = {}; },
       "options.op_names is [], expected [first*]"},
      {[](NetInfo* info) { info->options.outputs = {"y"}; },
       "options.outputs is [y], expected [[a-f]*]"},
      {[](NetInfo* info) { info->options.every = 3; },
       "options.every is 3, expected 2"},
      {[](NetInfo* info) { info->options.run_limit = 0; },
       "options.run_limit is 0, expected 1000"},
      {[](NetInfo* info) { info->operators[2].op_type = "Relu"; },
       "operator 1, step 0: op_type is Relu, expected Int8Relu"},
  };
  for (const auto& each : cases) {
    NetInfo from = FixedProfile();
    for (OperatorInfo& op : from.operators) {
      for (OutputInfo& output : op.outputs) {
        output.total = OutputValues();
        output.count = output.runs = output.zero_count = output.nan_count = 0;
        output.positive_infinity_count = output.negative_infinity_count = 0;
        output.empty_runs = 0;
      }
    }
    each.change(&from);
    ExpectRefused(from, into, false, Status::Kind::kInvalidArgument,
                  {each.message});
    NetInfo merged = into;
    MergeInto(from, &merged, true);
    EXPECT_GT(merged.forced.size(), into.forced.size()) << each.message;
  }
}

TEST(ProfileMerge, VersionsAreRefusedEvenByForce) {
  const std::string message =
      "format_version is 1, expected 2; version 1 does not tell of external "
      "inputs";
  for (const bool force : {false, true}) {
    ExpectRefused(FixedProfile(), FixedProfile2(), force,
                  Status::Kind::kInvalidArgument, {message});
    ExpectRefused(FixedProfile2(), FixedProfile(), force,
                  Status::Kind::kInvalidArgument,
                  {"format_version is 2, expected 1"});
  }
}

TEST(ProfileMerge, InputsAndOperatorsWithinAreAddedUp) {
  NetInfo info = FixedProfile2();
  info.operators[1].outputs.clear();  // whose count is the largest
  NetInfo from = info;
  from.inputs.erase(from.inputs.begin());
  from.operators.erase(from.operators.begin() + 4);
  MergeInto(from, &info);
  EXPECT_EQ(info.inputs[0].count, 12u);
  EXPECT_EQ(info.inputs[0].total.histogram.total(), 12u);
  EXPECT_EQ(info.inputs[1].count, 8u);
  EXPECT_EQ(info.inputs[1].total.range.integer_max(), 9007199254740993);
  ASSERT_EQ(info.operators.size(), 6u);
  EXPECT_EQ(info.operators[3].outputs[0].count, 200u);
  EXPECT_EQ(info.operators[4].outputs[0].count, 100u);
  EXPECT_EQ(info.operators[5].outputs[0].count, 200u);
  from = FixedProfile2();
  from.options.inputs = {};
  ExpectRefused(from, FixedProfile2(), false, Status::Kind::kInvalidArgument,
                {"options.inputs is [], expected [data*, label]"});
}

TEST(ProfileMerge, NamesAllDifferencesAndForceWritesThemDown) {
  NetInfo a, b;
  a.net_hash = std::string(32, 'a');
  b.net_hash = std::string(32, 'b');
  a.options.every = 5;
  b.options.op_types = {"Conv", "FC"};
  a.net_name = "later";
  b.net_name = "earlier";
  ExpectRefused(
      a, b, false, Status::Kind::kInvalidArgument,
      {"net_hash is aaaa", "expected bbbb", "options.every is 5, expected 1",
       "options.op_types is [], expected [Conv, FC]"});
  MergeInto(a, &b, true);
  EXPECT_EQ(b.net_name, "earlier");
  EXPECT_EQ(b.net_hash, a.net_hash);
  EXPECT_EQ(b.options.every, 1);
  EXPECT_THAT(b.forced, ElementsAre("net_hash: " + std::string(32, 'a'),
                                    "net_hash: " + std::string(32, 'b'),
                                    "options.every: 1", "options.every: 5",
                                    "options.op_types: [Conv, FC]",
                                    "options.op_types: []"));
}

NetInfo OneHistogram(int max_bins, uint64_t times) {
  NetInfo info;
  info.operators.resize(1);
  info.operators[0].op_type = "Conv";
  info.operators[0].outputs.resize(1);
  OutputInfo& output = info.operators[0].outputs[0];
  output.tensor_name = "y";
  output.runs = 1;
  output.count = times;
  output.total.range = ValueRange::OfFloats(1, 1);
  output.total.histogram = Histogram(max_bins);
  output.total.histogram.AddRepeated(1, times);
  return info;
}

TEST(ProfileMerge, HistogramsOfOtherSizesAreRefusedEvenByForce) {
  ExpectRefused(OneHistogram(8, 1), OneHistogram(16, 1), true,
                Status::Kind::kInvalidArgument,
                {"operator 0 (Conv), output 0 'y': histogram is of 8 bins, "
                 "expected 16"});
}

TEST(ProfileMerge, CountsPast64BitsAreRefused) {
  ExpectRefused(OneHistogram(8, 1), OneHistogram(8, ~uint64_t{0}), false,
                Status::Kind::kOutOfRange, {"output 0 'y': histogram: "});
  NetInfo a, b;
  a.samples = ~uint64_t{0};
  b.samples = 1;
  ExpectRefused(a, b, false, Status::Kind::kOutOfRange,
                {"header: samples of 1 and 18446744073709551615"});
  NetInfo c = OneHistogram(8, 1), d = c;
  c.operators[0].outputs[0].missing_runs = ~uint64_t{0};
  d.operators[0].outputs[0].missing_runs = 1;
  ExpectRefused(c, d, false, Status::Kind::kOutOfRange,
                {"output 0 'y': missing_runs of 1 and 18446744073709551615"});
}

TEST(ProfileMerge, KeepsWhatAProfileDoesNotHave) {
  NetInfo live = OneHistogram(8, 1);
  live.stopped = true;
  OutputInfo& output = live.operators[0].outputs[0];
  output.type_name = "float";
  output.values.range = ValueRange::OfFloats(5, 6);
  NetInfo shard = OneHistogram(8, 2);
  shard.operators[0].outputs.push_back(shard.operators[0].outputs[0]);
  shard.operators[0].outputs[1].output_index = 1;
  MergeInto(shard, &live);
  ASSERT_EQ(live.operators[0].outputs.size(), 2u);
  EXPECT_TRUE(live.stopped);
  EXPECT_EQ(live.operators[0].outputs[0].type_name, "float");
  EXPECT_EQ(live.operators[0].outputs[0].values.range.max(), 6);
  EXPECT_EQ(live.operators[0].outputs[0].count, 3u);
}

class ProfileMergeFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "profile_merge_XXXXXX";
    ASSERT_NE(mkdtemp(&pattern[0]), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    for (const std::string& path : written_) std::remove(path.c_str());
    std::remove(folder_.c_str());
  }
  std::string Path(const std::string& name) {
    written_.push_back(folder_ + '/' + name);
    return written_.back();
  }

  std::string folder_;
  std::vector<std::string> written_;
};

TEST_F(ProfileMergeFilesTest, ReadsAndWritesBothForms) {
  TestRandom random;
  const TestRecording recording(random.generator()());
  NetInfo single = recording.start();
  std::vector<std::string> inputs;
  for (uint64_t n = 0; n < 4; ++n) {
    NetInfo shard = recording.start();
    recording.Record(n, &shard);
    recording.Record(n, &single);
    inputs.push_back(Path("shard" + std::to_string(n)));
    ASSERT_TRUE(WriteProfile(inputs.back(), shard, n % 2 == 0).ok());
  }
  for (const char* name : {"all.profile", "all.json"}) {
    const std::string output = Path(name);
    std::vector<ProfileSummary> summaries;
    const Status status = MergeProfileFiles(inputs, output, {}, &summaries);
    ASSERT_TRUE(status.ok()) << status.message();
    std::ifstream file(output, std::ios::binary);
    const std::string contents(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(contents,
              output.back() == 'n' ? JsonOf(single) : BytesOf(single));
    ASSERT_EQ(summaries.size(), 5u);
    EXPECT_EQ(summaries[4].path, output);
    EXPECT_EQ(summaries[4].runs, single.runs);
    EXPECT_EQ(summaries[0].runs + summaries[1].runs + summaries[2].runs +
                  summaries[3].runs,
              single.runs);
  }
}

TEST_F(ProfileMergeFilesTest, ErrorsNameTheFileAndNothingIsWritten) {
  const std::string a = Path("a"), b = Path("b"), broken = Path("broken"),
                    output = Path("out");
  NetInfo info;
  info.net_hash = std::string(32, 'a');
  ASSERT_TRUE(WriteProfile(a, info, false).ok());
  info.net_hash = std::string(32, 'b');
  ASSERT_TRUE(WriteProfile(b, info, false).ok());
  std::ofstream(broken) << "what is this?";
  const struct {
    std::vector<std::string> inputs;
    std::string message;
  } cases[] = {
      {{}, "no profile to merge"},
      {{a, folder_ + "/none"}, "cannot read '" + folder_ + "/none'"},
      {{a, broken}, "'" + broken + "': no format_version"},
      {{a, b},
       "cannot merge '" + b + "' with '" + a + "': net_hash is " +
           std::string(32, 'b') + ", expected " + std::string(32, 'a')},
  };
  for (const auto& each : cases) {
    const Status status = MergeProfileFiles(each.inputs, output, {});
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr(each.message));
    EXPECT_FALSE(std::ifstream(output).good());
  }
}

}  // namespace
}  // namespace caffe2_quantization
