#include "netdef/load_net.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/core/blob_serialization.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/host_error.h"
#include "netdef/model_reader.h"
#include "netdef/model_reader_text.h"

namespace caffe2_quantization {
namespace {

// The host parses no message larger than this.
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c >= '0' && c <= '9');
}

std::string Bytes(std::size_t size) { return std::to_string(size) + " bytes"; }

// Fills `message`, which `schema` describes.
Status ParseMessage(const MessageSchema& schema, std::string_view bytes,
                    google::protobuf::MessageLite* message) {
  std::string wire;
  if (LooksLikeText(bytes.data(), bytes.size())) {
    ModelFault fault;
    std::size_t fault_at = 0;
    if (TextToWire(schema, bytes, &wire, &fault, &fault_at)) {
      bytes = wire;
    } else {
      // A very short message may hold no control character.
      const MessageScan scan =
          ScanMessage(schema, schema.name, bytes.data(), bytes.size());
      if (scan.likely < bytes.size()) {
        return Status::Corruption(
            Bytes(bytes.size()) + " of text that is no " + schema.name +
            " in protobuf's text form: " + fault.ToString());
      }
    }
  }
  const auto broken = [&](const std::string& why) {
    return Status::Corruption(std::string("not a ") + schema.name +
                              ", or cut short (" + Bytes(bytes.size()) +
                              "): " + why);
  };
  const MessageScan scan =
      ScanMessage(schema, schema.name, bytes.data(), bytes.size());
  if (scan.broken) return broken(scan.fault.ToString());
  // Not by ParseFromArray, which prints to the terminal what is missing.
  if (!message->ParsePartialFromArray(bytes.data(),
                                      static_cast<int>(bytes.size()))) {
    return broken("the host's parser refuses it");
  }
  if (!message->IsInitialized()) {
    return broken("it lacks " + message->InitializationErrorString());
  }
  return Status::Ok();
}

// "; it is a TensorProtos" where the bytes are clearly another message.
std::string WhatElse(ModelForm expected, std::string_view bytes) {
  if (LooksLikeMinidb(bytes.data(), bytes.size())) return "; it is a minidb";
  MessageScan scan;
  const ModelForm form = DetectMessage(bytes.data(), bytes.size(), &scan);
  return form == ModelForm::kUnknown || form == expected ||
                 scan.likely < bytes.size()
             ? ""
             : std::string("; it is a ") + ModelFormName(form);
}

Status InFile(const std::string& path, const Status& status) {
  return status.ok() ? status
                     : Status::Corruption(path + ": " + status.message());
}

// Opens a file of one message and reads it.
Status OpenMessage(const std::string& path, InputFile* file,
                   std::string_view* bytes) {
  const Status opened = file->Open(path);
  if (!opened.ok()) {
    // "'PATH': …" or "'PATH' is …", where errors here begin with "PATH: ".
    std::string what = opened.message().substr(path.size() + 2);
    for (const char* link : {": ", " is "}) {
      if (what.find(link) == 0) what.erase(0, std::strlen(link));
    }
    return Status::IoError(path + ": " + what);
  }
  if (file->size() > kMaxFileBytes) {
    return Status::OutOfRange(path + ": " + Bytes(file->size()) +
                              "; the host reads messages of at most " +
                              std::to_string(kMaxFileBytes));
  }
  const uint8_t* read = nullptr;
  RETURN_IF_ERROR(file->Read(0, file->size(), &read));
  *bytes = {reinterpret_cast<const char*>(read), file->size()};
  return Status::Ok();
}

bool IsPrintable(const std::string& text) {
  return LooksLikeText(text.data(), text.size()) &&
         text.find('\n') == std::string::npos;
}

std::string Dims(const caffe2::TensorProto& proto) {
  std::string text = "[";
  for (int i = 0; i < proto.dims_size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(proto.dims(i));
  }
  return text + "]";
}

}  // namespace

bool BeginsWithField(const std::string& text) {
  size_t i = 0;
  for (;;) {
    i = text.find_first_not_of(" \t\r\n", i);
    if (i == std::string::npos) return false;
    if (text[i] != '#') break;
    i = text.find('\n', i);
  }
  const size_t name = i;
  while (i < text.size() && IsNameCharacter(text[i])) ++i;
  if (i == name) return false;
  i = text.find_first_not_of(" \t\r\n", i);
  return i != std::string::npos && std::strchr(":{<", text[i]) != nullptr;
}

Status CheckTensorProto(const caffe2::TensorProto& proto, TensorSpan* span) {
  if (proto.data_type() == caffe2::TensorProto::UNDEFINED ||
      !caffe2::TensorProto::DataType_IsValid(proto.data_type())) {
    return Status::Corruption("has the data_type " +
                              std::to_string(proto.data_type()) +
                              ", expected that of a tensor");
  }
  int64_t elements = 1;
  bool empty = false;
  for (int i = 0; i < proto.dims_size(); ++i) {
    const int64_t dim = proto.dims(i);
    if (dim < 0) {
      return Status::Corruption("has the dims " + Dims(proto) +
                                ", expected none below 0");
    }
    empty |= dim == 0;
    if (dim > 0 && elements > std::numeric_limits<int64_t>::max() / dim) {
      return Status::Corruption("has the dims " + Dims(proto) +
                                ", whose product overflows 63 bits");
    }
    elements *= std::max<int64_t>(dim, 1);
  }
  if (empty) elements = 0;
  *span = {0, elements, elements};
  if (proto.has_segment()) {
    span->begin = proto.segment().begin();
    span->end = proto.segment().end();
    if (span->begin < 0 || span->end < span->begin || span->end > elements) {
      return Status::Corruption(
          "has the segment " + std::to_string(span->begin) + " to " +
          std::to_string(span->end) + ", expected within 0 and " +
          std::to_string(elements) + ", the number of elements");
    }
  }
  const int64_t available = std::max<int64_t>(
      {proto.float_data_size(), proto.double_data_size(),
       proto.int32_data_size(), proto.int64_data_size(),
       proto.string_data_size(), static_cast<int64_t>(proto.byte_data().size()),
       static_cast<int64_t>(proto.raw_data().size())});
  if (span->end - span->begin > available) {
    return Status::Corruption(
        "has the dims " + Dims(proto) + " = " + std::to_string(elements) +
        " elements, " +
        (proto.has_segment()
             ? std::to_string(span->end - span->begin) + " of them here, "
             : "") +
        "but data for at most " + std::to_string(available));
  }
  return Status::Ok();
}

Status DeserializeTensor(const caffe2::TensorProto& proto,
                         caffe2::Tensor* tensor) {
  if (proto.has_segment()) {
    return Status::InvalidArgument(
        "is a segment of a larger tensor, expected whole ones");
  }
  const int device = proto.device_detail().device_type();
  if (device != caffe2::PROTO_CPU) {
    return Status::InvalidArgument("is for device type " +
                                   std::to_string(device) +
                                   ", expected a CPU tensor");
  }
  TensorSpan span;
  RETURN_IF_ERROR(CheckTensorProto(proto, &span));
  try {
    *tensor = caffe2::TensorDeserializer().Deserialize(proto);
  } catch (const std::exception& error) {
    return Status::Corruption("cannot be read: " + ReasonOf(error));
  }
  return Status::Ok();
}

Status ParseNetDef(std::string_view bytes, caffe2::NetDef* net) {
  caffe2::NetDef read;
  RETURN_IF_ERROR(ParseMessage(schema::kNetDef, bytes, &read));
  net->Swap(&read);
  return Status::Ok();
}

Status CheckOperators(const caffe2::NetDef& net) {
  for (int i = 0; i < net.op_size(); ++i) {
    const std::string& type = net.op(i).type();
    if (type.empty() || !IsPrintable(type)) {
      return Status::Corruption("operator " + std::to_string(i) +
                                " has no type; it is another message than a "
                                "NetDef, or broken");
    }
  }
  return Status::Ok();
}

Status ReadNetDef(const std::string& path, caffe2::NetDef* net,
                  WithoutOperators without) {
  InputFile file;
  std::string_view bytes;
  RETURN_IF_ERROR(OpenMessage(path, &file, &bytes));
  const bool may_be_empty = without == WithoutOperators::kIsRead;
  if (bytes.empty() && !may_be_empty) {
    return Status::Corruption(path + ": the file is empty");
  }
  caffe2::NetDef read;
  const Status parsed = ParseNetDef(bytes, &read);
  if (!parsed.ok()) {
    return InFile(path,
                  Status::Corruption(parsed.message() +
                                     WhatElse(ModelForm::kNetDef, bytes)));
  }
  // Other messages of the host parse as a NetDef too, to nothing or to
  // nonsense.
  const std::string other =
      read.op_size() == 0 ? WhatElse(ModelForm::kNetDef, bytes) : "";
  if (read.op_size() == 0 && (!may_be_empty || !other.empty())) {
    return Status::Corruption(path +
                              ": no operators; expected a NetDef, and it "
                              "is empty or another message" +
                              other);
  }
  RETURN_IF_ERROR(InFile(path, CheckOperators(read)));
  if (read.name().empty()) read.set_name("net");
  net->Swap(&read);
  return Status::Ok();
}

Status ReadTensors(const std::string& path, caffe2::Workspace* workspace,
                   std::vector<std::string>* names) {
  InputFile file;
  std::string_view bytes;
  RETURN_IF_ERROR(OpenMessage(path, &file, &bytes));
  if (bytes.empty()) return Status::Corruption(path + ": the file is empty");
  caffe2::TensorProtos read;
  RETURN_IF_ERROR(
      InFile(path, ParseMessage(schema::kTensorProtos, bytes, &read)));
  if (read.protos_size() == 0) {
    return Status::Corruption(path +
                              ": no tensors; expected a TensorProtos, "
                              "and it is empty or another message");
  }
  std::set<std::string> seen;
  for (int i = 0; i < read.protos_size(); ++i) {
    const caffe2::TensorProto& proto = read.protos(i);
    const std::string& name = proto.name();
    if (name.empty() || !IsPrintable(name)) {
      return Status::Corruption(path + ": tensor " + std::to_string(i) +
                                " has no name; the file is another message "
                                "than a TensorProtos, or broken");
    }
    const std::string subject = path + ": tensor '" + name + "'";
    if (!seen.insert(name).second) {
      return Status::Corruption(subject + " is there twice");
    }
    caffe2::Tensor tensor(caffe2::CPU);
    const Status status = DeserializeTensor(proto, &tensor);
    if (!status.ok())
      return Status::Corruption(subject + " " + status.message());
    caffe2::BlobSetTensor(workspace->CreateBlob(name), std::move(tensor));
    names->push_back(name);
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
