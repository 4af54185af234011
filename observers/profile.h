// Profiles: what was observed of a net as a file, and many of them made one.
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
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_PROFILE_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_PROFILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "observers/output_info.h"
#include "quantization/export.h"
#include "quantization/status.h"

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

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_PROFILE_H_
