// A folder of images, by name: (scale * pixel - mean) / std.
#include <sys/stat.h>

#include <cmath>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/core/tensor.h"
#include "workflow/batch_source.h"
#include "workflow/decode_image.h"

#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

namespace caffe2_quantization {
namespace {

constexpr int64_t kMaxSide = 65536;

class ImageSource final : public BatchSource {
 public:
  ImageSource(const DataOptions& options, const std::vector<std::string>& files)
      : BatchSource("images", options.path),
        options_(options.images),
        files_(files),
        height_(options.images.height),
        width_(options.images.width),
        channels_(options.images.color == ImageOptions::Color::kGray ? 1 : 3) {
    samples_ = static_cast<int64_t>(files.size());
  }

  Status Open(const DataOptions& options, const WantedBlobs& wanted) {
    RETURN_IF_ERROR(CheckOptions());
    std::string input;
    RETURN_IF_ERROR(ChooseInput(options, "images", wanted, &input));
    names_ = {input};
    RETURN_IF_ERROR(ChooseBlobs(wanted));
    if (height_ != 0) return Status::Ok();
    Pixels first;
    RETURN_IF_ERROR(Load(files_[0], &first));
    height_ = first.height;
    width_ = first.width;
    return Status::Ok();
  }

 private:
  Status CheckOptions() {
    if (options_.height < 0 || options_.width < 0 ||
        options_.height > kMaxSide || options_.width > kMaxSide ||
        (options_.height == 0) != (options_.width == 0)) {
      return Status::InvalidArgument(
          "the image size is " + std::to_string(options_.height) + "x" +
          std::to_string(options_.width) + ", expected 1x1 to " +
          std::to_string(kMaxSide) + "x" + std::to_string(kMaxSide));
    }
    RETURN_IF_ERROR(Spread("mean", options_.mean, 0, &mean_));
    RETURN_IF_ERROR(Spread("std", options_.std, 1, &std_));
    for (const double value : std_) {
      if (value == 0) {
        return Status::InvalidArgument("std is 0, expected another number");
      }
    }
    if (!std::isfinite(options_.scale)) {
      return Status::InvalidArgument("scale is " +
                                     std::to_string(options_.scale) +
                                     ", expected a finite number");
    }
    return Status::Ok();
  }

  // One value for each channel.
  Status Spread(const char* what, const std::vector<double>& given,
                double value, std::vector<double>* spread) const {
    if (given.size() > 1 && static_cast<int64_t>(given.size()) != channels_) {
      return Status::InvalidArgument(
          std::string(what) + " has " + std::to_string(given.size()) +
          " numbers, expected 1" +
          (channels_ == 1 ? ", as there is one channel"
                          : " or " + std::to_string(channels_) +
                                ", one for each channel"));
    }
    for (const double each : given) {
      if (!std::isfinite(each)) {
        return Status::InvalidArgument(std::string(what) + " is " +
                                       std::to_string(each) +
                                       ", expected a finite number");
      }
    }
    *spread = given;
    if (given.size() <= 1) {
      spread->assign(static_cast<size_t>(channels_),
                     given.empty() ? value : given[0]);
    }
    return Status::Ok();
  }

  Status Load(const std::string& path, Pixels* pixels) const {
    InputFile file;
    RETURN_IF_ERROR(file.Open(path));
    if (file.size() > (1u << 30)) {
      return Status::OutOfRange(path + ": " + std::to_string(file.size()) +
                                " bytes, expected at most 1 GiB");
    }
    const uint8_t* bytes = nullptr;
    RETURN_IF_ERROR(file.Read(0, file.size(), &bytes));
    const Status status =
        DecodeImage(bytes, file.size(), static_cast<int>(channels_), pixels);
    return status.ok() ? status
                       : Status::Corruption(path + ": " + status.message());
  }

  Status Fit(const std::string& path, Pixels* pixels) const {
    if (pixels->height == height_ && pixels->width == width_) {
      return Status::Ok();
    }
    const std::string found =
        std::to_string(pixels->height) + "x" + std::to_string(pixels->width);
    const std::string wanted =
        std::to_string(height_) + "x" + std::to_string(width_);
    if (options_.height == 0) {
      return Status::InvalidArgument(
          path + ": " + found + " pixels, expected " + wanted + " as " +
          files_[0] + "; give a size that all are brought to");
    }
    Pixels resized;
    resized.height = height_;
    resized.width = width_;
    resized.values.resize(static_cast<size_t>(height_ * width_ * channels_));
    if (stbir_resize_uint8(
            pixels->values.data(), static_cast<int>(pixels->width),
            static_cast<int>(pixels->height), 0, resized.values.data(),
            static_cast<int>(width_), static_cast<int>(height_), 0,
            static_cast<int>(channels_)) == 0) {
      return Status::OutOfRange(path + ": cannot bring " + found +
                                " pixels to " + wanted);
    }
    *pixels = std::move(resized);
    return Status::Ok();
  }

  // Writes one image's floats.
  void Convert(const Pixels& pixels, float* values) const {
    const bool is_nchw = options_.layout == ImageOptions::Layout::kNchw;
    const int64_t area = height_ * width_;
    for (int64_t c = 0; c < channels_; ++c) {
      const int64_t from =
          options_.color == ImageOptions::Color::kBgr ? channels_ - 1 - c : c;
      const double mean = mean_[static_cast<size_t>(c)];
      const double std = std_[static_cast<size_t>(c)];
      float of_pixel[256];
      for (int value = 0; value < 256; ++value) {
        of_pixel[value] =
            static_cast<float>((options_.scale * value - mean) / std);
      }
      const unsigned char* source = pixels.values.data() + from;
      for (int64_t i = 0; i < area; ++i) {
        values[is_nchw ? c * area + i : i * channels_ + c] =
            of_pixel[source[i * channels_]];
      }
    }
  }

  Status ReadSamples(int64_t count, caffe2::Workspace* workspace) override {
    const std::vector<int64_t> shape =
        options_.layout == ImageOptions::Layout::kNchw
            ? std::vector<int64_t>{channels_, height_, width_}
            : std::vector<int64_t>{height_, width_, channels_};
    void* data = nullptr;
    RETURN_IF_ERROR(MakeBatch(path_, blobs_[0], count, shape,
                              caffe2::TypeMeta::Make<float>(), workspace,
                              &data));
    for (int64_t row = 0; row < count; ++row) {
      const auto index = static_cast<size_t>(position() + row);
      const std::string& file = files_[index];
      // A decoder may take a file that was cut for a whole one.
      DataFile now;
      RETURN_IF_ERROR(DescribeFile(file, &now));
      if (now.size != files()[index].size) return CheckFiles();
      Pixels pixels;
      RETURN_IF_ERROR(Load(file, &pixels));
      RETURN_IF_ERROR(Fit(file, &pixels));
      Convert(pixels,
              static_cast<float*>(data) + row * channels_ * height_ * width_);
    }
    return Status::Ok();
  }
  Status SkipSamples(int64_t count) override { return Status::Ok(); }
  Status GoToStart() override { return Status::Ok(); }

  const ImageOptions options_;
  const std::vector<std::string> files_;
  int64_t height_, width_;
  const int64_t channels_;
  std::vector<double> mean_, std_;  // of each channel
};

}  // namespace

Status OpenImageSource(const DataOptions& options,
                       const std::vector<std::string>& files,
                       const WantedBlobs& wanted,
                       std::unique_ptr<BatchSource>* source) {
  auto opened = std::make_unique<ImageSource>(options, files);
  RETURN_IF_ERROR(opened->Open(options, wanted));
  *source = std::move(opened);
  return Status::Ok();
}

}  // namespace caffe2_quantization
