#include "workflow/decode_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

// The decoder looks at no byte behind the file: its end is that of a block of
// memory, which AddressSanitizer watches.
Status Decode(const std::string& bytes, int channels, Pixels* pixels) {
  const std::vector<unsigned char> file(bytes.begin(), bytes.end());
  return DecodeImage(file.data(), file.size(), channels, pixels);
}

std::vector<unsigned char> Rgb(const std::string& bytes) {
  Pixels pixels;
  const Status status = Decode(bytes, 3, &pixels);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(pixels.values.size(),
            static_cast<size_t>(3 * pixels.height * pixels.width));
  return pixels.values;
}

std::vector<unsigned char> Grey(const std::string& bytes) {
  Pixels pixels;
  const Status status = Decode(bytes, 1, &pixels);
  EXPECT_TRUE(status.ok()) << status.message();
  return pixels.values;
}

std::string ErrorOf(const std::string& bytes) {
  Pixels pixels;
  const Status status = Decode(bytes, 3, &pixels);
  EXPECT_FALSE(status.ok()) << bytes;
  EXPECT_TRUE(pixels.values.empty());
  return status.message();
}

std::string Bytes(const std::vector<int>& values) {
  std::string bytes;
  for (const int value : values) bytes += static_cast<char>(value);
  return bytes;
}

// stb's writers, to a string.
template <typename Write>
std::string Written(const Write& write) {
  std::string bytes;
  write(
      [](void* context, void* data, int size) {
        static_cast<std::string*>(context)->append(
            static_cast<const char*>(data), static_cast<size_t>(size));
      },
      &bytes);
  return bytes;
}
std::string Png(int width, int height, int channels, const void* pixels) {
  return Written([&](stbi_write_func* f, void* c) {
    stbi_write_png_to_func(f, c, width, height, channels, pixels, 0);
  });
}
std::string Bmp(int width, int height, int channels, const void* pixels) {
  return Written([&](stbi_write_func* f, void* c) {
    stbi_write_bmp_to_func(f, c, width, height, channels, pixels);
  });
}
std::string Jpeg(int width, int height, int channels, const void* pixels) {
  return Written([&](stbi_write_func* f, void* c) {
    stbi_write_jpg_to_func(f, c, width, height, channels, pixels, 95);
  });
}

std::string Big32(uint32_t value) {
  return Bytes({static_cast<int>(value >> 24), static_cast<int>(value >> 16),
                static_cast<int>(value >> 8), static_cast<int>(value)});
}

// A PNG of any color type and depth; rows without a filter, stored and not
// compressed. Checksums are left 0: the decoder does not compare them.
std::string RawPng(int width, int height, int depth, int color,
                   const std::string& rows, const std::string& more = "") {
  const auto chunk = [](const std::string& type, const std::string& data) {
    return Big32(static_cast<uint32_t>(data.size())) + type + data + Big32(0);
  };
  std::string raw;
  const size_t row = rows.size() / static_cast<size_t>(height);
  for (size_t at = 0; at < rows.size(); at += row) {
    raw += '\0' + rows.substr(at, row);
  }
  const int size = static_cast<int>(raw.size());
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR", Big32(static_cast<uint32_t>(width)) +
                           Big32(static_cast<uint32_t>(height)) +
                           Bytes({depth, color, 0, 0, 0})) +
         more +
         chunk("IDAT", Bytes({0x78, 1, 1, size & 255, size >> 8, ~size & 255,
                              (~size >> 8) & 255}) +
                           raw + Big32(0)) +
         chunk("IEND", "");
}

TEST(DecodeImage, PngOfEveryDepth) {
  // Sixteen bits: the high byte.
  EXPECT_THAT(Rgb(RawPng(2, 1, 16, 2,
                         Bytes({0x12, 0xff, 0x34, 0, 0xff, 0xff, 0, 0x80, 0x7f,
                                0x80, 0x80, 0x7f}))),
              ElementsAre(0x12, 0x34, 0xff, 0, 0x7f, 0x80));
  EXPECT_THAT(Grey(RawPng(2, 1, 16, 0, Bytes({0xab, 0xcd, 0x01, 0xff}))),
              ElementsAre(0xab, 0x01));
  // Fewer than eight: the whole range.
  EXPECT_THAT(Grey(RawPng(8, 1, 1, 0, Bytes({0xa5}))),
              ElementsAre(255, 0, 255, 0, 0, 255, 0, 255));
  EXPECT_THAT(Grey(RawPng(4, 1, 2, 0, Bytes({0x1b}))),
              ElementsAre(0, 85, 170, 255));
  EXPECT_THAT(Grey(RawPng(2, 1, 4, 0, Bytes({0x2f}))), ElementsAre(34, 255));
}

TEST(DecodeImage, PngWithAlphaOrAPalette) {
  const unsigned char rgba[] = {10, 20, 30, 0, 40, 50, 60, 255};
  EXPECT_THAT(Rgb(Png(2, 1, 4, rgba)), ElementsAre(10, 20, 30, 40, 50, 60));
  EXPECT_THAT(Grey(Png(2, 1, 4, rgba)), ElementsAre(18, 48));
  const unsigned char grey_alpha[] = {10, 0, 200, 9};
  EXPECT_THAT(Rgb(Png(2, 1, 2, grey_alpha)),
              ElementsAre(10, 10, 10, 200, 200, 200));
  EXPECT_THAT(Grey(Png(2, 1, 2, grey_alpha)), ElementsAre(10, 200));
  const std::string palette =
      Big32(6) + "PLTE" + Bytes({1, 2, 3, 250, 251, 252}) + Big32(0);
  EXPECT_THAT(Rgb(RawPng(3, 1, 8, 3, Bytes({1, 0, 1}), palette)),
              ElementsAre(250, 251, 252, 1, 2, 3, 250, 251, 252));
  EXPECT_THAT(Rgb(RawPng(3, 1, 8, 3, Bytes({1, 0, 1}),
                         palette + Big32(1) + "tRNS" + Bytes({0}) + Big32(0))),
              ElementsAre(250, 251, 252, 1, 2, 3, 250, 251, 252));
}

TEST(DecodeImage, GreyIsMadeOfRgbOneWayInEveryForm) {
  TestRandom random;
  std::vector<unsigned char> pixels(16 * 16 * 3);
  for (auto& pixel : pixels) pixel = random.Byte();
  const std::string raw(pixels.begin(), pixels.end());
  for (const std::string& file :
       {Png(16, 16, 3, pixels.data()), Bmp(16, 16, 3, pixels.data()),
        Jpeg(16, 16, 3, pixels.data()), "P6 16 16 255\n" + raw}) {
    SCOPED_TRACE(file.substr(0, 4));
    const auto rgb = Rgb(file);
    const auto grey = Grey(file);
    ASSERT_EQ(grey.size(), 256u);
    for (size_t i = 0; i < grey.size(); ++i) {
      ASSERT_EQ(
          grey[i],
          (77 * rgb[3 * i] + 150 * rgb[3 * i + 1] + 29 * rgb[3 * i + 2]) >> 8);
    }
  }
}

// --- Portable maps ----------------------------------------------------------

std::string PnmHeader(int form, int width, int height, int maxval) {
  return "P" + std::to_string(form) + " " + std::to_string(width) + " " +
         std::to_string(height) + " " + std::to_string(maxval) + "\n";
}

std::string Pnm(int form, int width, int height, int maxval,
                const std::vector<int>& samples) {
  std::string bytes = PnmHeader(form, width, height, maxval);
  for (const int sample : samples) {
    if (form < 4) {
      bytes += std::to_string(sample) + "\n";
    } else {
      if (maxval > 255) bytes += static_cast<char>(sample >> 8);
      bytes += static_cast<char>(sample);
    }
  }
  return bytes;
}

TEST(DecodePnm, SamplesAreScaledByTheirMaxval) {
  TestRandom random;
  for (const int maxval : {1, 2, 3, 6, 15, 100, 127, 254, 255, 256, 1000, 1023,
                           4095, 65534, 65535}) {
    for (const int form : {2, 3, 5, 6}) {
      SCOPED_TRACE(PnmHeader(form, 5, 7, maxval));
      const bool is_grey = form == 2 || form == 5;
      std::vector<int> samples(is_grey ? 35 : 105);
      std::vector<unsigned char> expected;
      for (int& sample : samples) {
        sample = static_cast<int>(random.Integer(0, maxval));
        // To nearest, halves up; what has 16 bits gives the high byte.
        const int value =
            maxval == 65535
                ? sample / 256
                : static_cast<int>(std::floor((2.0 * sample * 255 + maxval) /
                                              (2.0 * maxval)));
        expected.insert(expected.end(), is_grey ? 3 : 1,
                        static_cast<unsigned char>(value));
      }
      EXPECT_EQ(Rgb(Pnm(form, 5, 7, maxval, samples)), expected);
    }
  }
}

TEST(DecodePnm, CommentsAndBlanksInTheHeader) {
  const std::string pixels = Bytes({'#', 20, 30});
  for (const std::string header :
       {"P6 1 1 255 ", "P6\n#c\n1 1\n255\n", "P6#c\n1#1\n1\t\v\f255\r",
        "P6\n# a b\n# c\n1\n# d\n1 # e\r255#f\n", "P6 01 001 0255\n"}) {
    EXPECT_THAT(Rgb(header + pixels), ElementsAre('#', 20, 30)) << header;
  }
  EXPECT_THAT(Grey("P2#c\n3 1 9 0#c\n9\n\n\t 5 "), ElementsAre(0, 255, 142));
}

TEST(DecodePnm, BytesBehindTheImageAreLeftAlone) {
  EXPECT_THAT(Grey("P5 1 1 255\n\x07P5 1 1 255\n\x08"), ElementsAre(7));
}

TEST(DecodePnm, RefusesWhatIsWrong) {
  const std::string begin = "no image that can be read (";
  EXPECT_EQ(ErrorOf("P6 2 2 255\nabcdefghijk"),
            begin +
                "it is cut short: 11 bytes behind its header, expected 12 "
                "for 12 samples)");
  EXPECT_EQ(ErrorOf("P5 2 1 256\nabc"),
            begin +
                "it is cut short: 3 bytes behind its header, expected 4 "
                "for 2 samples)");
  EXPECT_EQ(ErrorOf("P2 2 1 9\n1 "),
            begin +
                "it is cut short: 2 bytes behind its header, expected 4 "
                "at least for 2 samples)");
  EXPECT_THAT(ErrorOf("P2 2 1 99\n1 10"),
              HasSubstr("it ends before or within a sample"));
  EXPECT_THAT(ErrorOf("P5 2 1 "), HasSubstr("it ends before or within maxval"));
  EXPECT_THAT(ErrorOf("P5 2 # comment"), HasSubstr("within height"));
  EXPECT_THAT(ErrorOf("P5 2 x 255\nab"), HasSubstr("height is no number"));
  EXPECT_THAT(ErrorOf("P5 -2 1 255\nab"), HasSubstr("width is no number"));
  EXPECT_THAT(ErrorOf("P5 2 1 255ab"), HasSubstr("maxval is no number"));
  EXPECT_THAT(ErrorOf("P5 2 1 0\nab"),
              HasSubstr("its maxval is 0, expected 1 to 65535"));
  EXPECT_THAT(ErrorOf("P5 2 1 65536\nabcd"), HasSubstr("its maxval is 65536"));
  EXPECT_THAT(ErrorOf("P5 2 1 50\n\x32\x33"),
              HasSubstr("a sample is 51, expected at most its maxval 50"));
  EXPECT_THAT(ErrorOf("P3 1 1 9\n1 2 10\n"), HasSubstr("a sample is 10"));
  EXPECT_THAT(ErrorOf("P5 0 1 255\n"), HasSubstr("1x0 pixels"));
  EXPECT_THAT(ErrorOf("P5 9999999999 1 255\n"),
              HasSubstr("width has more than 9 digits"));
  // Refused before memory is taken.
  EXPECT_THAT(ErrorOf("P6 60000 60000 255\nabc"),
              HasSubstr("60000x60000 pixels, expected at most 67108864"));
  EXPECT_THAT(ErrorOf("P6 999999999 999999999 65535\n"), HasSubstr("pixels"));
  EXPECT_THAT(ErrorOf("P6 8192 8192 65535\nabc"),
              HasSubstr("3 bytes behind its header, expected 402653184 for"));
}

// --- What is cut, or another form
// ---------------------------------------------

TEST(DecodeImage, AFileThatIsCutAnywhereIsRefused) {
  TestRandom random;
  std::vector<unsigned char> pixels(13 * 9 * 3);
  for (auto& pixel : pixels) pixel = random.Byte();
  std::vector<int> samples(13 * 9 * 3);
  for (int& sample : samples) sample = static_cast<int>(random.Integer(0, 999));
  for (const std::string& file :
       {Png(13, 9, 3, pixels.data()), Png(13, 9, 1, pixels.data()),
        Bmp(13, 9, 3, pixels.data()), Jpeg(13, 9, 3, pixels.data()),
        Jpeg(13, 9, 1, pixels.data()), Pnm(6, 13, 9, 999, samples),
        Pnm(3, 13, 9, 999, samples), Pnm(5, 39, 9, 1000, samples),
        Pnm(2, 39, 9, 1000, samples)}) {
    SCOPED_TRACE(file.substr(0, 12));
    const auto whole = Rgb(file);
    for (size_t size = 0; size < file.size(); ++size) {
      Pixels cut;
      // What lacks no pixel may be read: the checksum of a PNG's last chunk,
      // the padding of a BMP's last row.
      if (Decode(file.substr(0, size), 3, &cut).ok()) {
        ASSERT_GE(size + 4, file.size());
        ASSERT_EQ(cut.values, whole) << size << " of " << file.size();
      }
    }
  }
}

TEST(DecodeImage, ABmpThatIsCutNamesItsSize) {
  const std::vector<unsigned char> pixels(4 * 4 * 3, 9);
  const std::string file = Bmp(4, 4, 3, pixels.data());
  ASSERT_EQ(file.size(), 102u);
  EXPECT_THAT(ErrorOf(file.substr(0, 101)),
              EndsWith("(a BMP that is cut short: 101 bytes, expected 102)"));
  // One that lies upside down, too.
  std::string flipped = file;
  flipped.replace(22, 4, Bytes({0xfc, 0xff, 0xff, 0xff}));
  EXPECT_EQ(Rgb(flipped), pixels);
  EXPECT_THAT(ErrorOf(flipped.substr(0, 60)), HasSubstr("60 bytes"));
}

TEST(DecodeImage, OtherFormsAreRefusedByName) {
  const std::string rest(64, '\1');
  for (const auto& [begin, name] :
       std::vector<std::pair<std::string, std::string>>{
           {"GIF89a", "a GIF"},
           {"RIFF\1\1\1\1WEBP", "a WebP"},
           {std::string("II*\0", 4), "a TIFF"},
           {std::string("MM\0*", 4), "a TIFF"},
           {"\1\1\1\1"
            "ftypavif",
            "a HEIF or AVIF"},
           {"8BPS", "a Photoshop document"},
           {"#?RADIANCE\n", "a Radiance HDR picture"},
           {"\x53\x80\xf6\x34", "a Softimage PIC"},
           {"P1 2 2\n", "a portable bitmap (P1)"},
           {"P4 2 2\n", "a portable bitmap (P4)"},
           {"P7\nWIDTH 2\n", "a portable arbitrary map (P7)"},
           {"Pf 2 2 1\n", "a portable float map (Pf)"},
           {"PF 2 2 1\n", "a portable float map (PF)"}}) {
    EXPECT_EQ(ErrorOf(begin + rest),
              "no image that can be read (" + name +
                  "; expected a PNG, JPEG, BMP, PGM or PPM)");
  }
  EXPECT_THAT(ErrorOf(rest),
              EndsWith("(expected a PNG, JPEG, BMP, PGM or PPM)"));
  EXPECT_THAT(ErrorOf("P"), HasSubstr("expected a PNG"));
  EXPECT_EQ(ErrorOf(""), "it is empty");
  // A TGA has no beginning of its own.
  EXPECT_THAT(ErrorOf(Bytes({0, 0, 2, 0, 0, 0,  0, 0, 0, 0, 0,
                             0, 1, 0, 1, 0, 24, 0, 1, 2, 3})),
              HasSubstr("expected a PNG"));
  std::string apple = RawPng(1, 1, 8, 2, Bytes({1, 2, 3}));
  apple.insert(8, Big32(4) + "CgBI" + Big32(0) + Big32(0));
  EXPECT_THAT(ErrorOf(apple), HasSubstr("in Apple's own form (CgBI)"));
}

TEST(DecodeImage, AJpegOfFourChannelsNeedsAdobesMarker) {
  // Up to the frame's header, which is what is looked at.
  const std::string frame =
      Bytes({0xff, 0xc0, 0, 20, 8, 0, 1, 0, 1, 4}) + std::string(12, '\1');
  EXPECT_THAT(ErrorOf("\xff\xd8" + frame),
              HasSubstr("a JPEG of four channels without Adobe's marker"));
  const std::string adobe =
      Bytes({0xff, 0xee, 0, 14}) + "Adobe" + Bytes({0, 100, 0, 0, 0, 0, 0});
  EXPECT_THAT(ErrorOf("\xff\xd8" + adobe + frame),
              testing::Not(HasSubstr("Adobe")));
}

TEST(DecodeImage, NoBytesBreakIt) {
  TestRandom random;
  const std::vector<unsigned char> pixels(6 * 5 * 3, 77);
  std::vector<int> samples(6 * 5 * 3, 7);
  for (const std::string& good :
       {Png(6, 5, 3, pixels.data()), Bmp(6, 5, 3, pixels.data()),
        Jpeg(6, 5, 3, pixels.data()), Pnm(6, 6, 5, 300, samples),
        Pnm(3, 6, 5, 255, samples)}) {
    for (int round = 0; round < 300; ++round) {
      std::string bytes = good;
      const auto last = static_cast<int64_t>(bytes.size()) - 1;
      for (int i = 0; i < 2; ++i) {
        bytes[static_cast<size_t>(random.Integer(0, last))] =
            static_cast<char>(random.Byte());
      }
      if (random.OneIn(2)) {
        bytes.resize(static_cast<size_t>(random.Integer(1, last + 1)));
      }
      Pixels decoded;
      if (Decode(bytes, 3, &decoded).ok()) {
        EXPECT_EQ(decoded.values.size(),
                  static_cast<size_t>(3 * decoded.height * decoded.width));
      }
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
