// One image file in memory, decoded: PNG, JPEG, BMP, and portable grey and
// pixel maps (PNM). The form is told by the first bytes; others are refused by
// name, and so is a file that is cut short.
//
// Whatever a file holds becomes 8 bits a channel, grey or RGB:
//   16 bits         their high byte
//   PNM, other      value * 255 / maxval, rounded half up
//   maximum m
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

// Of more pixels an image is refused before memory is taken for it.
inline constexpr int64_t kMaxPixels = int64_t{1} << 26;

// Sets *pixels to the image with `channels` channels, 1 (grey) or 3 (RGB). An
// error leaves it as it was. Bytes behind the image are left alone.
//
// Thread rule: call from any thread.
Status DecodeImage(const unsigned char* data, std::size_t size, int channels,
                   Pixels* pixels);

// Of these: a PNM with the magic numbers P2, P3, P5 or P6; into its own 1 or 3
// channels, *channels. For DecodeImage.
Status DecodePnm(const unsigned char* data, std::size_t size, int* channels,
                 Pixels* pixels);

// An error when there are too many pixels or none.
Status CheckPixelCount(int64_t height, int64_t width);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_DECODE_IMAGE_H_
