// Profiles: files of what was observed of a net, and their merge.
//
// A profile holds a NetInfo's totals (since attach), not the values since the
// last reset, and of these only what the order of the runs does not change: not
// the last shape and type, no operator's times. All numbers survive exactly:
// integers as integers, floats and counts to the last bit. Its form is
// proto/profile.proto, as protobuf's bytes or as protobuf's JSON;
// docs/formats.md has the fields and the rules.
//
// Only profiles of the same recording are the same bytes, whatever the order of
// the runs and their division between processes; times and hosts, which differ,
// stand in a message of their own (provenance).
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_PROFILES_PROFILE_H_
#define CAFFE2_QUANTIZATION_PROFILES_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/export.h"
#include "base/status.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

constexpr uint32_t kProfileFormatVersion = 1;
// A larger file, or one of more parts (operators, outputs, ranges, histograms
// and shapes together), is neither written nor read.
constexpr int64_t kMaxProfileBytes = int64_t{1} << 28;
constexpr int64_t kMaxProfileParts = int64_t{1} << 22;

// The bytes of a profile. An error names the operator or tensor that
// contradicts the rules; *bytes is left alone.
Status ProfileToBytes(const NetInfo& info, std::string* bytes);

// The reverse: fills totals, counters and the header's fields; the rest is as
// in a NetInfo just made. An error names field, value found and value expected;
// *info is left alone.
Status ProfileFromBytes(const std::string& bytes, NetInfo* info);

// The same as one line of JSON. A name that is not UTF-8 has U+FFFD where it is
// not, and is read back as that; everything else is as exact as the bytes.
Status ProfileToJson(const NetInfo& info, std::string* json);
Status ProfileFromJson(const std::string& json, NetInfo* info);

// A file, in either form: told by its first character. An error begins with the
// path.
Status ReadProfile(const std::string& path, NetInfo* info);

// Written beside `path`, synced and renamed.
Status WriteProfile(const std::string& path, const NetInfo& info, bool json);

struct MergeOptions {
  // Goes on where nets or options differ, and writes what differed to `forced`
  // of the result: "field: value" for each value met. Of two values the smaller
  // one stands in the result.
  bool force = false;
};

// Adds to *into what `from` recorded; *into keeps what a profile does not have
// (such as the values since the last reset). Exact, associative and
// commutative: profiles merged in any order and grouping are the same bytes.
//
// Refused, and *into is left alone, when
//   - the net's hash, the options or an operator's type differ
//   (kInvalidArgument;
//     the message names each difference with both values), unless forced;
//   - a tensor has histograms of different max_bins, even when forced;
//   - one of them is the checkpoint of an unfinished calibration
//     (kInvalidArgument), even when forced;
//   - a count would pass 2^64 - 1 (kOutOfRange);
//   - one of both is no valid profile (kCorruption).
// Operators are matched by op_index and step_index, their outputs by
// output_index and tensor_name; what only one has is taken as it is. Of two
// names of the net the smaller one stands, and of two labels.
Status MergeProfile(const NetInfo& from, const MergeOptions& options,
                    NetInfo* into);

// What a merge had before it and what it made.
struct ProfileSummary {
  std::string path;
  std::string net_name;
  std::string net_hash;
  uint64_t runs = 0;
  uint64_t recorded_runs = 0;
  uint64_t samples = 0;
  uint64_t operators = 0;
  uint64_t outputs = 0;
  std::vector<std::string> hosts;
  std::vector<std::string> forced;
  std::string first_record;  // UTC, 2026-01-31T12:00:00.000Z; "": none
  std::string last_record;
};

// Reads profiles of either form, merges them and writes `output`: JSON when it
// ends in ".json". An error names the file; nothing is written then. Fills
// *summaries, if given: one for each input, in order, and one for the output.
CAFFE2_QUANTIZATION_API Status
MergeProfileFiles(const std::vector<std::string>& inputs,
                  const std::string& output, const MergeOptions& options,
                  std::vector<ProfileSummary>* summaries = nullptr);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_PROFILE_H_
