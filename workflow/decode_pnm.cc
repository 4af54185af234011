// Portable grey and pixel maps, as the netpbm formats pgm(5) and ppm(5) are:
//
//   P2 P5 (grey), P3 P6 (RGB)  width  height  maxval  samples
//
// with blanks, line breaks and comments between the numbers of the header. P2
// and P3 have the samples as text, each with a blank or line break behind it,
// as pgm(5) asks for: else a cut would go unseen. P5 and P6 have them behind
// one blank, in one byte each or, of a maxval above 255, in two, the high one
// first.
#include <string>
#include <utility>

#include "base/return_if_error.h"
#include "workflow/decode_image.h"

namespace caffe2_quantization {
namespace {

constexpr int kEnd = -1;

bool IsBlank(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsDigit(int c) { return c >= '0' && c <= '9'; }

class PnmReader {
 public:
  PnmReader(const unsigned char* data, std::size_t size)
      : data_(data), size_(size) {}

  // Behind the header the samples begin.
  Status ReadHeader(int* channels, int64_t* height, int64_t* width,
                    int64_t* maxval) {
    const unsigned char form = data_[1];
    *channels = form == '3' || form == '6' ? 3 : 1;
    is_text_ = form == '2' || form == '3';
    at_ = 2;
    RETURN_IF_ERROR(ReadNumber("width", width));
    RETURN_IF_ERROR(ReadNumber("height", height));
    RETURN_IF_ERROR(ReadNumber("maxval", maxval));
    if (*maxval < 1 || *maxval > 65535) {
      return Status::Corruption("its maxval is " + std::to_string(*maxval) +
                                ", expected 1 to 65535");
    }
    return Status::Ok();
  }

  // Whether the file has room for so many samples.
  Status CheckRoom(int64_t samples, int64_t maxval) {
    const auto left = static_cast<int64_t>(size_ - at_);
    bytes_ = maxval > 255 ? 2 : 1;
    // Of text: a digit each, and something behind it.
    const int64_t needed = (is_text_ ? 2 : bytes_) * samples;
    if (left >= needed) return Status::Ok();
    return Status::Corruption("it is cut short: " + std::to_string(left) +
                              " bytes behind its header, expected " +
                              std::to_string(needed) +
                              (is_text_ ? " at least" : "") + " for " +
                              std::to_string(samples) + " samples");
  }

  // Sample `index`, after CheckRoom; text is read in order.
  Status ReadSample(std::size_t index, int64_t* sample) {
    if (is_text_) return ReadNumber("a sample", sample);
    const unsigned char* at =
        data_ + at_ + index * static_cast<std::size_t>(bytes_);
    *sample = bytes_ == 2 ? at[0] << 8 | at[1] : at[0];
    return Status::Ok();
  }

 private:
  // The next character. A comment is the line break that ends it.
  int Next() {
    if (at_ == size_) return kEnd;
    if (data_[at_] != '#') return data_[at_++];
    while (at_ < size_ && data_[at_] != '\n' && data_[at_] != '\r') ++at_;
    return at_ == size_ ? kEnd : data_[at_++];
  }

  // A number, with the one blank behind it.
  Status ReadNumber(const char* what, int64_t* number) {
    int c = Next();
    while (IsBlank(c)) c = Next();
    *number = 0;
    int digits = 0;
    for (; IsDigit(c); c = Next()) {
      if (++digits > 9) {
        return Status::Corruption(std::string(what) +
                                  " has more than 9 digits");
      }
      *number = *number * 10 + (c - '0');
    }
    if (digits > 0 && IsBlank(c)) return Status::Ok();
    return Status::Corruption(
        c == kEnd
            ? std::string("it is cut short: it ends before or within ") + what
            : std::string(what) + " is no number");
  }

  const unsigned char* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  bool is_text_ = false;
  int bytes_ = 1;  // of a sample
};

}  // namespace

Status DecodePnm(const unsigned char* data, std::size_t size, int* channels,
                 Pixels* pixels) {
  PnmReader reader(data, size);
  Pixels read;
  int64_t maxval = 0;
  RETURN_IF_ERROR(
      reader.ReadHeader(channels, &read.height, &read.width, &maxval));
  RETURN_IF_ERROR(CheckPixelCount(read.height, read.width));
  const int64_t samples = read.height * read.width * *channels;
  RETURN_IF_ERROR(reader.CheckRoom(samples, maxval));
  read.values.resize(static_cast<std::size_t>(samples));
  for (std::size_t i = 0; i < read.values.size(); ++i) {
    int64_t sample = 0;
    RETURN_IF_ERROR(reader.ReadSample(i, &sample));
    if (sample > maxval) {
      return Status::Corruption("a sample is " + std::to_string(sample) +
                                ", expected at most its maxval " +
                                std::to_string(maxval));
    }
    read.values[i] = static_cast<unsigned char>(
        maxval == 65535 ? sample >> 8 : (sample * 255 + maxval / 2) / maxval);
  }
  *pixels = std::move(read);
  return Status::Ok();
}

}  // namespace caffe2_quantization
