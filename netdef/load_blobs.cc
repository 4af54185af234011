#include "netdef/load_blobs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/core/blob_serialization.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/host_error.h"
#include "netdef/load_net.h"
#include "netdef/model_reader.h"
#include "serialization/minidb_reader.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

constexpr char kTensorType[] = "Tensor";
constexpr char kQTensorType[] = "QTensor";
constexpr char kInt8TensorType[] = "Int8TensorCPU";
constexpr char kStringType[] = "std::string";

bool IsKnown(const std::string& type) {
  return type == kTensorType || type == kQTensorType ||
         type == kInt8TensorType || type == kStringType;
}

// The type of a whole BlobProto, without parsing its values.
std::string TypeOf(std::string_view bytes) {
  std::string type;
  WireReader reader(bytes.data(), bytes.size());
  WireField field;
  while (!reader.AtEnd() && reader.Next(&field).ok()) {
    if (field.number == caffe2::BlobProto::kTypeFieldNumber &&
        field.type == WireType::kBytes) {
      type.assign(reinterpret_cast<const char*>(field.begin), field.size());
    }
  }
  return type;
}

Status CheckInt8Tensor(const caffe2::QTensorProto& proto) {
  int64_t elements = 1;
  for (const int64_t dim : proto.dims()) {
    if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) {
      return Status::Corruption("has a dim of " + std::to_string(dim) +
                                ", expected dims of a tensor");
    }
  }
  if (elements == proto.data_size()) return Status::Ok();
  return Status::Corruption("has data of " + std::to_string(proto.data_size()) +
                            " values, expected " + std::to_string(elements) +
                            " by its dims");
}

// What is there of a tensor: from and to which element, of which dims.
struct TensorPieces {
  caffe2::TensorProto::DataType type;
  std::vector<int64_t> dims;
  int64_t elements = 0;
  std::vector<std::pair<int64_t, int64_t>> spans;

  // OK when the spans follow each other from the first element to the last.
  Status CheckWhole() {
    std::sort(spans.begin(), spans.end());
    int64_t next = 0;
    for (const auto& [begin, end] : spans) {
      if (begin != next) {
        return Status::Corruption(
            begin > next ? "lacks its elements " + std::to_string(next) +
                               " to " + std::to_string(begin - 1) +
                               ", expected a record with them"
                         : "has its element " + std::to_string(begin) +
                               " in two records, expected one");
      }
      next = end;
    }
    if (next == elements) return Status::Ok();
    return Status::Corruption("has " + std::to_string(next) +
                              " values in all its records, expected " +
                              std::to_string(elements) + " by its dims");
  }
};

class Loader {
 public:
  // A tensor has no more elements than the file has bytes.
  Loader(std::size_t most_elements, caffe2::Workspace* workspace)
      : most_elements_(static_cast<int64_t>(most_elements)),
        workspace_(workspace) {}

  // Takes one record of a blob. An error says what is wrong with "it".
  Status Take(const std::string& name, const std::string& type,
              std::string_view bytes) {
    const bool is_piece = pieces_.count(name) != 0 && type == kTensorType;
    if (!is_piece && !whole_.insert(name).second) {
      return Status::Corruption("is there twice, expected once");
    }
    if (type == kQTensorType) {
      // Not by the registry: protobuf would take four bytes for each of a
      // plane.
      std::unique_ptr<QTensorCPU> tensor;
      RETURN_IF_ERROR(
          QTensorFromBytes(bytes.data(), bytes.size(), &tensor, nullptr));
      workspace_->CreateBlob(name)->Reset(tensor.release());
      return Status::Ok();
    }
    caffe2::BlobProto proto;
    if (bytes.size() > kMaxMessageBytes ||
        !proto.ParsePartialFromArray(bytes.data(),
                                     static_cast<int>(bytes.size())) ||
        !proto.IsInitialized()) {
      return Status::Corruption("has " + std::to_string(bytes.size()) +
                                " bytes that are no BlobProto");
    }
    if (type == kTensorType) {
      RETURN_IF_ERROR(TakeTensor(name, &proto));
    } else if (type == kInt8TensorType) {
      RETURN_IF_ERROR(CheckInt8Tensor(proto.qtensor()));
    }
    try {
      caffe2::DeserializeBlob(proto, workspace_->CreateBlob(name));
    } catch (const std::exception& error) {
      return Status::Corruption("cannot be read: " + ReasonOf(error));
    }
    return Status::Ok();
  }

  bool Has(const std::string& name) const { return whole_.count(name) != 0; }

  // After the last record. An error names the blob.
  Status Finish() {
    for (auto& [name, pieces] : pieces_) {
      const Status status = pieces.CheckWhole();
      if (!status.ok()) {
        return Status::Corruption("tensor '" + ShownKey(name) + "' " +
                                  status.message());
      }
    }
    return Status::Ok();
  }

 private:
  Status TakeTensor(const std::string& name, caffe2::BlobProto* proto) {
    if (!proto->has_tensor()) {
      return Status::Corruption("has the type 'Tensor', but no tensor");
    }
    // As Load does it: a tensor of any device, on the CPU.
    caffe2::TensorProto* tensor = proto->mutable_tensor();
    tensor->clear_device_detail();
    TensorSpan span;
    RETURN_IF_ERROR(CheckTensorProto(*tensor, &span));
    if (span.elements > most_elements_) {
      return Status::Corruption(
          "has " + std::to_string(span.elements) +
          " elements by its dims, but the whole file only " +
          std::to_string(most_elements_) + " bytes");
    }
    const std::vector<int64_t> dims(tensor->dims().begin(),
                                    tensor->dims().end());
    const auto [place, is_first] = pieces_.try_emplace(name);
    TensorPieces& pieces = place->second;
    if (is_first) {
      pieces.type = tensor->data_type();
      pieces.dims = dims;
      pieces.elements = span.elements;
    } else if (pieces.dims != dims || pieces.type != tensor->data_type()) {
      return Status::Corruption(
          "has other dims or another type than the first record of its tensor");
    }
    pieces.spans.emplace_back(span.begin, span.end);
    return Status::Ok();
  }

  const int64_t most_elements_;
  caffe2::Workspace* const workspace_;
  std::set<std::string> whole_;
  std::map<std::string, TensorPieces> pieces_;
};

// `names` null: all that are of a known type.
Status Load(const std::string& path, const std::set<std::string>* names,
            caffe2::Workspace* workspace) {
  InputFile file;
  RETURN_IF_ERROR(file.Open(path));
  MinidbReader reader(&file);
  Loader loader(file.size(), workspace);
  MinidbRecord record;
  const auto in_file = [&](const Status& status) {
    return status.ok() || status.kind() == Status::Kind::kIoError
               ? status
               : Status::Corruption(path + ": " + status.message());
  };
  while (!reader.AtEnd()) {
    RETURN_IF_ERROR(in_file(reader.Peek(&record)));
    const std::string name(MinidbBlobName(record.key));
    if (names != nullptr && names->count(name) == 0) {
      RETURN_IF_ERROR(in_file(reader.Skip()));
      continue;
    }
    RETURN_IF_ERROR(in_file(reader.Next(&record)));
    const std::string place = "record '" + ShownKey(record.key) + "'";
    const MessageScan scan =
        ScanMessage(schema::kBlobProto, place, record.value.data(),
                    record.value.size(), record.value_offset);
    if (scan.broken) {
      return Status::Corruption(path + ": " + scan.fault.ToString());
    }
    const std::string type = TypeOf(record.value);
    if (!IsKnown(type)) {
      if (names == nullptr) continue;
      return Status::Corruption(
          path + ": " + place + ": found a blob of the type '" +
          ShownKey(type) +
          "', expected Tensor, QTensor, Int8TensorCPU or std::string");
    }
    const Status taken = loader.Take(name, type, record.value);
    if (!taken.ok()) {
      return Status::Corruption(path + ": " + place + ": " + taken.message());
    }
  }
  RETURN_IF_ERROR(in_file(loader.Finish()));
  if (names == nullptr) return Status::Ok();
  for (const std::string& name : *names) {
    if (!loader.Has(name)) {
      return Status::Corruption(path + ": there is no record '" +
                                ShownKey(name) +
                                "', expected one for each parameter");
    }
  }
  return Status::Ok();
}

}  // namespace

std::string ShownKey(std::string_view key) {
  constexpr std::size_t kLongest = 64;
  std::string text;
  for (const char c : key.substr(0, kLongest)) {
    text += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return text + (key.size() > kLongest ? "..." : "");
}

bool BeginsAsBlobMinidb(const std::string& path) {
  constexpr std::size_t kHeadBytes = std::size_t{64} << 10;
  InputFile file;
  if (!file.Open(path).ok()) return false;
  const std::size_t size = std::min(file.size(), kHeadBytes);
  const uint8_t* bytes = nullptr;
  return file.Read(0, size, &bytes).ok() && LooksLikeMinidb(bytes, size);
}

Status LoadBlobs(const std::string& path, const std::vector<std::string>& names,
                 caffe2::Workspace* workspace) {
  const std::set<std::string> wanted(names.begin(), names.end());
  return Load(path, &wanted, workspace);
}

Status LoadAllBlobs(const std::string& path, caffe2::Workspace* workspace) {
  return Load(path, nullptr, workspace);
}

Status LoadBlob(const std::string& name, std::string_view bytes,
                caffe2::Workspace* workspace) {
  Loader loader(bytes.size(), workspace);
  RETURN_IF_ERROR(loader.Take(name, TypeOf(bytes), bytes));
  return loader.Finish();
}

}  // namespace caffe2_quantization
