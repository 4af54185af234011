// Any bytes as a model file.
//  - The report is one: a form or a fault, lists within their limits, JSON.
//  - The scan of a message breaks where protobuf refuses it, and nowhere else
//    but where groups and messages are too deep.
//  - A text that protobuf reads becomes a message that means the same; one that
//    becomes a message is read by protobuf, but for fields that it requires.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/proto/metanet.pb.h"
#include "caffe2/utils/proto_utils.h"
#include "inspect/inspect.h"
#include "inspect/inspect_json.h"
#include "netdef/model_reader_text.h"
#include "serialization/minidb_reader.h"
#include "tests/fuzz/fuzz_targets.h"

namespace caffe2_quantization {
namespace {

using Message = google::protobuf::Message;

constexpr ModelForm kForms[] = {ModelForm::kNetDef, ModelForm::kBlobProto,
                                ModelForm::kTensorProtos,
                                ModelForm::kMetaNetDef};

std::unique_ptr<Message> NewMessage(ModelForm form) {
  switch (form) {
    case ModelForm::kNetDef:
      return std::make_unique<caffe2::NetDef>();
    case ModelForm::kBlobProto:
      return std::make_unique<caffe2::BlobProto>();
    case ModelForm::kTensorProtos:
      return std::make_unique<caffe2::TensorProtos>();
    default:
      return std::make_unique<caffe2::MetaNetDef>();
  }
}

// protobuf's parser of texts prints what it dislikes.
class SilentStderr {
 public:
  SilentStderr() : saved_(dup(STDERR_FILENO)) {
    static const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, STDERR_FILENO);
  }
  ~SilentStderr() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  SilentStderr(const SilentStderr&) = delete;
  SilentStderr& operator=(const SilentStderr&) = delete;

 private:
  const int saved_;
};

std::string CheckReport(const uint8_t* data, std::size_t size) {
  InspectReport report;
  InspectBytes(data, size, &report);
  if (report.ok() != report.faults.empty()) return "faults and their count";
  if (report.form == ModelForm::kUnknown && report.ok()) return "no form";
  if (report.faults.size() > 20) return "too many faults";
  for (const ModelFault& fault : report.faults) {
    if (fault.what.empty()) return "a fault without words";
    if (fault.has_offset && fault.offset > size) return "a fault past the end";
  }
  if (ToJson(std::vector<InspectReport>{report}).empty()) return "no JSON";
  return "";
}

// Whether the scan's reason is one that protobuf does not share.
bool IsTooDeep(const ModelFault& fault) {
  return fault.what.find("deep") != std::string::npos;
}

std::string CheckScan(const uint8_t* data, std::size_t size, ModelForm form) {
  const MessageScan scan = ScanMessage(*SchemaOf(form), "root", data, size);
  if (scan.broken && (scan.fault.what.empty() || scan.fault.field.empty() ||
                      scan.fault.offset > size || scan.likely > size)) {
    return "a fault that says nothing";
  }
  if (scan.broken && IsTooDeep(scan.fault)) return "";
  const bool parsed =
      NewMessage(form)->ParsePartialFromArray(data, static_cast<int>(size));
  if (parsed && scan.broken) {
    return std::string("protobuf reads a ") + ModelFormName(form) +
           ", the scan says " + scan.fault.ToString();
  }
  return "";
}

// Whether the messages are the same but for the order of their bytes.
bool SameMessage(const Message& a, const Message& b) {
  return a.SerializePartialAsString() == b.SerializePartialAsString();
}

std::string CheckText(const std::string& text, ModelForm form) {
  std::string wire;
  ModelFault fault;
  std::size_t fault_at = 0;
  const bool good = TextToWire(*SchemaOf(form), text, &wire, &fault, &fault_at);
  if (!good) {
    if (fault.what.empty() || fault.line == 0 || fault_at > text.size()) {
      return "a fault of the text that says nothing";
    }
    if (IsTooDeep(fault)) return "";
  }
  const auto expected = NewMessage(form);
  bool parsed;
  {
    const SilentStderr silent;
    parsed = caffe2::TextFormat::ParseFromString(text, expected.get());
  }
  if (parsed && !good) {
    return "protobuf reads the text, this does not: " + fault.ToString();
  }
  if (!good) return "";
  const auto got = NewMessage(form);
  if (!got->ParsePartialFromString(wire)) return "a text to a broken message";
  if (parsed && !SameMessage(*got, *expected)) {
    return std::string("a text means another ") + ModelFormName(form);
  }
  if (!parsed && got->IsInitialized()) {
    return "this reads a text, protobuf does not";
  }
  return "";
}

}  // namespace

std::string FuzzInspect(const uint8_t* data, std::size_t size) {
  // Of the exact size, so that AddressSanitizer sees one byte too many.
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);
  if (size > 0) std::memcpy(exact.get(), data, size);
  std::string finding = CheckReport(exact.get(), size);
  const bool text = LooksLikeText(exact.get(), size);
  for (const ModelForm form : kForms) {
    if (!finding.empty()) break;
    finding = text ? CheckText(std::string(data, data + size), form)
                   : CheckScan(exact.get(), size, form);
  }
  return finding;
}

}  // namespace caffe2_quantization
