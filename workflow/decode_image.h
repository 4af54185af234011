// Decodes an image file in memory: PNG, JPEG, BMP, and portable grey and pixel
// maps (PNM). The first bytes tell the form. Other forms are refused by name,
// and so is a file that is cut short.
//
// Whatever a file holds becomes 8 bits per channel, grey or RGB:
//   16 bits         their high byte
//   PNM, maximum m  value * 255 / m, rounded half up
//   palette         its colours
//   grey as RGB     three times the same
//   RGB as grey     (77 r + 150 g + 29 b) / 256, rounded down
//   alpha           left out, whatever colour stands beneath it
//   CMYK of JPEG    as Adobe writes it: c * k / 255 and so on
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_DECODE_IMAGE_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_DECODE_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

struct Pixels {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<unsigned char> values;  // height, width, channels
};

// An image of more pixels is refused before memory is taken for it.
inline constexpr int64_t kMaxPixels = int64_t{1} << 26;

// Sets *pixels to the image with `channels` channels, 1 (grey) or 3 (RGB). On
// an error *pixels is unchanged. Bytes after the image are ignored.
//
// Thread rule: call from any thread.
Status DecodeImage(const unsigned char* data, std::size_t size, int channels,
                   Pixels* pixels);

// Decodes a PNM with the magic number P2, P3, P5 or P6 into its own 1 or 3
// channels, and sets *channels to their number. DecodeImage uses it.
Status DecodePnm(const unsigned char* data, std::size_t size, int* channels,
                 Pixels* pixels);

// Returns an error if there are too many pixels, or none.
Status CheckPixelCount(int64_t height, int64_t width);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_DECODE_IMAGE_H_
