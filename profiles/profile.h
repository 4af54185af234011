// Reads, writes and merges profiles: files of what was observed of a net.
//
// A profile holds a NetInfo's totals (since attach), not the values since the
// last reset, and only what the order of the runs does not change: not the last
// shape and type, nor an operator's times. All numbers survive exactly:
// integers as integers, floats and counts to the last bit. Its form is
// proto/profile.proto, as protobuf's bytes or as protobuf's JSON;
// docs/formats.md has the fields and the rules.
//
// The key of a recorded value is its operator's path and its output index; of
// an external input its index in external_input and its name. operator_path.h
// says what a path is. A NetInfo is written in its own format_version, so one
// of version 1 stays one.
//
// Profiles of the same recording are the same bytes, and only those, whatever
// the order of the runs and their division between processes. Times and hosts,
// which differ, are in a message of their own (provenance).
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

// A larger file, or one of more parts (operators, outputs, ranges, histograms
// and shapes together), is neither written nor read.
constexpr int64_t kMaxProfileBytes = int64_t{1} << 28;
constexpr int64_t kMaxProfileParts = int64_t{1} << 22;

// Writes the bytes of a profile. An error names the operator or tensor that
// contradicts the rules, and leaves *bytes unchanged.
Status ProfileToBytes(const NetInfo& info, std::string* bytes);

// The reverse: fills totals, counters and the header's fields; the rest is as
// in a new NetInfo. An error names the field, the value found and the value
// expected, and leaves *info unchanged.
Status ProfileFromBytes(const std::string& bytes, NetInfo* info);

// The same as one line of JSON. In a name that is not UTF-8 the wrong bytes
// become U+FFFD, and are read back as that; everything else is as exact as the
// bytes.
Status ProfileToJson(const NetInfo& info, std::string* json);
Status ProfileFromJson(const std::string& json, NetInfo* info);

// Reads a file in either form; its first character tells which. An error begins
// with the path.
Status ReadProfile(const std::string& path, NetInfo* info);

// Writes a file beside `path`, syncs it and renames it to `path`.
Status WriteProfile(const std::string& path, const NetInfo& info, bool json);

struct MergeOptions {
  // Merges even if nets or options differ, and writes what differed to `forced`
  // of the result: "field: value" for each value found. The result has the
  // smaller of two values.
  bool force = false;
};

// Adds to *into what `from` recorded; *into keeps what a profile does not have
// (such as the values since the last reset). Merging is exact, associative and
// commutative: profiles merged in any order and grouping give the same bytes.
//
// It is refused, and *into is unchanged, if
//   - the format versions differ, even if forced (kInvalidArgument): what one
//   of
//     version 1 does not tell was not absent;
//   - the net's hash, the options or an operator's type differ, unless forced
//     (kInvalidArgument; the message names each difference with both values);
//   - a tensor has histograms of different max_bins, even if forced;
//   - one of them is the checkpoint of an unfinished calibration, even if
//     forced (kInvalidArgument);
//   - a count would pass 2^64 - 1 (kOutOfRange);
//   - one of the two is no valid profile (kCorruption).
// Operators are matched by path (op_index and step_index in version 1), their
// outputs and the inputs by output_index and tensor_name; what only one profile
// has is taken as it is. If
// the names of the net differ, the smaller one is kept, and likewise for
// labels.
Status MergeProfile(const NetInfo& from, const MergeOptions& options,
                    NetInfo* into);

// A summary of a profile that a merge read or wrote.
struct ProfileSummary {
  std::string path;
  uint32_t format_version = 0;
  std::string net_name;
  std::string net_hash;
  uint64_t runs = 0;
  uint64_t recorded_runs = 0;
  uint64_t samples = 0;
  uint64_t operators = 0;
  uint64_t outputs = 0;
  uint64_t inputs = 0;
  std::vector<std::string> hosts;
  std::vector<std::string> forced;
  std::string first_record;  // UTC, 2026-01-31T12:00:00.000Z; "": none
  std::string last_record;
};

// Reads profiles of either form, merges them and writes `output`: JSON when it
// ends in ".json". An error names the file, and then nothing is written. Fills
// *summaries, if given: one for each input, in order, then one for the output.
CAFFE2_QUANTIZATION_API Status
MergeProfileFiles(const std::vector<std::string>& inputs,
                  const std::string& output, const MergeOptions& options,
                  std::vector<ProfileSummary>* summaries = nullptr);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_PROFILE_H_
