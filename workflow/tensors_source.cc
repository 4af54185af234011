// A TensorProtos: one message with the whole data.
#include "base/return_if_error.h"
#include "caffe2/core/context.h"
#include "caffe2/core/tensor.h"
#include "netdef/load_net.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {
namespace {

using caffe2::Tensor;

class TensorsSource final : public BatchSource {
 public:
  explicit TensorsSource(const std::string& path)
      : BatchSource("TensorProtos", path) {
    has_names_ = true;
  }

  Status Open(const WantedBlobs& wanted) {
    RETURN_IF_ERROR(ReadTensors(path_, &tensors_, &names_));
    RETURN_IF_ERROR(ChooseBlobs(wanted));
    for (const std::string& name : blobs_) {
      RETURN_IF_ERROR(CheckRows(name));
    }
    return Status::Ok();
  }

 private:
  Status CheckRows(const std::string& name) {
    const Tensor& tensor = tensors_.GetBlob(name)->Get<Tensor>();
    const std::string subject = path_ + ": tensor '" + name + "'";
    if (tensor.dim() == 0 || tensor.numel() == 0) {
      return Status::InvalidArgument(subject + " has the shape " +
                                     DimsText(tensor.sizes().vec()) +
                                     ", expected at least one sample");
    }
    if (samples_ != 0 && tensor.size(0) != samples_) {
      return Status::InvalidArgument(
          subject + " has " + std::to_string(tensor.size(0)) +
          " rows, expected " + std::to_string(samples_) +
          " as those before it");
    }
    samples_ = tensor.size(0);
    return Status::Ok();
  }

  Status ReadSamples(int64_t count, caffe2::Workspace* workspace) override {
    for (const std::string& name : blobs_) {
      const Tensor& all = tensors_.GetBlob(name)->Get<Tensor>();
      const std::vector<int64_t> shape = all.sizes().slice(1).vec();
      void* data = nullptr;
      RETURN_IF_ERROR(
          MakeBatch(path_, name, count, shape, all.dtype(), workspace, &data));
      const int64_t row = all.numel() / samples_;
      const char* source =
          static_cast<const char*>(all.raw_data()) +
          position() * row * static_cast<int64_t>(all.itemsize());
      caffe2::CPUContext context;
      context.CopyItemsSameDevice(all.dtype(), static_cast<size_t>(count * row),
                                  source, data);
    }
    return Status::Ok();
  }

  Status SkipSamples(int64_t count) override { return Status::Ok(); }
  Status GoToStart() override { return Status::Ok(); }

  caffe2::Workspace tensors_;
};

}  // namespace

Status OpenTensorsSource(const std::string& path, const WantedBlobs& wanted,
                         std::unique_ptr<BatchSource>* source) {
  auto opened = std::make_unique<TensorsSource>(path);
  RETURN_IF_ERROR(opened->Open(wanted));
  *source = std::move(opened);
  return Status::Ok();
}

}  // namespace caffe2_quantization
