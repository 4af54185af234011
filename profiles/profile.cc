#include "profiles/profile.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "base/return_if_error.h"
#include "profiles/message_json.h"
#include "profiles/profile_rules.h"
#include "profiles/profile_wire.h"
#include "proto/profile.pb.h"

namespace caffe2_quantization {
namespace {

namespace pb = google::protobuf;

// ---- NetInfo to message -----------------------------------------------------

int64_t Nanoseconds(TimePoint time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             time.time_since_epoch())
      .count();
}

template <typename Strings>
void Fill(const std::vector<std::string>& from, Strings* to) {
  for (const std::string& text : from) to->Add(std::string(text));
}

void Fill(const ValueRange& range, ValueRangeProto* proto) {
  if (range.kind() == ValueRange::Kind::kInteger) {
    proto->set_kind(ValueRangeProto::INTEGER);
    proto->set_integer_min(range.integer_min());
    proto->set_integer_max(range.integer_max());
    return;
  }
  proto->set_kind(range.kind() == ValueRange::Kind::kFloat32
                      ? ValueRangeProto::FLOAT32
                      : ValueRangeProto::FLOAT64);
  proto->set_min(range.min());
  proto->set_max(range.max());
}

void Fill(const Histogram& histogram, HistogramProto* proto) {
  proto->set_max_bins(static_cast<uint32_t>(histogram.max_bins()));
  if (histogram.empty()) return;
  proto->set_exponent(histogram.exponent());
  proto->set_first_bin(histogram.first_bin());
  *proto->mutable_counts() = {histogram.counts().begin(),
                              histogram.counts().end()};
}

void Fill(const OutputInfo& output, OutputProfileProto* proto) {
  proto->set_output_index(output.output_index);
  proto->set_tensor_name(output.tensor_name);
  Fill(output.types, proto->mutable_types());
  for (const std::vector<int64_t>& shape : output.shapes.shapes()) {
    *proto->add_shapes()->mutable_dims() = {shape.begin(), shape.end()};
  }
  if (output.shapes.more()) proto->set_more_shapes(true);
  const OutputValues& total = output.total;
  if (!total.range.empty()) Fill(total.range, proto->mutable_range());
  if (!total.raw_range.empty()) {
    Fill(total.raw_range, proto->mutable_raw_range());
  }
  if (!total.histogram.empty()) {
    Fill(total.histogram, proto->mutable_histogram());
  }
  for (const Histogram& column : total.column_max) {
    Fill(column, proto->add_column_max());
  }
  proto->set_runs(output.runs);
  proto->set_count(output.count);
  proto->set_zero_count(output.zero_count);
  proto->set_nan_count(output.nan_count);
  proto->set_positive_infinity_count(output.positive_infinity_count);
  proto->set_negative_infinity_count(output.negative_infinity_count);
  proto->set_empty_runs(output.empty_runs);
  proto->set_missing_runs(output.missing_runs);
  proto->set_unsupported_runs(output.unsupported_runs);
  proto->set_column_max_unsupported_runs(output.column_max_unsupported_runs);
}

void Fill(const RecordingOptions& options, RecordingOptionsProto* proto) {
  proto->set_histogram_bins(static_cast<uint32_t>(options.histogram_bins));
  proto->set_column_max_bins(static_cast<uint32_t>(options.column_max_bins));
  Fill(options.column_max_blobs, proto->mutable_column_max_blobs());
  Fill(options.op_types, proto->mutable_op_types());
  Fill(options.op_names, proto->mutable_op_names());
  Fill(options.outputs, proto->mutable_outputs());
  Fill(options.inputs, proto->mutable_inputs());
  proto->set_every(options.every);
  proto->set_run_limit(options.run_limit);
}

// Of a canonical profile.
void Fill(const NetInfo& info, ProfileProto* proto) {
  proto->set_format_version(info.format_version);
  proto->set_net_name(info.net_name);
  proto->set_observer(info.observer);
  proto->set_net_hash(info.net_hash);
  Fill(info.options, proto->mutable_options());
  proto->set_runs(info.runs);
  proto->set_recorded_runs(info.recorded_runs);
  proto->set_samples(info.samples);
  Fill(info.forced, proto->mutable_forced());
  for (const OperatorInfo& op : info.operators) {
    OperatorProfileProto* op_proto = proto->add_operators();
    if (info.format_version == 1) {
      op_proto->set_op_index(op.op_index);
      op_proto->set_step_index(op.step_index);
    } else {
      op_proto->set_path(PathText(op));
    }
    op_proto->set_op_type(op.op_type);
    for (const OutputInfo& output : op.outputs) {
      Fill(output, op_proto->add_outputs());
    }
  }
  for (const OutputInfo& input : info.inputs) Fill(input, proto->add_inputs());
  ProvenanceProto* provenance = proto->mutable_provenance();
  provenance->set_first_record_ns(Nanoseconds(info.first_record));
  provenance->set_last_record_ns(Nanoseconds(info.last_record));
  Fill(info.hosts, provenance->mutable_hosts());
  if (info.checkpoint.settings.empty()) return;
  CheckpointProto* checkpoint = proto->mutable_checkpoint();
  checkpoint->set_batches(info.checkpoint.batches);
  for (const auto& [name, value] : info.checkpoint.settings) {
    SettingProto* setting = checkpoint->add_settings();
    setting->set_name(name);
    setting->set_value(value);
  }
}

Status Serialize(const NetInfo& canonical, std::string* bytes) {
  RETURN_IF_ERROR(CheckProfile(canonical));
  ProfileProto proto;
  Fill(canonical, &proto);
  const auto size = static_cast<int64_t>(proto.ByteSizeLong());
  if (size > kMaxProfileBytes) {
    return Status::OutOfRange("a profile of " + std::to_string(size) +
                              " bytes, expected " +
                              std::to_string(kMaxProfileBytes) + " at most");
  }
  std::string made = proto.SerializeAsString();
  RETURN_IF_ERROR(CheckProfileWire(made, kMaxProfileParts));
  *bytes = std::move(made);
  return Status::Ok();
}

// ---- Message to NetInfo -----------------------------------------------------

Status Within(const std::string& where, const Status& status) {
  if (status.ok()) return status;
  return Status::Corruption(where + ": " + status.message());
}

TimePoint ToTime(int64_t nanoseconds) {
  return TimePoint(std::chrono::duration_cast<TimePoint::duration>(
      std::chrono::nanoseconds(nanoseconds)));
}

template <typename Strings>
std::vector<std::string> ToVector(const Strings& strings) {
  return {strings.begin(), strings.end()};
}

Status Read(const ValueRangeProto& proto, const char* field,
            ValueRange* range) {
  const std::string name = field;
  if (!proto.has_kind()) {
    return Status::Corruption(name +
                              " has no kind, expected FLOAT32, FLOAT64 "
                              "or INTEGER");
  }
  if (proto.kind() == ValueRangeProto::INTEGER) {
    if (!proto.has_integer_min() || !proto.has_integer_max() ||
        proto.has_min() || proto.has_max()) {
      return Status::Corruption(name +
                                " of integers, expected integer_min and "
                                "integer_max alone");
    }
    *range = ValueRange::OfIntegers(proto.integer_min(), proto.integer_max());
    if (!range->empty()) return Status::Ok();
    return Status::Corruption(name + ".integer_min is " +
                              std::to_string(proto.integer_min()) +
                              ", expected integer_max at most, which is " +
                              std::to_string(proto.integer_max()));
  }
  if (!proto.has_min() || !proto.has_max() || proto.has_integer_min() ||
      proto.has_integer_max()) {
    return Status::Corruption(name + " of floats, expected min and max alone");
  }
  const double min = proto.min(), max = proto.max();
  const ValueRange doubles = ValueRange::OfDoubles(min, max);
  if (!std::isfinite(min) || !std::isfinite(max) || doubles.empty()) {
    return Status::Corruption(name + " is " + std::to_string(min) + " to " +
                              std::to_string(max) +
                              ", expected finite numbers, min at most max");
  }
  *range = doubles;
  if (proto.kind() == ValueRangeProto::FLOAT64) return Status::Ok();
  constexpr double kLargest = std::numeric_limits<float>::max();
  for (const double value : {min, max}) {
    if (std::abs(value) > kLargest ||
        static_cast<double>(static_cast<float>(value)) != value) {
      return Status::Corruption(name + " is of kind FLOAT32, but " +
                                doubles.MinText() + " to " + doubles.MaxText() +
                                " are not both floats");
    }
  }
  *range =
      ValueRange::OfFloats(static_cast<float>(min), static_cast<float>(max));
  return Status::Ok();
}

Status Read(const HistogramProto& proto, const std::string& field,
            Histogram* histogram) {
  constexpr uint32_t kMost = Histogram::kLargestMaxBins;
  if (proto.max_bins() > kMost) {
    return Status::Corruption(field + ".max_bins is " +
                              std::to_string(proto.max_bins()) + ", expected " +
                              std::to_string(kMost) + " at most");
  }
  if (proto.counts().empty() &&
      (proto.exponent() != 0 || proto.first_bin() != 0)) {
    return Status::Corruption(field + " has a first bin but no counts");
  }
  return Within(field,
                Histogram::FromParts(
                    static_cast<int>(proto.max_bins()), proto.exponent(),
                    proto.first_bin(),
                    {proto.counts().begin(), proto.counts().end()}, histogram));
}

Status ReadShapes(const OutputProfileProto& proto, ShapeSet* set) {
  constexpr int kMost = ShapeSet::kMaxShapes;
  if (proto.shapes_size() > kMost) {
    return Status::Corruption(std::to_string(proto.shapes_size()) +
                              " shapes, expected " + std::to_string(kMost) +
                              " at most");
  }
  std::vector<int64_t> last;
  for (int i = 0; i < proto.shapes_size(); ++i) {
    std::vector<int64_t> shape(proto.shapes(i).dims().begin(),
                               proto.shapes(i).dims().end());
    if (i > 0 && !(last < shape)) {
      return Status::Corruption("shapes[" + std::to_string(i) +
                                "] is not larger than the one before, "
                                "expected sorted, each once");
    }
    set->Add(shape);
    last = std::move(shape);
  }
  set->set_more(proto.more_shapes());
  return Status::Ok();
}

Status Read(const OutputProfileProto& proto, OutputInfo* output) {
  output->output_index = proto.output_index();
  output->tensor_name = proto.tensor_name();
  output->types = ToVector(proto.types());
  RETURN_IF_ERROR(ReadShapes(proto, &output->shapes));
  OutputValues* total = &output->total;
  if (proto.has_range()) {
    RETURN_IF_ERROR(Read(proto.range(), "range", &total->range));
  }
  if (proto.has_raw_range()) {
    RETURN_IF_ERROR(Read(proto.raw_range(), "raw_range", &total->raw_range));
  }
  if (proto.has_histogram()) {
    RETURN_IF_ERROR(Read(proto.histogram(), "histogram", &total->histogram));
    if (total->histogram.empty()) {
      return Status::Corruption("histogram is there without counts");
    }
  }
  total->column_max.resize(static_cast<std::size_t>(proto.column_max_size()));
  for (int i = 0; i < proto.column_max_size(); ++i) {
    RETURN_IF_ERROR(Read(proto.column_max(i),
                         "column_max[" + std::to_string(i) + "]",
                         &total->column_max[static_cast<std::size_t>(i)]));
  }
  output->runs = proto.runs();
  output->count = proto.count();
  output->zero_count = proto.zero_count();
  output->nan_count = proto.nan_count();
  output->positive_infinity_count = proto.positive_infinity_count();
  output->negative_infinity_count = proto.negative_infinity_count();
  output->empty_runs = proto.empty_runs();
  output->missing_runs = proto.missing_runs();
  output->unsupported_runs = proto.unsupported_runs();
  output->column_max_unsupported_runs = proto.column_max_unsupported_runs();
  return Status::Ok();
}

// Each version has its own way to say where an operator is, and no other.
Status ReadPlace(const OperatorProfileProto& proto, uint32_t version,
                 OperatorInfo* op) {
  const auto unexpected = [&](const char* field) {
    return Status::Corruption("an operator (" + proto.op_type().substr(0, 200) +
                              ") has " + field +
                              ", expected none in format "
                              "version " +
                              std::to_string(version));
  };
  if (version == 1) {
    if (proto.has_path()) return unexpected("a path");
    op->op_index = proto.op_index();
    op->step_index = proto.step_index();
    return Status::Ok();
  }
  if (proto.has_op_index()) return unexpected("an op_index");
  if (proto.has_step_index()) return unexpected("a step_index");
  return Within("path of an operator (" + proto.op_type().substr(0, 200) + ")",
                ParsePath(proto.path(), &op->op_index, &op->inner));
}

Status Read(const OperatorProfileProto& proto, uint32_t version,
            OperatorInfo* op) {
  RETURN_IF_ERROR(ReadPlace(proto, version, op));
  op->op_type = proto.op_type();
  op->outputs.resize(static_cast<std::size_t>(proto.outputs_size()));
  for (int i = 0; i < proto.outputs_size(); ++i) {
    OutputInfo* output = &op->outputs[static_cast<std::size_t>(i)];
    const Status status = Read(proto.outputs(i), output);
    if (!status.ok()) return Within(OutputText(*op, *output), status);
  }
  return Status::Ok();
}

Status Read(const RecordingOptionsProto& proto, RecordingOptions* options) {
  constexpr uint32_t kMost = Histogram::kLargestMaxBins;
  for (const uint32_t bins :
       {proto.histogram_bins(), proto.column_max_bins()}) {
    if (bins > kMost) {
      return Status::Corruption("options: histograms of " +
                                std::to_string(bins) + " bins, expected " +
                                std::to_string(kMost) + " at most");
    }
  }
  options->histogram_bins = static_cast<int>(proto.histogram_bins());
  options->column_max_bins = static_cast<int>(proto.column_max_bins());
  options->column_max_blobs = ToVector(proto.column_max_blobs());
  options->op_types = ToVector(proto.op_types());
  options->op_names = ToVector(proto.op_names());
  options->outputs = ToVector(proto.outputs());
  options->inputs = ToVector(proto.inputs());
  options->every = proto.every();
  options->run_limit = proto.run_limit();
  return Status::Ok();
}

Status Read(const CheckpointProto& proto, Checkpoint* checkpoint) {
  if (proto.batches() < 0) {
    return Status::Corruption("checkpoint: batches is " +
                              std::to_string(proto.batches()) +
                              ", expected 0 or more");
  }
  checkpoint->batches = proto.batches();
  auto& settings = checkpoint->settings;
  for (const SettingProto& setting : proto.settings()) {
    if (!settings.empty() && !(settings.rbegin()->first < setting.name())) {
      return Status::Corruption("checkpoint: setting '" + setting.name() +
                                "' stands after '" + settings.rbegin()->first +
                                "', expected sorted, each once");
    }
    settings[setting.name()] = setting.value();
  }
  return Status::Ok();
}

Status Read(const ProfileProto& proto, NetInfo* info) {
  info->format_version = proto.format_version();
  info->net_name = proto.net_name();
  info->observer = proto.observer();
  info->net_hash = proto.net_hash();
  RETURN_IF_ERROR(Read(proto.options(), &info->options));
  info->runs = proto.runs();
  info->recorded_runs = proto.recorded_runs();
  info->samples = proto.samples();
  info->forced = ToVector(proto.forced());
  info->operators.resize(static_cast<std::size_t>(proto.operators_size()));
  for (int i = 0; i < proto.operators_size(); ++i) {
    RETURN_IF_ERROR(Read(proto.operators(i), info->format_version,
                         &info->operators[static_cast<std::size_t>(i)]));
  }
  info->inputs.resize(static_cast<std::size_t>(proto.inputs_size()));
  for (int i = 0; i < proto.inputs_size(); ++i) {
    OutputInfo* input = &info->inputs[static_cast<std::size_t>(i)];
    const Status status = Read(proto.inputs(i), input);
    if (!status.ok()) return Within(InputText(*input), status);
  }
  const ProvenanceProto& provenance = proto.provenance();
  info->first_record = ToTime(provenance.first_record_ns());
  info->last_record = ToTime(provenance.last_record_ns());
  info->hosts = ToVector(provenance.hosts());
  RETURN_IF_ERROR(Read(proto.checkpoint(), &info->checkpoint));
  return CheckProfile(*info);
}

// ---- JSON -------------------------------------------------------------------

Status CheckSize(std::size_t size) {
  if (size <= static_cast<std::size_t>(kMaxProfileBytes)) return Status::Ok();
  return Status::OutOfRange(std::to_string(size) + " bytes, expected " +
                            std::to_string(kMaxProfileBytes) + " at most");
}

// A profile is JSON when its first character says so: its bytes begin with the
// tag of format_version.
bool IsJson(const std::string& contents) {
  const std::size_t first = contents.find_first_not_of(" \t\r\n");
  return first != std::string::npos && contents[first] == '{';
}

}  // namespace

Status ProfileToBytes(const NetInfo& info, std::string* bytes) {
  return Serialize(CanonicalProfile(info), bytes);
}

Status ProfileFromBytes(const std::string& bytes, NetInfo* info) {
  RETURN_IF_ERROR(CheckSize(bytes.size()));
  RETURN_IF_ERROR(CheckProfileWire(bytes, kMaxProfileParts));
  ProfileProto proto;
  if (!proto.ParseFromString(bytes)) {
    return Status::Corruption("no message that protobuf can read");
  }
  // The last one of several counts.
  RETURN_IF_ERROR(CheckProfileVersion(proto.format_version()));
  NetInfo made;
  RETURN_IF_ERROR(Read(proto, &made));
  *info = std::move(made);
  return Status::Ok();
}

Status ProfileToJson(const NetInfo& info, std::string* json) {
  NetInfo printable = info;
  ReplaceInvalidUtf8(&printable);
  std::string bytes;
  RETURN_IF_ERROR(Serialize(CanonicalProfile(printable), &bytes));
  std::string made;
  RETURN_IF_ERROR(MessageToJson(ProfileProto::descriptor(), bytes,
                                /*pretty=*/false, &made));
  made += '\n';
  RETURN_IF_ERROR(CheckSize(made.size()));
  *json = std::move(made);
  return Status::Ok();
}

Status ProfileFromJson(const std::string& json, NetInfo* info) {
  RETURN_IF_ERROR(CheckSize(json.size()));
  std::string bytes;
  const Status status =
      JsonToMessage(ProfileProto::descriptor(), json, false, &bytes);
  if (!status.ok()) {
    // A later version may have fields that this one does not know: say that.
    std::string known;
    if (JsonToMessage(ProfileProto::descriptor(), json, true, &known).ok()) {
      RETURN_IF_ERROR(CheckProfileVersion(known));
    }
    return status;
  }
  return ProfileFromBytes(bytes, info);
}

Status ReadProfile(const std::string& path, NetInfo* info) {
  std::string contents;
  RETURN_IF_ERROR(ReadFile(path, kMaxProfileBytes, &contents));
  const Status status = IsJson(contents) ? ProfileFromJson(contents, info)
                                         : ProfileFromBytes(contents, info);
  if (status.ok()) return status;
  const std::string message = "'" + path + "': " + status.message();
  return status.kind() == Status::Kind::kOutOfRange
             ? Status::OutOfRange(message)
             : Status::Corruption(message);
}

Status WriteProfile(const std::string& path, const NetInfo& info, bool json) {
  std::string contents;
  const Status status =
      json ? ProfileToJson(info, &contents) : ProfileToBytes(info, &contents);
  if (!status.ok()) {
    return Status::InvalidArgument("cannot write '" + path +
                                   "': " + status.message());
  }
  return WriteFileAtomically(path, contents);
}

}  // namespace caffe2_quantization
