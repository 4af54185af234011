#include <gmock/gmock.h>
#include <gtest/gtest.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

#include "tests/support/model_files.h"
#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImageSourceTest : public testing::Test {
 protected:
  ImageSourceTest() { options_.path = folder_.Path(""); }

  Status Open() { return OpenFor(options_, {"x"}, &source_); }
  void OpenWell() {
    const Status status = Open();
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(source_->form(), "images");
  }
  std::vector<float> Values() { return ReadAll<float>(source_.get(), "x", 2); }
  std::string ReadError() {
    std::vector<float> values;
    return ReadRest(source_.get(), "x", 2, &values).message();
  }

  // One row of two pixels, red 10 and 40, green 20 and 50, blue 30 and 60.
  void WritePair(const std::string& name) {
    const unsigned char pixels[] = {10, 20, 30, 40, 50, 60};
    const std::string path = folder_.Path(name);
    if (name.find(".png") != std::string::npos) {
      stbi_write_png(path.c_str(), 2, 1, 3, pixels, 6);
    } else if (name.find(".bmp") != std::string::npos) {
      stbi_write_bmp(path.c_str(), 2, 1, 3, pixels);
    } else {
      folder_.Write(name, "P6 2 1 255\n" +
                              std::string(reinterpret_cast<const char*>(pixels),
                                          sizeof(pixels)));
    }
  }

  TemporaryFolder folder_;
  DataOptions options_;
  std::unique_ptr<BatchSource> source_;
};

TEST_F(ImageSourceTest, EveryFormInTheOrderOfNames) {
  WritePair("b.PNG.png");
  WritePair("c.bmp");
  WritePair("a.ppm");
  folder_.Write("notes.txt", "no image");
  OpenWell();
  EXPECT_EQ(source_->samples(), 3);
  EXPECT_THAT(Values(), ElementsAre(10, 40, 20, 50, 30, 60,  //
                                    10, 40, 20, 50, 30, 60,  //
                                    10, 40, 20, 50, 30, 60));
  caffe2::Workspace workspace;
  ASSERT_TRUE(source_->Rewind().ok());
  ASSERT_TRUE(source_->Next(2, &workspace).ok());
  EXPECT_THAT(workspace.GetBlob("x")->Get<caffe2::Tensor>().sizes().vec(),
              ElementsAre(2, 3, 1, 2));
  ExpectSkipping<float>(source_.get(), "x", 6);
}

TEST_F(ImageSourceTest, LeavesLabelsAlone) {
  WritePair("a.ppm");
  folder_.Write("label.csv", "3\n");
  OpenWell();
  EXPECT_EQ(source_->samples(), 1);
  EXPECT_THAT(source_->notes(),
              ElementsAre("'" + folder_.Path("label.csv") +
                          "' is of labels and is left alone"));
  WantedBlobs with_labels;
  with_labels.inputs = with_labels.free_inputs = {"x"};
  with_labels.extras = {"label"};
  EXPECT_THAT(OpenBatchSource(options_, with_labels, &source_).message(),
              HasSubstr("label.csv: labels beside images, expected"));
  folder_.Write("b.csv", "1,2\n");
  EXPECT_THAT(Open().message(), HasSubstr("1 images and 2 CSV files"));
}

TEST_F(ImageSourceTest, JpegIsNearWhatWasWritten) {
  std::vector<unsigned char> grey(16 * 16, 100);
  stbi_write_jpg(folder_.Path("a.jpeg").c_str(), 16, 16, 1, grey.data(), 95);
  OpenWell();
  for (const float value : Values()) EXPECT_NEAR(value, 100, 2);
}

TEST_F(ImageSourceTest, LayoutColorAndScale) {
  WritePair("a.png");
  ImageOptions& images = options_.images;
  images.layout = ImageOptions::Layout::kNhwc;
  OpenWell();
  EXPECT_THAT(Values(), ElementsAre(10, 20, 30, 40, 50, 60));
  images.color = ImageOptions::Color::kBgr;
  OpenWell();
  EXPECT_THAT(Values(), ElementsAre(30, 20, 10, 60, 50, 40));
  images.layout = ImageOptions::Layout::kNchw;
  images.mean = {1, 2, 3};
  images.std = {2};
  images.scale = 0.5;
  OpenWell();
  EXPECT_THAT(Values(), ElementsAre(7, 14.5, 4, 11.5, 1, 8.5));
  images.color = ImageOptions::Color::kGray;
  images.mean = {};
  images.std = {};
  images.scale = 1;
  OpenWell();  // (77 r + 150 g + 29 b) / 256
  EXPECT_THAT(Values(), ElementsAre(18, 48));
}

TEST_F(ImageSourceTest, ResizesWhatIsToBeResized) {
  const std::vector<unsigned char> grey(6 * 10 * 3, 77);
  stbi_write_png(folder_.Path("a.png").c_str(), 10, 6, 3, grey.data(), 30);
  WritePair("b.png");
  OpenWell();
  EXPECT_THAT(ReadError(), HasSubstr("b.png: 1x2 pixels, expected 6x10 as "));
  options_.images.height = 4;
  options_.images.width = 5;
  OpenWell();
  const std::vector<float> values = Values();
  ASSERT_EQ(values.size(), 2u * 3 * 4 * 5);
  for (int i = 0; i < 60; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], 77);
  for (int i = 60; i < 80; ++i) {
    EXPECT_NEAR(values[static_cast<size_t>(i)], 25, 25);
  }
}

TEST_F(ImageSourceTest, NamesABrokenImage) {
  WritePair("a.png");
  const std::string good = ReadText(folder_.Path("a.png"));
  folder_.Write("b.png", good.substr(0, good.size() / 2));
  OpenWell();
  EXPECT_THAT(ReadError(), HasSubstr("b.png: no image that can be read"));
  folder_.Write("b.png", "");
  OpenWell();
  EXPECT_THAT(ReadError(), HasSubstr("b.png: it is empty"));
  // A bomb: a few bytes that say 60,000 x 60,000 pixels.
  folder_.Write("b.png", "");
  folder_.Write("b.ppm", "P6 60000 60000 255\n123");
  unlink(folder_.Path("b.png").c_str());
  OpenWell();
  EXPECT_THAT(ReadError(), HasSubstr("60000x60000 pixels, expected at most"));
}

TEST_F(ImageSourceTest, NoBytesBreakIt) {
  TestRandom random;
  for (const char* name : {"a.png", "a.bmp", "a.ppm", "a.jpg"}) {
    SCOPED_TRACE(name);
    WritePair(name);
    if (std::string(name) == "a.jpg") {
      std::vector<unsigned char> pixels(8 * 8 * 3);
      for (auto& pixel : pixels) pixel = random.Byte();
      stbi_write_jpg(folder_.Path(name).c_str(), 8, 8, 3, pixels.data(), 90);
    }
    const std::string good = ReadText(folder_.Path(name));
    options_.path = folder_.Path(name);
    for (int round = 0; round < 100; ++round) {
      std::string bytes = good;
      const auto last = static_cast<int64_t>(bytes.size()) - 1;
      bytes[static_cast<size_t>(random.Integer(0, last))] =
          static_cast<char>(random.Byte());
      bytes.resize(static_cast<size_t>(random.Integer(1, last + 1)));
      folder_.Write(name, bytes);
      std::vector<float> values;
      if (Open().ok()) (void)ReadRest(source_.get(), "x", 1, &values).ok();
    }
  }
}

TEST_F(ImageSourceTest, RefusesMeaninglessOptions) {
  WritePair("a.png");
  options_.images.mean = {1, 2};
  EXPECT_THAT(Open().message(),
              HasSubstr("mean has 2 numbers, expected 1 or 3"));
  options_.images.mean = {1, 2, 3};
  options_.images.std = {0};
  EXPECT_THAT(Open().message(), HasSubstr("std is 0"));
  options_.images.std = {};
  options_.images.height = 3;
  EXPECT_THAT(Open().message(), HasSubstr("the image size is 3x0"));
}

}  // namespace
}  // namespace caffe2_quantization
