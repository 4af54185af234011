// The one place that holds stb's decoders.
#include "workflow/decode_image.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 65536
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>

#include "base/return_if_error.h"
#pragma GCC diagnostic pop

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

struct Bytes {
  const unsigned char* data;
  std::size_t size;

  bool Has(std::size_t at, const char* text, std::size_t length) const {
    return size >= at + length && std::memcmp(data + at, text, length) == 0;
  }
  uint32_t Big16(std::size_t at) const {
    return static_cast<uint32_t>(data[at] << 8 | data[at + 1]);
  }
  uint32_t Little16(std::size_t at) const {
    return static_cast<uint32_t>(data[at] | data[at + 1] << 8);
  }
  uint32_t Little32(std::size_t at) const {
    return Little16(at) | Little16(at + 2) << 16;
  }
};

// Forms that are known and not read, so that an error can name them.
struct OtherForm {
  std::size_t at;
  const char* begins;
  std::size_t length;
  const char* name;
};
constexpr OtherForm kOtherForms[] = {
    {0, "GIF8", 4, "a GIF"},
    {8, "WEBP", 4, "a WebP"},
    {0, "II*\0", 4, "a TIFF"},
    {0, "MM\0*", 4, "a TIFF"},
    {4, "ftyp", 4, "a HEIF or AVIF"},
    {0, "8BPS", 4, "a Photoshop document"},
    {0, "#?R", 3, "a Radiance HDR picture"},
    {0, "\x53\x80\xf6\x34", 4, "a Softimage PIC"},
    {0, "P1", 2, "a portable bitmap (P1)"},
    {0, "P4", 2, "a portable bitmap (P4)"},
    {0, "P7", 2, "a portable arbitrary map (P7)"},
    {0, "Pf", 2, "a portable float map (Pf)"},
    {0, "PF", 2, "a portable float map (PF)"},
    {12, "CgBI", 4, "a PNG in Apple's own form (CgBI)"},
};

Status Unreadable(const std::string& reason) {
  return Status::Corruption("no image that can be read (" + reason + ")");
}

// stb takes a JPEG of four channels for CMYK only where Adobe's marker says so.
Status CheckJpeg(const Bytes& file) {
  bool adobe = false;
  std::size_t at = 2;
  while (at + 4 <= file.size) {
    if (file.data[at] != 0xff) return Status::Ok();  // stb says what is wrong
    const unsigned char marker = file.data[at + 1];
    if (marker == 0xff) {
      ++at;
      continue;
    }
    const std::size_t length = file.Big16(at + 2);
    if (marker == 0xda || at + 2 + length > file.size) return Status::Ok();
    const bool is_frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
                          marker != 0xc8 && marker != 0xcc;
    adobe |= marker == 0xee && length >= 14 && file.Has(at + 4, "Adobe", 5);
    if (is_frame && length >= 8 && file.data[at + 9] == 4 && !adobe) {
      return Unreadable(
          "a JPEG of four channels without Adobe's marker, which says what "
          "their colours are");
    }
    at += 2 + length;
  }
  return Status::Ok();
}

// stb fills what a BMP lacks with zeros.
Status CheckBmp(const Bytes& file) {
  if (file.size < 18) return Unreadable("a BMP that is cut short");
  const std::size_t pixels_at = file.Little32(10);
  const uint32_t header = file.Little32(14);
  const bool is_old = header == 12;
  if (file.size < (is_old ? 26u : 30u)) {
    return Unreadable("a BMP that is cut short");
  }
  const uint64_t width = is_old ? file.Little16(18) : file.Little32(18);
  const auto signed_height =
      static_cast<int32_t>(is_old ? file.Little16(20) : file.Little32(22));
  const auto height = static_cast<uint64_t>(std::abs(int64_t{signed_height}));
  const uint64_t bits = file.Little16(is_old ? 24 : 28);
  if (width > (1u << 16) || height > (1u << 16) || bits > 32 || height == 0) {
    return Status::Ok();  // refused for other reasons
  }
  // The padding of the last row may be missing.
  const uint64_t needed = pixels_at +
                          (height - 1) * ((width * bits + 31) / 32 * 4) +
                          (width * bits + 7) / 8;
  if (file.size >= needed) return Status::Ok();
  return Unreadable("a BMP that is cut short: " + std::to_string(file.size) +
                    " bytes, expected " + std::to_string(needed));
}

Status DecodeByStb(const Bytes& file, int* channels, Pixels* pixels) {
  const int size = static_cast<int>(file.size);
  const auto broken = [] {
    const char* reason = stbi_failure_reason();
    return Unreadable(reason == nullptr ? "broken" : reason);
  };
  int width = 0, height = 0;
  if (stbi_info_from_memory(file.data, size, &width, &height, channels) == 0) {
    return broken();
  }
  // Below 0: a BMP whose first row is the top one.
  RETURN_IF_ERROR(CheckPixelCount(std::abs(int64_t{height}), width));
  // In its own channels: how stb converts them depends on the form.
  const std::unique_ptr<unsigned char, void (*)(void*)> decoded(
      stbi_load_from_memory(file.data, size, &width, &height, channels, 0),
      stbi_image_free);
  if (decoded == nullptr) return broken();
  pixels->height = height;
  pixels->width = width;
  const auto count =
      static_cast<std::size_t>(int64_t{height} * width * *channels);
  pixels->values.assign(decoded.get(), decoded.get() + count);
  return Status::Ok();
}

// Brings pixels of `from` channels (grey, grey and alpha, RGB, RGB and alpha)
// to `to`, 1 or 3.
void ConvertChannels(int from, int to, Pixels* pixels) {
  if (from == to) return;
  const auto count = static_cast<std::size_t>(pixels->height * pixels->width);
  std::vector<unsigned char> values(count * static_cast<std::size_t>(to));
  const unsigned char* source = pixels->values.data();
  unsigned char* target = values.data();
  for (std::size_t i = 0; i < count; ++i, source += from, target += to) {
    if (from <= 2) {
      std::memset(target, source[0], static_cast<std::size_t>(to));
    } else if (to == 3) {
      std::memcpy(target, source, 3);
    } else {
      target[0] = static_cast<unsigned char>(
          (77 * source[0] + 150 * source[1] + 29 * source[2]) >> 8);
    }
  }
  pixels->values = std::move(values);
}

}  // namespace

Status CheckPixelCount(int64_t height, int64_t width) {
  if (height >= 1 && width >= 1 && height <= kMaxPixels / width) {
    return Status::Ok();
  }
  return Status::OutOfRange(
      std::to_string(height) + "x" + std::to_string(width) +
      " pixels, expected at most " + std::to_string(kMaxPixels) +
      (height < 1 || width < 1 ? " and at least 1" : ""));
}

Status DecodeImage(const unsigned char* data, std::size_t size, int channels,
                   Pixels* pixels) {
  const Bytes file{data, size};
  if (size == 0) return Status::Corruption("it is empty");
  if (size > kMaxBytes) {
    return Status::OutOfRange(std::to_string(size) +
                              " bytes, expected at most 1 GiB");
  }
  for (const OtherForm& other : kOtherForms) {
    if (file.Has(other.at, other.begins, other.length)) {
      return Unreadable(std::string(other.name) +
                        "; expected a PNG, JPEG, BMP, PGM or PPM");
    }
  }
  Pixels decoded;
  int own_channels = 0;
  if (file.Has(0, "P2", 2) || file.Has(0, "P3", 2) || file.Has(0, "P5", 2) ||
      file.Has(0, "P6", 2)) {
    const Status status = DecodePnm(data, size, &own_channels, &decoded);
    if (status.kind() == Status::Kind::kCorruption) {
      return Unreadable(status.message());
    }
    RETURN_IF_ERROR(status);
  } else {
    if (file.Has(0, "BM", 2)) {
      RETURN_IF_ERROR(CheckBmp(file));
    } else if (file.Has(0, "\xff\xd8", 2)) {
      RETURN_IF_ERROR(CheckJpeg(file));
    } else if (!file.Has(0, "\x89PNG", 4)) {
      return Unreadable("expected a PNG, JPEG, BMP, PGM or PPM");
    }
    RETURN_IF_ERROR(DecodeByStb(file, &own_channels, &decoded));
  }
  ConvertChannels(own_channels, channels, &decoded);
  *pixels = std::move(decoded);
  return Status::Ok();
}

}  // namespace caffe2_quantization
