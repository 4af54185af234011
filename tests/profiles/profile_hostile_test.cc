// Profiles that no program of ours wrote: every one is read exactly or refused
// with one clear message, and takes little memory on the way.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>

#include "profiles/profile.h"
#include "proto/profile.pb.h"
#include "tests/profiles/profile_testing.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using testing::HasSubstr;

ProfileProto FixedProto() {
  ProfileProto proto;
  EXPECT_TRUE(proto.ParseFromString(BytesOf(FixedProfile())));
  return proto;
}

// Refused with that message, and *info untouched.
void ExpectRefused(const std::string& contents, bool json,
                   const std::string& message) {
  NetInfo info;
  info.net_name = "untouched";
  const Status status = json ? ProfileFromJson(contents, &info)
                             : ProfileFromBytes(contents, &info);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(message));
  EXPECT_EQ(info.net_name, "untouched");
}

// What is accepted is, once written, read back as the same.
void ExpectStable(const NetInfo& info, const std::string& what) {
  const std::string bytes = BytesOf(info);
  NetInfo again;
  const Status status = ProfileFromBytes(bytes, &again);
  ASSERT_TRUE(status.ok()) << status.message() << ": " << what;
  ASSERT_EQ(BytesOf(again), bytes) << what;
}

TEST(ProfileHostile, ContradictionsAreNamed) {
  const std::string conv = "operator 0 (Conv), output 0 'conv\xC3\xA9 1': ";
  const struct {
    std::function<void(ProfileProto*)> change;
    std::string message;
  } cases[] = {
      {[](ProfileProto* p) { p->set_format_version(7); },
       "format version 7, this program reads 1 to 2"},
      {[](ProfileProto* p) { p->clear_format_version(); }, "no format_version"},
      {[](ProfileProto* p) { p->set_net_hash("0123"); },
       "net_hash is '0123', expected 32 hexadecimal digits"},
      {[](ProfileProto* p) { p->set_recorded_runs(8); },
       "header: recorded_runs is 8, expected 7 at most (runs)"},
      {[](ProfileProto* p) { p->mutable_forced()->SwapElements(0, 1); },
       "header: forced has 'net_hash: 01234"},
      {[](ProfileProto* p) { p->mutable_checkpoint()->set_batches(-1); },
       "checkpoint: batches is -1, expected 0 or more"},
      {[](ProfileProto* p) {
         p->mutable_checkpoint()->add_settings()->set_name("b");
         p->mutable_checkpoint()->add_settings()->set_name("a");
       },
       "checkpoint: setting 'a' stands after 'b', expected sorted, each once"},
      {[](ProfileProto* p) { p->mutable_provenance()->add_hosts("two"); },
       "provenance: hosts has 'two' after 'two', expected sorted, each once"},
      {[](ProfileProto* p) { p->mutable_options()->set_every(0); },
       "options: every is 0, expected 1 at least"},
      {[](ProfileProto* p) { p->mutable_options()->set_run_limit(-1); },
       "options: run_limit is -1, expected 0 at least"},
      {[](ProfileProto* p) {
         p->mutable_options()->set_histogram_bins(4000000000u);
       },
       "histograms of 4000000000 bins, expected 65536 at most"},
      {[](ProfileProto* p) { p->mutable_options()->add_op_types("A"); },
       "options: op_types has 'A' after 'FC'"},
      {[](ProfileProto* p) { p->mutable_operators()->SwapElements(0, 1); },
       "operator 0 (Conv): stands after operator 1 (FC), expected sorted"},
      {[](ProfileProto* p) { p->mutable_operators(1)->set_op_index(0); },
       "operator 0 (FC): stands after operator 0 (Conv), expected sorted, each "
       "once"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_op_index(-1); },
       "op_index is -1, expected 0 at least"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_step_index(-2); },
       "step_index is -2, expected -1 at least"},
      {[](ProfileProto* p) {
         auto* outputs = p->mutable_operators(1)->mutable_outputs();
         *outputs->Mutable(1) = outputs->Get(0);
       },
       "operator 1 (FC), output 0 'fc': stands after output 0 'fc', expected "
       "sorted, each once"},
      {[](ProfileProto* p) {
         p->mutable_operators(0)->mutable_outputs(0)->set_output_index(-5);
       },
       "output_index is -5, expected 0 at least"},
  };
  const struct {
    std::function<void(ProfileProto*)> change;
    std::string message;
  } cases2[] = {
      {[](ProfileProto* p) { p->mutable_operators(0)->clear_path(); },
       "path of an operator (Conv): '' is no index, expected 0 to 2147483647"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("01"); },
       "'01' is no index"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("2147483648"); },
       "'2147483648' is no index"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("-1"); },
       "'-1' is no index"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("0/then_net"); },
       "'then_net' is no argument with an index"},
      {[](ProfileProto* p) {
         p->mutable_operators(0)->set_path("0/then net/1");
       },
       "'then net' is no argument with an index"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("0//1"); },
       "'' is no argument with an index"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("0/a/1/"); },
       "'' is no argument with an index"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_path("0/a/x"); },
       "'x' is no index"},
      {[](ProfileProto* p) {
         std::string path = "0";
         for (int i = 0; i < 65; ++i) path += "/a/0";
         p->mutable_operators(0)->set_path(path);
       },
       "more than 64 nets within each other"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_op_index(0); },
       "an operator (Conv) has an op_index, expected none in format version 2"},
      {[](ProfileProto* p) { p->mutable_operators(0)->set_step_index(-1); },
       "an operator (Conv) has a step_index, expected none in format version "
       "2"},
      {[](ProfileProto* p) { p->mutable_operators()->SwapElements(3, 4); },
       "operator 1/step_net/2 (Tanh): stands after operator 1/step_net/10 "
       "(Tanh), expected sorted, each once"},
      {[](ProfileProto* p) { p->mutable_inputs()->SwapElements(0, 1); },
       "input 0 'data': stands after input 3 'label', expected sorted"},
      {[](ProfileProto* p) { p->mutable_inputs(0)->set_output_index(-1); },
       "output_index is -1, expected 0 at least"},
      {[](ProfileProto* p) {
         p->mutable_inputs(1)->mutable_range()->set_min(1);
       },
       "input 3 'label': range of integers, expected integer_min"},
      {[](ProfileProto* p) { p->mutable_inputs(0)->set_count(11); },
       "input 0 'data': the sum of histogram.counts is 12, expected 11 at "
       "most"},
      {[](ProfileProto* p) { p->mutable_options()->add_inputs("a"); },
       "options: inputs has 'a' after 'label'"},
      {[](ProfileProto* p) { p->set_format_version(1); },
       "an operator (Conv) has a path, expected none in format version 1"},
      {[](ProfileProto* p) {
         p->set_format_version(1);
         p->clear_operators();
       },
       "header: has external inputs, expected none in format version 1"},
  };
  for (const auto& each : cases2) {
    ProfileProto proto;
    ASSERT_TRUE(proto.ParseFromString(BytesOf(FixedProfile2())));
    each.change(&proto);
    ExpectRefused(proto.SerializeAsString(), false, each.message);
  }
  const struct {
    std::function<void(OutputProfileProto*)> change;
    std::string message;
  } output_cases[] = {
      {[](auto* o) { o->mutable_types()->SwapElements(0, 1); },
       "types has 'c10::Half' after 'float'"},
      {[](auto* o) { o->mutable_shapes()->SwapElements(0, 1); },
       "shapes[1] is not larger than the one before"},
      {[](auto* o) { o->mutable_shapes(0)->set_dims(1, -2); },
       "shapes: dims[1] is -2, expected 0 at least"},
      {[](auto* o) { o->mutable_shapes(1)->set_dims(2, int64_t{1} << 62); },
       "shapes: dims[2] is 4611686018427387904, expected a product of dims "
       "below 2^63"},
      {[](auto* o) {
         for (int64_t i = 2; i < 6; ++i) o->add_shapes()->add_dims(i);
       },
       "6 shapes, expected 4 at most"},
      {[](auto* o) { o->set_more_shapes(true); },
       "more_shapes is true with 2 shapes, expected 4"},
      {[](auto* o) { o->mutable_range()->clear_kind(); }, "range has no kind"},
      {[](auto* o) { o->mutable_range()->clear_max(); },
       "range of floats, expected min and max alone"},
      {[](auto* o) { o->mutable_range()->set_integer_min(1); },
       "range of floats, expected min and max alone"},
      {[](auto* o) { o->mutable_range()->set_kind(ValueRangeProto::INTEGER); },
       "range of integers, expected integer_min and integer_max alone"},
      {[](auto* o) {
         auto* range = o->mutable_raw_range();
         range->set_kind(ValueRangeProto::INTEGER);
         range->set_integer_min(2);
         range->set_integer_max(1);
       },
       "raw_range.integer_min is 2, expected integer_max at most, which is 1"},
      {[](auto* o) {
         o->mutable_range()->set_max(std::numeric_limits<double>::quiet_NaN());
       },
       "range is -0.100000 to nan, expected finite numbers, min at most max"},
      {[](auto* o) {
         o->mutable_range()->set_max(std::numeric_limits<double>::infinity());
       },
       "range is -0.100000 to inf, expected finite numbers, min at most max"},
      {[](auto* o) { o->mutable_range()->set_max(-1); },
       "range is -0.100000 to -1.000000, expected finite numbers"},
      {[](auto* o) { o->mutable_range()->set_max(2.1); },
       "range is of kind FLOAT32, but"},
      {[](auto* o) { o->mutable_range()->set_max(1e39); },
       "range is of kind FLOAT32, but"},
      {[](auto* o) { o->mutable_histogram()->set_max_bins(3); },
       "histogram: max_bins is 3, expected 4 to 65536"},
      {[](auto* o) { o->mutable_histogram()->set_max_bins(~0u); },
       "histogram.max_bins is 4294967295, expected 65536 at most"},
      {[](auto* o) { o->mutable_histogram()->set_exponent(5000); },
       "histogram: the exponent of the bins' width is 5000"},
      {[](auto* o) { o->mutable_histogram()->set_first_bin(1 << 30); },
       "histogram: the first bin is 1073741824"},
      {[](auto* o) {
         o->mutable_histogram()->mutable_counts()->Resize(100, 1);
       },
       "histogram: 100 bins, expected 8 at most"},
      {[](auto* o) { o->mutable_histogram()->set_counts(0, 0); },
       "histogram: the first or the last bin counts nothing"},
      {[](auto* o) { o->mutable_histogram()->clear_counts(); },
       "histogram has a first bin but no counts"},
      {[](auto* o) {
         o->mutable_histogram()->Clear();
         o->mutable_histogram()->set_max_bins(8);
       },
       "histogram is there without counts"},
      {[](auto* o) { o->mutable_histogram()->set_counts(0, 2); },
       "the sum of histogram.counts is 7, expected 6 at most (finite values)"},
      {[](auto* o) { o->mutable_histogram()->set_counts(0, ~uint64_t{0}); },
       "histogram: the bins count more than 2^64 - 1 values together"},
      {[](auto* o) {
         auto* column = o->add_column_max();
         column->set_max_bins(4);
         column->add_counts(5);
       },
       "the sum of column_max[0].counts is 5, expected 4 at most (runs)"},
      {[](auto* o) { o->clear_range(); }, "a histogram with no range"},
      {[](auto* o) { o->set_count(5); },
       "zeros, NaN and infinities are more than count, which is 5"},
      {[](auto* o) { o->set_nan_count(~uint64_t{0}); },
       "zeros, NaN and infinities are more than count, which is 11"},
      {[](auto* o) {
         o->set_zero_count(0);
         o->set_nan_count(9);
       },
       "a range with no finite value counted"},
      {[](auto* o) { o->set_empty_runs(5); },
       "empty_runs is 5, expected 4 at most (runs)"},
      {[](auto* o) {
         o->set_empty_runs(0);
         o->set_runs(0);
       },
       "count is 11 with 0 runs, expected 0"},
  };
  const auto expect_both = [](const ProfileProto& proto,
                              const std::string& message) {
    ExpectRefused(proto.SerializeAsString(), false, message);
    std::string json;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(proto, &json).ok());
    ExpectRefused(json, true, message);
  };
  for (const auto& each : cases) {
    ProfileProto proto = FixedProto();
    each.change(&proto);
    expect_both(proto, each.message);
  }
  for (const auto& each : output_cases) {
    ProfileProto proto = FixedProto();
    each.change(proto.mutable_operators(0)->mutable_outputs(0));
    expect_both(proto, conv + each.message);
  }
}

TEST(ProfileHostile, BytesThatAreNoProfile) {
  const std::string version("\x08\x01", 2);
  const struct {
    std::string bytes;
    const char* message;
  } cases[] = {
      {"", "no format_version"},
      {"hello", "no format_version"},
      {std::string("\x1f\x8b\x08\x00", 4), "no format_version"},
      {"\x08", "no format_version"},
      {std::string("\x08\x07\xFA\x7F\x00", 5),
       "format version 7, this program reads 1 to 2"},
      {std::string("\x08\x00", 2),
       "format version 0, this program reads 1 to 2"},
      {version + "\x08\x03", "format version 3, this program reads 1 to 2"},
      {version + "\xFA\x7F", "at byte 2: no field of ProfileProto begins here"},
      {version + std::string("\x00", 1),
       "at byte 2: no field of ProfileProto begins here"},
      {version + "\x12", "at byte 2: net_name is cut short"},
      {version + "\x12\x05" + "abc", "at byte 2: net_name is cut short"},
      {version + "\x12\xFF\xFF\xFF\xFF\x0F", "at byte 2: net_name is cut"},
      {version + "\x10\x05", "at byte 2: net_name has wire type 0"},
      {version + "\x30", "at byte 2: runs is cut short"},
      {version + "\x30" + std::string(11, '\xFF'), "at byte 2: runs is cut"},
      {version + "\x52\x02\x08", "at byte 2: operators is cut short"},
      {version + "\x52\x01\x08" + "\x01", "at byte 4: op_index is cut short"},
      {version + "\x52\x02\x22\x05", "at byte 4: outputs is cut short"},
      {version + "\x53", "at byte 2: operators has wire type 3"},
      {version + "\x54", "at byte 2: operators has wire type 4"},
  };
  for (const auto& each : cases) ExpectRefused(each.bytes, false, each.message);
}

TEST(ProfileHostile, JsonThatIsNoProfile) {
  const struct {
    const char* json;
    const char* message;
  } cases[] = {
      {"", "JSON: "},
      {"{", "JSON: "},
      {"[]", "JSON: "},
      {"{}", "no format_version"},
      {R"({"format_version": 7, "novelty": [1, {"a": 2}]})",
       "format version 7, this program reads 1 to 2"},
      {R"({"novelty": 1, "format_version": 1})", "novelty: Cannot find field"},
      {R"({"format_version": "one"})", "JSON: "},
      {R"({"format_version": 1, "runs": -1})", "runs"},
      {R"({"format_version": 1, "runs": 1.5})", "runs"},
      {R"({"format_version": 1, "runs": "18446744073709551616"})", "runs"},
      {R"({"format_version": 1, "operators": [{"outputs": [
           {"range": {"kind": "FLOAT32", "min": "NaN", "max": 1}}]}]})",
       "range is nan to 1"},
      {R"({"format_version": 1, "operators": [{"outputs": [
           {"range": {"kind": "COMPLEX", "min": 0, "max": 1}}]}]})",
       "JSON: "},
  };
  for (const auto& each : cases) ExpectRefused(each.json, true, each.message);
  ExpectRefused(std::string(1000000, '['), true, "JSON: ");
  std::string deep = R"({"format_version": 1, "a": )";
  for (int i = 0; i < 100000; ++i) deep += R"({"a":)";
  ExpectRefused(deep, true, "JSON: ");
}

TEST(ProfileHostile, OtherOrderOfFieldsInJsonIsRead) {
  NetInfo info;
  ASSERT_TRUE(
      ProfileFromJson(
          R"( {"samples": 5, "net_name": "n", "format_version": 1})", &info)
          .ok());
  EXPECT_EQ(info.samples, 5u);
}

TEST(ProfileHostile, ManyPartsAreRefusedBeforeTheyTakeMemory) {
  std::string bytes("\x08\x01", 2);
  for (int64_t i = 0; i <= kMaxProfileParts; ++i) bytes.append("\x52\x00", 2);
  ExpectRefused(bytes, false, "more than 4194304 operators, outputs");
  NetInfo info;
  EXPECT_EQ(ProfileFromBytes(bytes, &info).kind(), Status::Kind::kOutOfRange);
}

TEST(ProfileHostile, ALargeFileIsRefusedUnread) {
  const std::string path =
      testing::TempDir() + "large." + std::to_string(getpid());
  std::ofstream(path) << "{";
  ASSERT_EQ(truncate(path.c_str(), kMaxProfileBytes + 1), 0);
  NetInfo info;
  const Status status = ReadProfile(path, &info);
  EXPECT_EQ(status.kind(), Status::Kind::kOutOfRange);
  EXPECT_THAT(status.message(), HasSubstr("has 268435457 bytes"));
  std::remove(path.c_str());
}

TEST(ProfileHostile, WhatIsCutShortIsRefused) {
  const std::string bytes = BytesOf(FixedProfile());
  const std::string json = JsonOf(FixedProfile());
  NetInfo info;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    // Between two fields of the outer message it is a whole, smaller profile.
    if (ProfileFromBytes(bytes.substr(0, n), &info).ok()) {
      ExpectStable(info, std::to_string(n) + " bytes");
    }
  }
  // But for the line break at its end.
  for (std::size_t n = 0; n + 1 < json.size(); ++n) {
    EXPECT_FALSE(ProfileFromJson(json.substr(0, n), &info).ok()) << n;
  }
}

TEST(ProfileHostile, EveryChangedByteIsReadExactlyOrRefused) {
  const std::string bytes = BytesOf(FixedProfile());
  const std::string json = JsonOf(FixedProfile());
  int accepted = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    // Each bit flipped, and the neighbours and ends of what a byte can be.
    for (int k = 0; k < 13; ++k) {
      std::string changed = bytes;
      char& c = changed[i];
      c = k < 8 ? static_cast<char>(c ^ (1 << k))
                : static_cast<char>(
                      std::vector<int>{c + 1, c - 1, 0, 0x80, 0xFF}[k - 8]);
      NetInfo info;
      if (!ProfileFromBytes(changed, &info).ok()) continue;
      ++accepted;
      ExpectStable(info, "byte " + std::to_string(i));
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(accepted, 256);
  const std::string characters("\0\"\\{}],:-9.e\xFF", 13);
  for (std::size_t i = 0; i < json.size(); ++i) {
    std::string changed = json;
    changed[i] = characters[i % characters.size()];
    NetInfo info;
    if (!ProfileFromJson(changed, &info).ok()) continue;
    ExpectStable(info, "character " + std::to_string(i));
    if (HasFailure()) return;
  }
}

TEST(ProfileHostile, RandomChangesAreReadExactlyOrRefused) {
  TestRandom random;
  const std::string bytes = BytesOf(FixedProfile());
  for (int i = 0; i < 20000; ++i) {
    std::string changed = bytes;
    for (int64_t n = random.Integer(1, 8); n > 0; --n) {
      const auto at = static_cast<std::size_t>(
          random.Integer(0, static_cast<int64_t>(changed.size()) - 1));
      switch (random.Integer(0, 2)) {
        case 0:
          changed[at] = static_cast<char>(random.Byte());
          break;
        case 1:
          changed.erase(at, static_cast<std::size_t>(random.Integer(1, 4)));
          break;
        default:
          changed.insert(at, 1, static_cast<char>(random.Byte()));
      }
      if (changed.empty()) break;
    }
    NetInfo info;
    if (ProfileFromBytes(changed, &info).ok()) ExpectStable(info, "random");
  }
}

}  // namespace
}  // namespace caffe2_quantization
