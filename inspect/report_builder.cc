#include "inspect/report_builder.h"

#include <utility>

#include "inspect/inspect_tensor.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMaxFaults = 20;
constexpr std::size_t kMaxNameBytes = 256;
// A singular message in more parts is none that a writer made.
constexpr std::size_t kMaxParts = 1000;

}  // namespace

bool IsBytes(const WireField& field, uint32_t number) {
  return field.number == number && field.type == WireType::kBytes;
}

std::string Indexed(const std::string& field, const char* name,
                    uint64_t index) {
  return field + '.' + name + '[' + std::to_string(index) + ']';
}

std::string Name(std::string_view text) {
  if (text.size() <= kMaxNameBytes) return std::string(text);
  return std::string(text.substr(0, kMaxNameBytes)) + "…";
}
std::string Name(const WireField& field) {
  return Name(std::string_view(reinterpret_cast<const char*>(field.begin),
                               field.size()));
}

void ReportBuilder::Fault(std::size_t offset, std::string field,
                          std::string what) {
  if (muted_) return;
  FaultWithoutOffset(std::move(field), std::move(what));
  // What became of a text has offsets of its own.
  if (report_->is_text || report_->fault_count > kMaxFaults) return;
  report_->faults.back().has_offset = true;
  report_->faults.back().offset = offset;
}

void ReportBuilder::FaultWithoutOffset(std::string field, std::string what) {
  if (report_->fault_count++ >= kMaxFaults) return;
  ModelFault fault;
  fault.field = std::move(field);
  fault.what = std::move(what);
  report_->faults.push_back(std::move(fault));
}

void ReportBuilder::Mute() { muted_ = true; }

bool ReportBuilder::Whole(const MessageScan& scan) {
  if (scan.unknown_fields > 0) {
    unknown_fields_ += scan.unknown_fields;
    if (first_unknown_.empty()) {
      ModelFault first = scan.first_unknown;
      first.has_offset = !report_->is_text;
      first_unknown_ = first.ToString();
    }
  }
  if (scan.broken) Fault(scan.fault.offset, scan.fault.field, scan.fault.what);
  return !scan.broken;
}

void ReportBuilder::Finish() {
  if (unknown_fields_ > 0) {
    report_->notes.push_back(
        std::to_string(unknown_fields_) +
        " fields that Caffe2 does not know, the first at " + first_unknown_);
  }
  if (report_->unlisted > 0) {
    report_->notes.push_back(
        "the lists are full: " + std::to_string(report_->unlisted) +
        " entries are counted, but not listed");
  }
}

bool ReportBuilder::Room(std::size_t bytes, std::size_t strings) {
  constexpr std::size_t kStringBytes = 2 * sizeof(std::string);
  const std::size_t needed = bytes + strings * kStringBytes;
  if (needed > list_bytes_) {
    ++report_->unlisted;
    return false;
  }
  list_bytes_ -= needed;
  return true;
}

bool ReportBuilder::AddName(const WireField& field,
                            std::vector<std::string>* names) {
  if (!Room(std::min(field.size(), kMaxNameBytes), 1)) return false;
  names->push_back(Name(field));
  return true;
}

bool ReportBuilder::AddPart(const MessageBytes& part, const std::string& place,
                            MessageParts* parts) {
  if (parts->size() == kMaxParts) {
    Fault(part.offset, place,
          "has a message in more than " + std::to_string(kMaxParts) + " parts");
  }
  if (parts->size() > kMaxParts) return false;
  parts->push_back(part);
  return true;
}

void ReportBuilder::AddTensor(InspectedTensor tensor) {
  ++report_->tensor_count;
  report_->tensor_bytes += tensor.bytes;
  if (Room(sizeof(InspectedTensor) + tensor.name.size() + tensor.field.size() +
               tensor.dims.size() * sizeof(int64_t),
           2)) {
    report_->tensors.push_back(std::move(tensor));
  }
}

void ReportBuilder::Tensor(const std::string& name, const std::string& place,
                           const MessageParts& parts) {
  InspectedTensor tensor;
  std::string own_name;
  const std::string problem = InspectTensorProto(parts, &own_name, &tensor);
  tensor.name = name.empty() ? Name(own_name) : name;
  tensor.field = place;
  if (!problem.empty()) Fault(parts[0].offset, place, problem);
  AddTensor(std::move(tensor));
}

void ReportBuilder::QTensor(const std::string& name, const std::string& place,
                            const MessageParts& parts,
                            const MessageBytes& blob) {
  InspectedQTensor tensor;
  std::string own_name;
  const std::string problem =
      InspectQTensorProto(parts, blob, &own_name, &tensor);
  tensor.name = name.empty() ? Name(own_name) : name;
  tensor.field = place;
  if (!problem.empty()) Fault(parts[0].offset, place, problem);
  ++report_->qtensor_count;
  report_->qtensor_bytes += tensor.bytes;
  report_->qtensor_float_bytes += tensor.float_bytes;
  if (Room(sizeof(InspectedQTensor) + tensor.name.size() + tensor.field.size() +
               tensor.dims.size() * sizeof(int64_t),
           2)) {
    report_->qtensors.push_back(std::move(tensor));
  }
}

}  // namespace caffe2_quantization
