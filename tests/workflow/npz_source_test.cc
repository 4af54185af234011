#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>

#include "tests/support/model_files.h"
#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NpzSourceTest : public testing::Test {
 protected:
  using Members = std::vector<std::pair<std::string, std::string>>;

  void Open(const Members& members, bool deflate = false,
            const std::vector<std::string>& inputs = {"x"}) {
    const Status status = OpenFor(
        WriteZip(folder_.Path("d.npz"), members, deflate), inputs, &source_);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(source_->form(), "npz");
  }
  // What goes wrong with "x", at opening or at reading.
  std::string ErrorOf(const std::string& bytes) {
    folder_.Write("d.npz", bytes);
    return ErrorOfFile();
  }
  std::string ErrorOf(const Members& members) {
    WriteZip(folder_.Path("d.npz"), members);
    return ErrorOfFile();
  }
  std::string ErrorOfFile() {
    Status status = OpenFor(folder_.Path("d.npz"), {"x"}, &source_);
    std::vector<float> values;
    if (status.ok()) status = ReadRest(source_.get(), "x", 2, &values);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(status.message(), HasSubstr(folder_.Path("d.npz")));
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
    return status.message();
  }
  static std::string FloatDict(const std::string& descr,
                               const std::string& order,
                               const std::string& shape) {
    return "{'descr': " + descr + ", 'fortran_order': " + order +
           ", 'shape': " + shape + "}";
  }

  TemporaryFolder folder_;
  std::unique_ptr<BatchSource> source_;
};

TEST_F(NpzSourceTest, GivesRowsInBatches) {
  for (const bool deflate : {false, true}) {
    SCOPED_TRACE(deflate);
    Open(
        {{"x.npy", Npy<float>("<f4", {5, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})}},
        deflate);
    EXPECT_EQ(source_->samples(), 5);
    EXPECT_THAT(source_->notes(), IsEmpty());
    caffe2::Workspace workspace;
    ASSERT_TRUE(source_->Next(2, &workspace).ok());
    const auto& tensor = workspace.GetBlob("x")->Get<caffe2::Tensor>();
    EXPECT_THAT(tensor.sizes().vec(), ElementsAre(2, 2));
    EXPECT_EQ(tensor.data<float>()[3], 4);
    EXPECT_EQ(source_->position(), 2);
    ExpectSkipping<float>(source_.get(), "x", 2);
  }
}

template <typename T>
void ExpectType(const std::string& descr, const std::vector<T>& values) {
  SCOPED_TRACE(descr);
  TemporaryFolder folder;
  for (int version = 1; version <= 3; ++version) {
    std::unique_ptr<BatchSource> source;
    const Status status = OpenFor(
        WriteZip(folder.Path("d.npz"),
                 {{"x.npy", Npy<T>(descr, {static_cast<int64_t>(values.size())},
                                   values, version)}}),
        {"x"}, &source);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(ReadAll<T>(source.get(), "x", 2), values);
  }
}

TEST_F(NpzSourceTest, KeepsTypes) {
  ExpectType<float>("<f4", {-1.5f, 0, 3e38f});
  ExpectType<float>("=f4", {1, 2});
  ExpectType<int8_t>("|i1", {-128, 127, 0});
  ExpectType<uint8_t>("|u1", {0, 255, 1});
  ExpectType<int16_t>("<i2", {-32768, 32767});
  ExpectType<uint16_t>("<u2", {0, 65535});
  ExpectType<int32_t>("<i4", {-2147483647, 2147483647});
  ExpectType<int64_t>("<i8", {INT64_MIN, INT64_MAX});
}

TEST_F(NpzSourceTest, HalvesStayHalvesAndBoolsBools) {
  Open({{"x.npy", Npy<uint16_t>("<f2", {2}, {0x3c00, 0xc000})}});
  caffe2::Workspace workspace;
  ASSERT_TRUE(source_->Next(2, &workspace).ok());
  const auto& half = workspace.GetBlob("x")->Get<caffe2::Tensor>();
  EXPECT_EQ(static_cast<float>(half.data<at::Half>()[1]), -2.0f);

  Open({{"x.npy", Npy<uint8_t>("|b1", {3}, {0, 1, 2})}});
  ASSERT_TRUE(source_->Next(3, &workspace).ok());
  const auto& tensor = workspace.GetBlob("x")->Get<caffe2::Tensor>();
  const auto* bytes = reinterpret_cast<const uint8_t*>(tensor.data<bool>());
  EXPECT_THAT(std::vector<int>(bytes, bytes + 3), ElementsAre(0, 1, 1));
}

TEST_F(NpzSourceTest, DoublesBecomeFloats) {
  TestRandom random;
  std::vector<double> values;
  std::vector<float> floats;
  for (int i = 0; i < 30000; ++i) {  // more than are converted at once
    values.push_back(random.Float(-1, 1) * 1.000000001);
    floats.push_back(static_cast<float>(values.back()));
  }
  Open({{"x.npy", Npy<double>("<f8", {3, 10000}, values)}}, true);
  EXPECT_THAT(source_->notes(), ElementsAre(HasSubstr("'x' is of doubles")));
  EXPECT_EQ(ReadAll<float>(source_.get(), "x", 2), floats);
}

TEST_F(NpzSourceTest, TakesWhatTheNetWants) {
  Open({{"y.npy", Npy<float>("<f4", {2}, {1, 2})},
        {"readme.txt", "words"},
        {"a/b.npy", Npy<int32_t>("<i4", {2, 1, 1}, {3, 4})},
        {"more.npy", Npy<float>("<f4", {7}, {1, 2, 3, 4, 5, 6, 7})}},
       false, {"a/b", "y"});
  EXPECT_THAT(source_->names(), ElementsAre("y", "a/b", "more"));
  EXPECT_THAT(source_->blobs(), ElementsAre("y", "a/b"));
  EXPECT_THAT(source_->notes(),
              ElementsAre(HasSubstr("'readme.txt'"), HasSubstr("'more'")));
  EXPECT_THAT(ReadAll<float>(source_.get(), "y", 1), ElementsAre(1, 2));
  EXPECT_THAT(ReadAll<int32_t>(source_.get(), "a/b", 1), ElementsAre(3, 4));
}

TEST_F(NpzSourceTest, RefusesArraysThatDoNotFit) {
  const std::string good = Npy<float>("<f4", {2}, {1, 2});
  EXPECT_THAT(ErrorOf({{"z.npy", good}}),
              HasSubstr("no tensor is an input of the net; the data has: z"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<float>("<f4", {}, {1})}}),
              HasSubstr("has the shape []"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<float>("<f4", {0, 3}, {})}}),
              HasSubstr("has the shape [0, 3]"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<float>("<f4", {3, 1, 0}, {})}}),
              HasSubstr("array 'x': is empty: it has the shape [3, 1, 0], "
                        "expected samples with values"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<float>(">f4", {2}, {1, 2})}}),
              HasSubstr("array 'x': its type is '>f4', big-endian"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<double>("<c8", {2}, {1, 2})}}),
              HasSubstr("'<c8', expected f2"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<uint32_t>("<u4", {2}, {1, 2})}}),
              HasSubstr("'<u4', expected f2"));
  EXPECT_THAT(
      ErrorOf({{"x.npy", NpyBytes(FloatDict("[('a', '<f4')]", "False", "(2,)"),
                                  "12345678")}}),
      HasSubstr("structured"));
  EXPECT_THAT(ErrorOf({{"x.npy", NpyBytes(FloatDict("'<f4'", "True", "(2,)"),
                                          "12345678")}}),
              HasSubstr("Fortran"));
  EXPECT_THAT(ErrorOf({{"x.npy", "something else"}}),
              HasSubstr("does not begin as an .npy"));
  EXPECT_THAT(ErrorOf({{"x.npy", Npy<float>("<f4", {2}, {1, 2}, 4)}}),
              HasSubstr("version 4"));
}

TEST_F(NpzSourceTest, RefusesAHeaderThatContradictsTheArchive) {
  // A bomb: a small member that says it is a terabyte.
  EXPECT_THAT(
      ErrorOf(
          {{"x.npy", NpyBytes(FloatDict("'<f4'", "False", "(2, 137438953472)"),
                              "12345678")}}),
      HasSubstr("of elements"));
  EXPECT_THAT(ErrorOf({{"x.npy", NpyBytes(FloatDict("'<f4'", "False", "(3,)"),
                                          "12345678")}}),
              HasSubstr("and 12 of elements"));
  EXPECT_THAT(ErrorOf({{"x.npy", NpyBytes(FloatDict("'<f4'", "False", "(1,)"),
                                          "12345678")}}),
              HasSubstr("and 4 of elements"));
  EXPECT_THAT(
      ErrorOf(
          {{"x.npy",
            NpyBytes(FloatDict("'<f4'", "False",
                               "(4611686018427387904, 4611686018427387904)"),
                     "12345678")}}),
      HasSubstr("63 bits"));
}

// A member whose size in the archive's lists is a lie that its header shares.
TEST_F(NpzSourceTest, RefusesSizesThatLie) {
  for (const bool deflate : {false, true}) {
    SCOPED_TRACE(deflate);
    const std::string array = Npy<float>("<f4", {2, 4}, std::vector<float>(8));
    std::string zip =
        ReadText(WriteZip(folder_.Path("d.npz"), {{"x.npy", array}}, deflate));
    // 8 floats become 2^28 of them, in both lists and in the header if that is
    // not packed.
    const auto replace = [&zip](const std::string& from,
                                const std::string& to) {
      for (size_t at = 0; (at = zip.find(from, at)) != std::string::npos;) {
        zip.replace(at, from.size(), to);
        at += to.size();
      }
    };
    const auto little = [](uint32_t value) {
      return std::string(reinterpret_cast<char*>(&value), 4);
    };
    replace(little(static_cast<uint32_t>(array.size())),
            little((1u << 30) + 128));
    replace("(2, 4, )", "(268435456, )");
    ErrorOf(zip);
  }
}

TEST_F(NpzSourceTest, RefusesAWrongChecksum) {
  std::string zip = ReadText(
      WriteZip(folder_.Path("d.npz"),
               {{"x.npy", Npy<float>("<f4", {3}, {1.5f, 2.5f, 3.5f})}}));
  const float value = 2.5f;
  const size_t at =
      zip.find(std::string(reinterpret_cast<const char*>(&value), 4));
  ASSERT_NE(at, std::string::npos);
  zip[at + 2] ^= 0x10;
  EXPECT_THAT(ErrorOf(zip), HasSubstr("array 'x': CRC error"));
}

// Cut anywhere, or with any byte changed: an error, or the values as they were.
TEST_F(NpzSourceTest, NoBytesBreakIt) {
  TestRandom random;
  for (const bool deflate : {false, true}) {
    const std::string zip = ReadText(WriteZip(
        folder_.Path("d.npz"),
        {{"x.npy", Npy<float>("<f4", {3}, {1.5f, 2.5f, 3.5f})}}, deflate));
    for (size_t size = 0; size < zip.size(); ++size) {
      ErrorOf(zip.substr(0, size));
    }
    for (size_t at = 0; at < zip.size(); ++at) {
      std::string changed = zip;
      changed[at] = static_cast<char>(random.Byte());
      folder_.Write("d.npz", changed);
      std::unique_ptr<BatchSource> source;
      Status status = OpenFor(folder_.Path("d.npz"), {"x"}, &source);
      std::vector<float> values;
      if (status.ok()) status = ReadRest(source.get(), "x", 2, &values);
      if (status.ok()) {
        EXPECT_THAT(values, ElementsAre(1.5f, 2.5f, 3.5f)) << at;
      }
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
