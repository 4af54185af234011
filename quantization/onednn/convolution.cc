#include "quantization/onednn/convolution.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/return_if_error.h"
#include "quantization/kernels/im2col.h"
#include "quantization/kernels/transpose.h"
#include "quantization/onednn/parallel.h"
#include "quantization/onednn/scratch.h"
#include "quantization/onednn/thread_share.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

// What a chunk reads: it stays in the second-level cache, beside weights.
constexpr int64_t kChunkBytes = 256 << 10;
// Input that is transposed at once, if that is more than an image.
constexpr int64_t kTransposedBytes = 4 << 20;
// Lines that a depthwise convolution copies, and sums that it makes, at once:
// the latter stay in the first-level cache.
constexpr int64_t kLinesBytes = 128 << 10;
constexpr int64_t kLineSumsBytes = 16 << 10;
constexpr int64_t kMostLineBytes = int64_t{1} << 30;
constexpr int64_t kCacheLine = 64;

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t RoundUp(int64_t a, int64_t b) { return DivideUp(a, b) * b; }

// Each byte so often; count bytes are written.
template <int64_t kTimes>
void Repeat(const uint8_t* src, int64_t count, uint8_t* dst) {
  for (int64_t i = 0; i < count / kTimes; ++i) {
    for (int64_t j = 0; j < kTimes; ++j) dst[i * kTimes + j] = src[i];
  }
}

}  // namespace

// One call of Convolve. What it reads lies in NHWC order, transposed if need
// be, a run of images at a time.
class Convolution {
 public:
  Convolution(const PackedFilter& filter, const ConvolutionShape& shape,
              int32_t x_zero_point, const kernels::OutputStage& stage)
      : filter_(filter),
        shape_(shape),
        x_zero_point_(static_cast<uint8_t>(x_zero_point)),
        stage_(stage),
        blocks_(filter.depthwise_ != nullptr
                    ? 1
                    : static_cast<int64_t>(filter.matrices_.size())) {
    for (int i = 0; i < 3; ++i) {
      const int from = i - (3 - shape.dims);
      windows_.input[i] = from < 0 ? 1 : shape.input[from];
      windows_.output[i] = from < 0 ? 1 : shape.Output(from);
      windows_.kernel[i] = from < 0 ? 1 : shape.kernel[from];
      windows_.stride[i] = from < 0 ? 1 : shape.stride[from];
      windows_.dilation[i] = from < 0 ? 1 : shape.dilation[from];
      windows_.pad[i] = from < 0 ? 0 : shape.pad_begin[from];
    }
    windows_.channels = shape.in_channels / blocks_;
    windows_.pixel_stride = shape.in_channels;
    image_pixels_ = shape.InputPixels();
    pixels_ = windows_.pixels();
    stage_.columns = shape.out_channels / blocks_;
    stage_.weight_zero_points = nullptr;
    // Windows are the pixels themselves.
    in_place_ = blocks_ == 1 && filter.depthwise_ == nullptr &&
                windows_.taps() == 1 &&
                windows_.stride == std::array<int64_t, 3>{1, 1, 1} &&
                windows_.output == windows_.input &&
                windows_.pad == std::array<int64_t, 3>{0, 0, 0};
  }

  Status Run(const uint8_t* x, uint8_t* dst) {
    if (!shape_.channels_first) {
      if (in_place_) {
        // All images are one.
        pixels_ *= shape_.batch;
        return RunImages(x, 1, 0, dst);
      }
      return RunImages(x, shape_.batch, 0, dst);
    }
    const int64_t image = image_pixels_ * shape_.in_channels;
    const int64_t run =
        std::min(shape_.batch, std::max<int64_t>(kTransposedBytes / image, 1));
    thread_local Scratch scratch;
    uint8_t* transposed = nullptr;
    RETURN_IF_ERROR(
        scratch.Get(static_cast<std::size_t>(run * image), &transposed));
    Status status;
    for (int64_t i = 0; i < shape_.batch && status.ok(); i += run) {
      const int64_t images = std::min(run, shape_.batch - i);
      status = Transpose(x + i * image, images, transposed);
      if (status.ok()) status = RunImages(transposed, images, i, dst);
    }
    scratch.GiveBack();
    return status;
  }

 private:
  // [C, pixels] to [pixels, C].
  Status Transpose(const uint8_t* x, int64_t images, uint8_t* dst) const {
    const int64_t channels = shape_.in_channels;
    const int64_t strip =
        RoundUp(std::max<int64_t>(kChunkBytes / 2 / channels, 1), kCacheLine);
    const int64_t strips = DivideUp(image_pixels_, strip);
    return ParallelFor(images * strips, share_.count(), [&](int64_t task) {
      const int64_t first = task % strips * strip;
      const int64_t image = task / strips * image_pixels_ * channels;
      kernels::Transpose(x + image + first, channels,
                         std::min(strip, image_pixels_ - first), image_pixels_,
                         dst + image + first * channels, channels);
      return Status::Ok();
    });
  }

  // Images of an x in NHWC order; first is the number of the first among all.
  Status RunImages(const uint8_t* x, int64_t images, int64_t first,
                   uint8_t* dst) const {
    if (filter_.depthwise_ != nullptr) return RunLines(x, images, first, dst);
    const int64_t row_bytes = filter_.matrices_[0]->k() + CodeBytes(1);
    const int64_t parts = images * blocks_;
    const int64_t rows =
        DivideUp(pixels_, Chunks(parts, pixels_, row_bytes, kChunkBytes));
    const int64_t chunks = DivideUp(pixels_, rows);
    return ParallelFor(parts * chunks, share_.count(), [&](int64_t task) {
      const int64_t block = task % blocks_;
      const int64_t chunk = task / blocks_ % chunks;
      const int64_t image = task / blocks_ / chunks;
      return RunChunk(x + image * image_pixels_ * shape_.in_channels, block,
                      chunk * rows, std::min(rows, pixels_ - chunk * rows),
                      (first + image) * pixels_ * shape_.out_channels, dst);
    });
  }

  // Output pixels [first, first + rows) of an image and the outputs of a block;
  // dst_image is where the image begins in dst.
  Status RunChunk(const uint8_t* image, int64_t block, int64_t first,
                  int64_t rows, int64_t dst_image, uint8_t* dst) const {
    const PackedMatrix& matrix = *filter_.matrices_[block];
    const int64_t k = windows_.taps() * windows_.channels;
    const int64_t outputs = stage_.columns;
    const int64_t column_bytes =
        in_place_ ? 0 : Lines(rows * matrix.k() + kernels::kIm2ColSlack);
    uint8_t* columns = nullptr;
    RETURN_IF_ERROR(OfThisThread().Get(
        static_cast<std::size_t>(column_bytes + CodeBytes(rows)), &columns));
    uint8_t* const codes = columns + column_bytes;

    const uint8_t* a = image + first * shape_.in_channels;
    if (!in_place_) {
      kernels::Im2Col(windows_, image + block * windows_.channels,
                      x_zero_point_, first, rows, columns, matrix.k());
      a = columns;
    }
    const int64_t n = block * outputs;
    kernels::OutputStage stage = stage_;
    stage.multipliers += n;
    if (stage.column_offsets != nullptr) stage.column_offsets += n;
    if (stage.bias != nullptr) stage.bias += n;
    if (stage.wide_offsets != nullptr) stage.wide_offsets += n;
    if (!filter_.zero_points_.empty()) {
      stage.weight_zero_points = filter_.zero_points_.data() + n;
    }
    RETURN_IF_ERROR(Finish(
        n, first, rows, stage, codes, dst_image, dst,
        [&](const kernels::OutputStage& stage, uint8_t* dst, int64_t stride) {
          return MultiplyRowsToCodes(matrix, a, rows, k, stage, dst, stride);
        }));
    OfThisThread().GiveBack();
    return Status::Ok();
  }

  // Calls run(stage, dst, dst_stride), which writes the codes of a block's
  // outputs from n on, for output pixels [first, first + rows), to where they
  // belong, or to `codes` if they must be transposed first.
  template <class Run>
  Status Finish(int64_t n, int64_t first, int64_t rows,
                kernels::OutputStage stage, uint8_t* codes, int64_t dst_image,
                uint8_t* dst, const Run& run) const {
    const int64_t outputs = stage.columns;
    if (!shape_.channels_first) {
      const int64_t place = dst_image + first * shape_.out_channels + n;
      if (stage.addend != nullptr) stage.addend += place;
      return run(stage, dst + place, shape_.out_channels);
    }
    const int64_t place = dst_image + n * pixels_ + first;
    if (stage.addend != nullptr) {
      kernels::Transpose(stage.addend + place, outputs, rows, pixels_, codes,
                         outputs);
      stage.addend = codes;
    }
    RETURN_IF_ERROR(run(stage, codes, outputs));
    kernels::Transpose(codes, rows, outputs, outputs, dst + place, pixels_);
    return Status::Ok();
  }

  // Depthwise: chunks are lines of the output, of one depth.
  Status RunLines(const uint8_t* x, int64_t images, int64_t first,
                  uint8_t* dst) const {
    const int64_t height = windows_.output[1];
    const int64_t planes = images * windows_.output[0];
    const int64_t line_bytes = LineBytes();
    RETURN_IF_ERROR(CheckConvolutionRange("bytes of a padded line", line_bytes,
                                          0, kMostLineBytes));
    const int64_t read =
        (windows_.kernel[0] * windows_.stride[1] + 4) * line_bytes;
    const int64_t lines =
        DivideUp(height, Chunks(planes, height, read, kLinesBytes));
    const int64_t chunks = DivideUp(height, lines);
    return ParallelFor(planes * chunks, share_.count(), [&](int64_t task) {
      const int64_t begin = task % chunks * lines;
      const int64_t depth = task / chunks % windows_.output[0];
      const int64_t image = task / chunks / windows_.output[0];
      return RunLineChunk(x + image * image_pixels_ * shape_.in_channels, depth,
                          begin, std::min(lines, height - begin),
                          (first + image) * pixels_ * shape_.out_channels, dst);
    });
  }

  // A line of the input as far as windows read it, padded.
  int64_t LineBytes() const {
    return ((windows_.output[2] - 1) * windows_.stride[2] +
            windows_.dilation[2] * (windows_.kernel[2] - 1) + 1) *
           shape_.out_channels;
  }

  Status RunLineChunk(const uint8_t* image, int64_t depth, int64_t first,
                      int64_t lines, int64_t dst_image, uint8_t* dst) const {
    const kernels::DepthwiseFilter& filter = *filter_.depthwise_;
    const kernels::Windows& w = windows_;
    const int64_t channels = shape_.out_channels;
    const int64_t width = w.output[2];
    const int64_t line_bytes = LineBytes();
    const bool copies = shape_.in_channels != channels || w.pad[2] > 0 ||
                        line_bytes > w.input[2] * channels;
    // The lines that are read of each depth, as far as there are any.
    const int64_t y = first * w.stride[1] - w.pad[1];
    const int64_t begin = std::max<int64_t>(y, 0);
    const int64_t end =
        std::min(w.input[1], y + (lines - 1) * w.stride[1] +
                                 w.dilation[1] * (w.kernel[1] - 1) + 1);
    const int64_t read = std::max<int64_t>(end - begin, 0);
    const int64_t copied = copies ? w.kernel[0] * read : 0;
    // Sums are made of so many lines at once.
    const int64_t at_once =
        shape_.channels_first
            ? lines
            : std::max<int64_t>(kLineSumsBytes / (width * channels * 4), 1);

    const int64_t lines_bytes = Lines((copied + 1) * line_bytes);
    const int64_t sums_bytes = Lines(at_once * width * channels * 4);
    const int64_t pointers_bytes =
        Lines(filter.rows * static_cast<int64_t>(sizeof(uint8_t*)));
    uint8_t* padding = nullptr;
    RETURN_IF_ERROR(OfThisThread().Get(
        static_cast<std::size_t>(lines_bytes + sums_bytes + pointers_bytes +
                                 CodeBytes(at_once * width)),
        &padding));
    uint8_t* const copy = padding + line_bytes;
    auto* const sums = reinterpret_cast<int32_t*>(padding + lines_bytes);
    auto** const pointers =
        reinterpret_cast<const uint8_t**>(padding + lines_bytes + sums_bytes);
    uint8_t* const codes = padding + lines_bytes + sums_bytes + pointers_bytes;

    std::fill_n(padding, line_bytes, x_zero_point_);
    const int64_t z = depth * w.stride[0] - w.pad[0];
    const auto line_of = [&](int64_t plane, int64_t line) {
      return image +
             (plane * w.input[1] + line) * w.input[2] * shape_.in_channels;
    };
    for (int64_t i = 0; i < (copies ? w.kernel[0] : 0); ++i) {
      const int64_t plane = z + i * w.dilation[0];
      if (plane < 0 || plane >= w.input[0]) continue;
      for (int64_t line = begin; line < end; ++line) {
        CopyLine(line_of(plane, line), line_bytes,
                 copy + (i * read + line - begin) * line_bytes);
      }
    }
    for (int64_t l = 0; l < lines; l += at_once) {
      const int64_t now = std::min(at_once, lines - l);
      for (int64_t j = 0; j < now; ++j) {
        for (int64_t row = 0; row < filter.rows; ++row) {
          const int64_t i = row / w.kernel[1];
          const int64_t plane = z + i * w.dilation[0];
          const int64_t line =
              y + (l + j) * w.stride[1] + row % w.kernel[1] * w.dilation[1];
          const bool inside = plane >= 0 && plane < w.input[0] && line >= 0 &&
                              line < w.input[1];
          pointers[row] = !inside ? padding
                          : copies
                              ? copy + (i * read + line - begin) * line_bytes
                              : line_of(plane, line);
        }
        kernels::DepthwiseSums(filter, pointers, w.dilation[2] * channels,
                               w.stride[2] * channels, width,
                               sums + j * width * channels);
      }
      RETURN_IF_ERROR(Finish(
          0, (depth * w.output[1] + first + l) * width, now * width, stage_,
          codes, dst_image, dst,
          [&](const kernels::OutputStage& stage, uint8_t* dst, int64_t stride) {
            kernels::SumsToCodes(sums, channels, nullptr, now * width, stage,
                                 dst, stride);
            return Status::Ok();
          }));
    }
    OfThisThread().GiveBack();
    return Status::Ok();
  }

  // A line with its padding, and each channel as often as it has outputs.
  void CopyLine(const uint8_t* src, int64_t line_bytes, uint8_t* dst) const {
    const int64_t channels = shape_.out_channels;
    const int64_t repeats = channels / shape_.in_channels;
    const int64_t before = std::min(windows_.pad[2] * channels, line_bytes);
    const int64_t inside =
        std::min(windows_.input[2] * channels, line_bytes - before);
    std::fill_n(dst, before, x_zero_point_);
    static_assert(PackedFilter::kMostRepeats == 4, "a case for each");
    switch (repeats) {
      case 1:
        std::copy_n(src, inside, dst + before);
        break;
      case 2:
        Repeat<2>(src, inside, dst + before);
        break;
      case 3:
        Repeat<3>(src, inside, dst + before);
        break;
      default:
        Repeat<4>(src, inside, dst + before);
    }
    std::fill_n(dst + before + inside, line_bytes - before - inside,
                x_zero_point_);
  }

  // In how many chunks each of `parts` times `rows` rows is taken: they fit
  // into so many bytes, and threads are busy to the end.
  int64_t Chunks(int64_t parts, int64_t rows, int64_t row_bytes,
                 int64_t most_bytes) const {
    const int64_t threads = share_.count();
    const int64_t in_bytes = std::max<int64_t>(most_bytes / row_bytes, 1);
    int64_t chunks = DivideUp(rows, in_bytes);
    while (chunks < std::min(rows, 4 * threads) &&
           parts * chunks % threads != 0) {
      ++chunks;
    }
    return chunks;
  }

  // What codes take before they are transposed.
  int64_t CodeBytes(int64_t rows) const {
    return shape_.channels_first ? rows * stage_.columns : 0;
  }

  static int64_t Lines(int64_t bytes) { return RoundUp(bytes, kCacheLine); }

  static Scratch& OfThisThread() {
    thread_local Scratch scratch;
    return scratch;
  }

  const ThreadShare share_;
  const PackedFilter& filter_;
  const ConvolutionShape& shape_;
  const uint8_t x_zero_point_;
  kernels::OutputStage stage_;  // of a block
  const int64_t blocks_;
  kernels::Windows windows_;  // of a block
  int64_t image_pixels_;
  int64_t pixels_;  // of an output image
  bool in_place_;
};

namespace {

Status CheckFilter(const ConvolutionShape& filter,
                   const ConvolutionShape& shape) {
  const auto check = [](const std::string& name, int64_t value,
                        int64_t expected) {
    if (value == expected) return Status::Ok();
    return Status::InvalidArgument(
        "convolution: " + name + " is " + std::to_string(value) +
        ", expected the filter's " + std::to_string(expected));
  };
  RETURN_IF_ERROR(check("in_channels", shape.in_channels, filter.in_channels));
  RETURN_IF_ERROR(
      check("out_channels", shape.out_channels, filter.out_channels));
  RETURN_IF_ERROR(check("groups", shape.groups, filter.groups));
  RETURN_IF_ERROR(check("dims", shape.dims, filter.dims));
  RETURN_IF_ERROR(
      check("channels_first", shape.channels_first, filter.channels_first));
  for (int i = 0; i < shape.dims; ++i) {
    RETURN_IF_ERROR(check("kernel[" + std::to_string(i) + "]", shape.kernel[i],
                          filter.kernel[i]));
  }
  return Status::Ok();
}

}  // namespace

Status Convolve(const PackedFilter& filter, const ConvolutionShape& shape,
                const uint8_t* x, int32_t x_zero_point,
                const kernels::OutputStage& stage, uint8_t* dst) {
  RETURN_IF_ERROR(shape.Validate());
  RETURN_IF_ERROR(CheckFilter(filter.shape(), shape));
  RETURN_IF_ERROR(
      CheckConvolutionRange("the input's zero point", x_zero_point, 0, 255));
  RETURN_IF_ERROR(CheckConvolutionRange("the output stage's number of columns",
                                        stage.columns, shape.out_channels,
                                        shape.out_channels));
  if (shape.batch == 0) return Status::Ok();
  return Convolution(filter, shape, x_zero_point, stage).Run(x, dst);
}

}  // namespace onednn
}  // namespace caffe2_quantization
