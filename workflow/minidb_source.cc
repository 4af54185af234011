// A minidb of samples: each record a TensorProtos with one sample, a tensor for
// each of its blobs. Tensors without names are those of the net's inputs, in
// order.
#include "base/return_if_error.h"
#include "caffe2/core/context.h"
#include "caffe2/core/tensor.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/load_net.h"
#include "serialization/minidb_reader.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {
namespace {

using caffe2::Tensor;

// Keys are any bytes; this is for a message.
std::string Shown(std::string_view key) {
  std::string text;
  for (const char c : key.substr(0, 64)) {
    text += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return text + (key.size() > 64 ? "..." : "");
}

class MinidbSource final : public BatchSource {
 public:
  explicit MinidbSource(const std::string& path) : BatchSource("minidb", path) {
    has_names_ = true;
  }

  Status Open(const DataOptions& options, const WantedBlobs& wanted) {
    RETURN_IF_ERROR(file_.Open(path_));
    RETURN_IF_ERROR(GoToStart());
    MinidbRecord record;
    RETURN_IF_ERROR(NextRecord(&record));
    RETURN_IF_ERROR(NameTensors(record, options, wanted));
    RETURN_IF_ERROR(ChooseBlobs(wanted));
    // Counts the records, whose sizes are all checked then.
    samples_ = 1;
    while (!reader_->AtEnd()) {
      RETURN_IF_ERROR(InFile(reader_->Skip()));
      ++samples_;
    }
    return GoToStart();
  }

 private:
  Status Broken(const MinidbRecord& record, const std::string& what) const {
    return Status::Corruption(path_ + ": record '" + Shown(record.key) +
                              "' (offset " + std::to_string(record.offset) +
                              "): " + what);
  }

  Status NextRecord(MinidbRecord* record) {
    return InFile(reader_->Next(record));
  }

  // What the system says of the file names it already.
  Status InFile(const Status& status) const {
    return status.ok() || status.kind() == Status::Kind::kIoError
               ? status
               : Status::Corruption(path_ + ": " + status.message());
  }

  // The names and the number of tensors are those of the first record.
  Status NameTensors(const MinidbRecord& record, const DataOptions& options,
                     const WantedBlobs& wanted) {
    RETURN_IF_ERROR(Parse(record));
    std::vector<std::string> in_order = wanted.free_inputs;
    if (!options.input.empty()) {
      in_order.resize(1);
      RETURN_IF_ERROR(ChooseInput(options, form(), wanted, &in_order[0]));
    }
    in_order.insert(in_order.end(), wanted.extras.begin(), wanted.extras.end());
    for (int i = 0; i < message_.protos_size(); ++i) {
      std::string name = message_.protos(i).name();
      if (name.empty()) {
        has_names_ = false;
        const auto index = static_cast<size_t>(i);
        name = index < in_order.size() ? in_order[index]
                                       : "tensor " + std::to_string(i);
      }
      if (Contains(names_, name)) {
        return Broken(record, "two of its tensors are called '" + name + "'");
      }
      names_.push_back(name);
    }
    return Status::Ok();
  }

  // Fills message_ with the record's tensors.
  Status Parse(const MinidbRecord& record) {
    message_.Clear();
    if (!message_.ParseFromArray(record.value.data(),
                                 static_cast<int>(record.value.size())) ||
        message_.protos_size() == 0) {
      return Broken(record, "its value is no TensorProtos, expected a sample");
    }
    return Status::Ok();
  }

  Status ReadSamples(int64_t count, caffe2::Workspace* workspace) override {
    for (int64_t row = 0; row < count; ++row) {
      MinidbRecord record;
      RETURN_IF_ERROR(NextRecord(&record));
      RETURN_IF_ERROR(Parse(record));
      if (message_.protos_size() != static_cast<int>(names_.size())) {
        return Broken(
            record, "it has " + std::to_string(message_.protos_size()) +
                        " tensors, expected " + std::to_string(names_.size()) +
                        " as the first record");
      }
      for (int i = 0; i < message_.protos_size(); ++i) {
        const std::string& name = names_[static_cast<size_t>(i)];
        if (!Contains(blobs_, name)) continue;
        const caffe2::TensorProto& proto = message_.protos(i);
        const std::string subject = "its tensor '" + name + "' ";
        if (!proto.name().empty() && proto.name() != name) {
          return Broken(record, "its tensor " + std::to_string(i) +
                                    " is called '" + proto.name() +
                                    "', expected '" + name +
                                    "' as in the first record");
        }
        Tensor sample(caffe2::CPU);
        const Status status = DeserializeTensor(proto, &sample);
        if (!status.ok()) return Broken(record, subject + status.message());
        const Status placed = Place(sample, name, row, count, workspace);
        if (!placed.ok()) return Broken(record, subject + placed.message());
      }
    }
    return Status::Ok();
  }

  // Copies a sample into row `row` of the batch, which the first row makes.
  Status Place(const Tensor& sample, const std::string& name, int64_t row,
               int64_t count, caffe2::Workspace* workspace) {
    if (sample.numel() == 0) {
      return Status::Corruption("is empty, expected a sample");
    }
    void* data = nullptr;
    if (row == 0) {
      RETURN_IF_ERROR(MakeBatch(path_, name, count, sample.sizes().vec(),
                                sample.dtype(), workspace, &data));
    } else {
      auto* batch =
          caffe2::BlobGetMutableTensor(workspace->GetBlob(name), caffe2::CPU);
      if (sample.sizes() != batch->sizes().slice(1) ||
          sample.dtype() != batch->dtype()) {
        return Status::Corruption("is " + std::string(sample.dtype().name()) +
                                  " " + DimsText(sample.sizes().vec()) +
                                  ", expected " +
                                  std::string(batch->dtype().name()) + " " +
                                  DimsText(batch->sizes().slice(1).vec()) +
                                  " as those before it in the batch");
      }
      data = batch->raw_mutable_data(batch->dtype());
    }
    caffe2::CPUContext context;
    context.CopyItemsSameDevice(
        sample.dtype(), static_cast<size_t>(sample.numel()), sample.raw_data(),
        static_cast<char*>(data) + row * static_cast<int64_t>(sample.nbytes()));
    return Status::Ok();
  }

  Status SkipSamples(int64_t count) override {
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(InFile(reader_->Skip()));
    }
    return Status::Ok();
  }
  Status GoToStart() override {
    reader_ = std::make_unique<MinidbReader>(&file_);
    return Status::Ok();
  }

  InputFile file_;
  std::unique_ptr<MinidbReader> reader_;
  caffe2::TensorProtos message_;
};

}  // namespace

Status OpenMinidbSource(const DataOptions& options, const WantedBlobs& wanted,
                        std::unique_ptr<BatchSource>* source) {
  auto opened = std::make_unique<MinidbSource>(options.path);
  RETURN_IF_ERROR(opened->Open(options, wanted));
  *source = std::move(opened);
  return Status::Ok();
}

}  // namespace caffe2_quantization
