#include "operators/qtensor_load_op.h"

#include <set>
#include <unordered_map>
#include <utility>

#include "base/return_if_error.h"
#include "caffe2/core/workspace.h"
#include "caffe2/operators/load_save_op_util.h"
#include "operators/registration.h"
#include "serialization/minidb_reader.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

constexpr char kMinidb[] = "minidb";
constexpr char kFile[] = "file";

// The two fields of a BlobProto that say how to read it, where they stand.
struct BlobHeader {
  std::string_view name;
  std::string_view type;
};

Status ReadBlobHeader(std::string_view bytes, BlobHeader* header) {
  WireReader reader(bytes.data(), bytes.size());
  WireField field;
  while (!reader.AtEnd()) {
    RETURN_IF_ERROR(reader.Next(&field));
    if (field.type != WireType::kBytes) continue;
    const auto text = [&] {
      return std::string_view(reinterpret_cast<const char*>(field.begin),
                              field.size());
    };
    if (field.number == caffe2::BlobProto::kNameFieldNumber) {
      header->name = text();
    } else if (field.number == caffe2::BlobProto::kTypeFieldNumber) {
      header->type = text();
    }
  }
  return Status::Ok();
}

}  // namespace

// One run: the blobs read so far, none of which is in the workspace yet.
class QTensorLoadOp::Loading {
 public:
  explicit Loading(QTensorLoadOp* op) : op_(*op) {}

  void ReadFile(const std::string& path) {
    InputFile file;
    const Status opened = file.Open(path);
    if (!opened.ok()) Fail(opened.message());
    std::string type = op_.db_type_;
    if (type.empty()) type = IsMinidb(MinidbReader(&file)) ? kMinidb : kFile;
    where_ = "'" + path + "' (read as " + type + ")";
    std::set<std::string> names;
    if (type == kFile) {
      names.insert(ReadFileOfOneBlob(&file));
    } else {
      MinidbReader reader(&file);
      while (!reader.AtEnd()) names.insert(ReadRecord(&reader, &file));
    }
    where_record_.clear();
    seen_.insert(names.begin(), names.end());
  }

  // Every blob is there: puts them where they belong.
  void Commit() {
    caffe2::load_save_op_util::validateBlobStates(states_);
    CheckComplete();
    if (op_.load_all_) {
      for (auto& [name, blob] : blobs_) {
        op_.workspace_->CreateBlob(name)->swap(blob);
      }
      return;
    }
    for (auto& [name, blob] : blobs_) {
      op_.Outputs()[op_.output_of_.at(name)]->swap(blob);
    }
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    CAFFE_THROW(op_.type(), ": ", what);
  }

  std::string NameOf(const std::string& key) const {
    return caffe2::load_save_op_util::buildBlobNameFromDbKey(
        key, op_.strip_prefix_, op_.add_prefix_);
  }
  bool IsWanted(const std::string& name) const {
    return op_.load_all_ || op_.output_of_.count(name) != 0;
  }

  // Both return the blob's name; chunks of a blob share one.
  std::string ReadFileOfOneBlob(InputFile* file) {
    std::unique_ptr<QTensorCPU> tensor;
    std::string key;
    Check(StreamQTensor(file, 0, file->size(), &tensor, &key));
    std::string_view bytes;
    if (tensor == nullptr) {
      bytes = Bytes(file, 0, file->size());
      BlobHeader header;
      const Status status = ReadBlobHeader(bytes, &header);
      if (!status.ok()) Fail(where_ + ": BlobProto, " + status.message());
      if (header.name.empty() && header.type.empty()) {
        Fail(where_ + ": a BlobProto without name and type, expected a blob");
      }
      key = std::string(header.name);
    }
    const std::string name = NameOf(key);
    if (IsWanted(name)) ReadBlob(name, bytes, std::move(tensor));
    return name;
  }

  // Of a blob that is not wanted the name alone is read.
  std::string ReadRecord(MinidbReader* reader, InputFile* file) {
    MinidbRecord record;
    Check(reader->Peek(&record));
    const std::string name = NameOf(std::string(record.key));
    Check(reader->Skip());
    if (!IsWanted(name)) return name;
    where_record_ = ", record at offset " + std::to_string(record.offset);
    std::unique_ptr<QTensorCPU> tensor;
    Check(StreamQTensor(file, record.value_offset, record.value_size, &tensor,
                        nullptr));
    std::string_view bytes;
    if (tensor == nullptr) {
      bytes = Bytes(file, record.value_offset, record.value_size);
    }
    ReadBlob(name, bytes, std::move(tensor));
    return name;
  }

  void Check(const Status& status) const {
    if (!status.ok()) Fail(where_ + ": " + status.message());
  }

  std::string_view Bytes(InputFile* file, std::size_t offset,
                         std::size_t size) const {
    const uint8_t* bytes = nullptr;
    Check(file->Read(offset, size, &bytes));
    return {reinterpret_cast<const char*>(bytes), size};
  }

  // `tensor` is there already, or made of the bytes.
  void ReadBlob(const std::string& name, std::string_view bytes,
                std::unique_ptr<QTensorCPU> tensor) {
    const std::string where = where_ + where_record_ + ", blob '" + name + "'";
    if (seen_.count(name) != 0) {
      Fail(where + " is in an earlier file too, expected in one");
    }
    if (tensor == nullptr) {
      BlobHeader header;
      const Status status = ReadBlobHeader(bytes, &header);
      if (!status.ok()) Fail(where + ": BlobProto, " + status.message());
      if (header.type != kQTensorBlobType) {
        ReadByTheHost(name, bytes, where);
        return;
      }
    }
    if (blobs_.count(name) != 0) {
      Fail(where + " is there twice, expected once");
    }
    if (tensor == nullptr) {
      const Status status =
          QTensorFromBytes(bytes.data(), bytes.size(), &tensor, nullptr);
      if (!status.ok()) Fail(where + ": " + status.message());
    }
    blobs_[name].Reset(tensor.release());
    qtensors_.insert(name);
  }

  void ReadByTheHost(const std::string& name, std::string_view bytes,
                     const std::string& where) {
    if (qtensors_.count(name) != 0) {
      Fail(where + " is there twice, expected once");
    }
    caffe2::BlobProto proto;
    if (bytes.size() > kMaxMessageBytes ||
        !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      Fail(where + ": " + std::to_string(bytes.size()) +
           " bytes that are no BlobProto");
    }
    if (!op_.keep_device_ && proto.has_tensor()) {
      proto.mutable_tensor()->clear_device_detail();
      proto.mutable_tensor()->mutable_device_detail()->set_device_type(
          caffe2::PROTO_CPU);
    }
    int loaded = 0;
    try {
      caffe2::load_save_op_util::ProcessBlob(&blobs_[name], proto, &states_,
                                             name, &loaded);
    } catch (const std::exception& error) {
      Fail(where + ", type '" + proto.type() + "': " + error.what());
    }
  }

  void CheckComplete() const {
    if (op_.load_all_) {
      for (const std::string& name : op_.debug_def().output()) {
        if (blobs_.count(name) == 0) FailMissing(name);
      }
    } else if (!op_.allow_incomplete_) {
      for (const auto& [name, output] : op_.output_of_) {
        if (blobs_.count(name) == 0) FailMissing(name);
      }
    }
  }

  [[noreturn]] void FailMissing(const std::string& name) const {
    std::string found;
    int listed = 0;
    for (const std::string& each : seen_) {
      if (++listed > 8) {
        found += " and " + std::to_string(seen_.size() - 8) + " more";
        break;
      }
      found += (listed == 1 ? "'" : ", '") + each + "'";
    }
    Fail("blob '" + name + "' is in none of the files, last " + where_ +
         ", which hold " + (found.empty() ? "none" : found));
  }

  QTensorLoadOp& op_;
  std::string where_;         // the file, in errors
  std::string where_record_;  // the record in it
  std::map<std::string, caffe2::Blob> blobs_;
  std::set<std::string> qtensors_;
  std::set<std::string> seen_;  // in the files read to their end
  // Of the host, which knows by it when the last chunk of a tensor was read.
  std::unordered_map<std::string, caffe2::load_save_op_util::BlobState> states_;
};

QTensorLoadOp::QTensorLoadOp(const caffe2::OperatorDef& definition,
                             caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      workspace_(workspace),
      paths_(GetRepeatedArgument<std::string>("dbs")),
      db_type_(GetSingleArgument<std::string>("db_type", "")),
      strip_prefix_(GetSingleArgument<std::string>("strip_prefix", "")),
      add_prefix_(GetSingleArgument<std::string>("add_prefix", "")),
      load_all_(GetSingleArgument<bool>("load_all", false)),
      allow_incomplete_(GetSingleArgument<bool>("allow_incomplete", false)),
      keep_device_(GetSingleArgument<bool>("keep_device", false)) {
  CAFFE_ENFORCE(HasArgument("db") != HasArgument("dbs"), type(),
                ": expected one of the arguments db and dbs");
  if (HasArgument("db")) {
    paths_ = {GetSingleArgument<std::string>("db", "")};
  }
  std::set<std::string> given;
  for (std::string& path : paths_) {
    CAFFE_ENFORCE(!path.empty(), type(), ": a file name is empty");
    CAFFE_ENFORCE(given.insert(path).second, type(), ": file '", path,
                  "' is given twice");
    if (!GetSingleArgument<bool>("absolute_path", false)) {
      path = workspace->RootFolder() + "/" + path;
    }
  }
  CAFFE_ENFORCE(!paths_.empty(), type(), ": argument dbs is empty");
  CAFFE_ENFORCE(db_type_.empty() || db_type_ == kMinidb || db_type_ == kFile,
                type(), ": db_type is '", db_type_,
                "', expected 'minidb', 'file' or none");

  auto sources = GetRepeatedArgument<std::string>("source_blob_names");
  CAFFE_ENFORCE(sources.empty() || !load_all_, type(),
                ": source_blob_names names some blobs, load_all asks for all");
  CAFFE_ENFORCE(sources.empty() || strip_prefix_.empty(), type(),
                ": strip_prefix and source_blob_names exclude each other");
  if (load_all_) return;
  if (sources.empty()) {
    sources.assign(definition.output().begin(), definition.output().end());
  }
  CAFFE_ENFORCE_EQ(static_cast<int>(sources.size()), OutputSize(), type(),
                   ": source_blob_names has ", sources.size(),
                   " names, expected ", OutputSize(), ", one an output");
  CAFFE_ENFORCE(!sources.empty(), type(),
                ": expected outputs, or the argument load_all");
  for (std::size_t i = 0; i < sources.size(); ++i) {
    CAFFE_ENFORCE(output_of_.emplace(sources[i], static_cast<int>(i)).second,
                  type(), ": blob '", sources[i], "' is asked for twice");
  }
}

bool QTensorLoadOp::RunOnDevice() {
  Loading loading(this);
  for (const std::string& path : paths_) loading.ReadFile(path);
  loading.Commit();
  return true;
}

void RegisterQTensorLoad() {
  RegisterCpuOperator<QTensorLoadOp>("QTensorLoad");
  RegisterNoGradient("QTensorLoad");
  CAFFE2_QUANTIZATION_SCHEMA("QTensorLoad")
      .NumInputs(0)
      .NumOutputs(0, INT_MAX)
      .SetDoc(
          "Loads blobs of a minidb, or of files of one BlobProto, as Load "
          "does; QTensors without protobuf, at memory speed. Either all "
          "of them or none.")
      .Arg("db", "The file.")
      .Arg("dbs", "Or several files.")
      .Arg("db_type",
           "'minidb', or 'file' for one BlobProto. Default: by the "
           "bytes.")
      .Arg("absolute_path",
           "1: db is a path as it stands. Default: below the "
           "workspace's root folder.")
      .Arg("load_all", "1: every blob of the files, into the workspace.")
      .Arg("source_blob_names",
           "Names in the files, one an output. Default: "
           "the outputs' names.")
      .Arg("strip_prefix", "Cut off the names, up to and with this.")
      .Arg("add_prefix", "Put before the names.")
      .Arg("allow_incomplete",
           "1: outputs that no file holds keep what they "
           "had.")
      .Arg("keep_device", "1: tensors go to the device that the file names.");
}

}  // namespace caffe2_quantization
