#include "netdef/load_net.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "caffe2/core/blob_serialization.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/host_error.h"

namespace caffe2_quantization {
namespace {

// The host parses no message larger than this.
constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

Status SystemError(const std::string& path) {
  return Status::IoError(path + ": " + std::strerror(errno));
}

// Reads what fstat said; a file that grows meanwhile is not followed.
Status ReadOpenFile(const std::string& path, int file, std::string* contents) {
  struct stat info;
  if (fstat(file, &info) != 0) return SystemError(path);
  if (!S_ISREG(info.st_mode)) {
    return Status::IoError(path + ": not a regular file");
  }
  if (info.st_size == 0)
    return Status::Corruption(path + ": the file is empty");
  if (info.st_size > kMaxFileBytes) {
    return Status::OutOfRange(path + ": " + std::to_string(info.st_size) +
                              " bytes; the host reads messages of at most " +
                              std::to_string(kMaxFileBytes));
  }
  contents->resize(static_cast<size_t>(info.st_size));
  size_t done = 0;
  while (done < contents->size()) {
    const ssize_t count =
        read(file, &(*contents)[done], contents->size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(path);
    if (count == 0) {
      return Status::IoError(path + ": it ended after " + std::to_string(done) +
                             " bytes, expected " +
                             std::to_string(contents->size()) +
                             " as when it was opened");
    }
    done += static_cast<size_t>(count);
  }
  return Status::Ok();
}

Status ReadFile(const std::string& path, std::string* contents) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return SystemError(path);
  const Status status = ReadOpenFile(path, file, contents);
  close(file);
  return status;
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c >= '0' && c <= '9');
}

template <typename Message>
Status ParseMessage(const std::string& path, const char* type,
                    Message* message) {
  std::string contents;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadFile(path, &contents));
  const std::string size = std::to_string(contents.size()) + " bytes";
  if (IsText(contents)) {
    if (!BeginsWithField(contents) ||
        !caffe2::TextFormat::ParseFromString(contents, message)) {
      return Status::Corruption(path + ": " + size + " of text that is no " +
                                type + " in protobuf's text form");
    }
  } else if (!caffe2::ParseProtoFromLargeString(contents, message)) {
    return Status::Corruption(path + ": not a " + type + ", or cut short (" +
                              size + ")");
  }
  return Status::Ok();
}

bool IsPrintable(const std::string& text) {
  return IsText(text) && text.find('\n') == std::string::npos;
}

std::string Dims(const caffe2::TensorProto& proto) {
  std::string text = "[";
  for (int i = 0; i < proto.dims_size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(proto.dims(i));
  }
  return text + "]";
}

// Whole, on the CPU, and of no more elements than the message has data for: the
// host takes the memory first and compares then.
Status CheckTensorProto(const caffe2::TensorProto& proto) {
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
  const int64_t available = std::max<int64_t>(
      {proto.float_data_size(), proto.double_data_size(),
       proto.int32_data_size(), proto.int64_data_size(),
       proto.string_data_size(), static_cast<int64_t>(proto.byte_data().size()),
       static_cast<int64_t>(proto.raw_data().size())});
  if (elements > available) {
    return Status::Corruption(
        "has the dims " + Dims(proto) + " = " + std::to_string(elements) +
        " elements, but data for at most " + std::to_string(available));
  }
  return Status::Ok();
}

}  // namespace

bool IsText(const std::string& contents) {
  return std::none_of(contents.begin(), contents.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
  });
}

// Asked before the host's parser, which prints its complaint.
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

Status DeserializeTensor(const caffe2::TensorProto& proto,
                         caffe2::Tensor* tensor) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckTensorProto(proto));
  try {
    *tensor = caffe2::TensorDeserializer().Deserialize(proto);
  } catch (const std::exception& error) {
    return Status::Corruption("cannot be read: " + ReasonOf(error));
  }
  return Status::Ok();
}

Status ReadNetDef(const std::string& path, caffe2::NetDef* net) {
  caffe2::NetDef read;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ParseMessage(path, "NetDef", &read));
  // Other messages of the host parse as a NetDef too, to nothing or to
  // nonsense.
  if (read.op_size() == 0) {
    return Status::Corruption(path +
                              ": no operators; expected a NetDef, and it "
                              "is empty or another message");
  }
  for (int i = 0; i < read.op_size(); ++i) {
    const std::string& type = read.op(i).type();
    if (type.empty() || !IsPrintable(type)) {
      return Status::Corruption(path + ": operator " + std::to_string(i) +
                                " has no type; it is another message than a "
                                "NetDef, or broken");
    }
  }
  if (read.name().empty()) read.set_name("net");
  net->CopyFrom(read);
  return Status::Ok();
}

Status ReadTensors(const std::string& path, caffe2::Workspace* workspace,
                   std::vector<std::string>* names) {
  caffe2::TensorProtos read;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ParseMessage(path, "TensorProtos", &read));
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
