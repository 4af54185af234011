#include "operators/qtensor_load_op.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>

#include "serialization/minidb_reader.h"
#include "tests/serialization/qtensor_testing.h"
#include "tests/support/every_target.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace {

// What happens before each read of a part of a file in this program.
std::function<void()> before_pread;

}  // namespace

extern "C" ssize_t pread(int file, void* bytes, size_t count, off_t offset) {
  if (before_pread) before_pread();
  return syscall(SYS_pread64, file, bytes, count, offset);
}

namespace caffe2_quantization {
namespace {

long PeakKilobytes() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// A record of a minidb with any sizes, right or wrong.
std::string Record(const std::string& key, const std::string& value,
                   int32_t key_size, int32_t value_size) {
  std::string bytes(8, '\0');
  std::memcpy(&bytes[0], &key_size, 4);
  std::memcpy(&bytes[4], &value_size, 4);
  return bytes + key + value;
}
std::string Record(const std::string& key, const std::string& value) {
  return Record(key, value, static_cast<int32_t>(key.size()),
                static_cast<int32_t>(value.size()));
}

class QTensorLoadOpTest : public testing::Test {
 protected:
  QTensorLoadOpTest() {
    char name[] = "/tmp/qtensor_load_op_test_XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  ~QTensorLoadOpTest() override {
    for (const auto& path : paths_) unlink(path.c_str());
    rmdir(directory_.c_str());
  }

  std::string Path(const std::string& name) {
    paths_.push_back(directory_ + "/" + name);
    return paths_.back();
  }
  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = Path(name);
    unlink(
        path.c_str());  // a file cut to nothing and filled may wait for a disk
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::string Read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  // The host's Save.
  static void Save(caffe2::Workspace* workspace, const std::string& path,
                   const std::vector<std::string>& blobs) {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "Save", blobs, {})
        .String("db", path)
        .String("db_type", "minidb")
        .Int("absolute_path", 1);
    ASSERT_TRUE(workspace->RunOperatorOnce(definition));
  }

  OpBuilder Op(const std::string& path,
               const std::vector<std::string>& outputs) {
    definition_.Clear();
    OpBuilder op(&definition_, "QTensorLoad", {}, outputs);
    return op.String("db", path).Int("absolute_path", 1);
  }
  bool Run() { return workspace_.RunOperatorOnce(definition_); }
  const QTensorCPU& QTensorOf(const std::string& name) {
    return workspace_.GetBlob(name)->Get<QTensorCPU>();
  }
  void ExpectError(const std::string& wanted) {
    const std::string error = ErrorOf([&] { Run(); });
    EXPECT_NE(error.find(wanted), std::string::npos)
        << "'" << wanted << "' is not in '" << error << "'";
  }

  static void Put(caffe2::Workspace* workspace, const std::string& name,
                  std::unique_ptr<QTensorCPU> tensor) {
    workspace->CreateBlob(name)->Reset(tensor.release());
  }
  static std::unique_ptr<QTensorCPU> PerChannel() {
    auto tensor =
        std::make_unique<PerChannelQTensor>(std::vector<int>{2, 3}, 4, true);
    QTensorExtras extras;
    extras.scales = {0.5, 2};
    extras.biases = {-1, 3};
    extras.axis = 0;
    extras.is_multiparam = true;
    extras.data_type = caffe2::TensorProto::FLOAT;
    tensor->SetExtras(extras);
    tensor->SetScale(1);
    tensor->SetBias(0);
    for (std::size_t i = 0; i < tensor->nbytes(); ++i) {
      tensor->mutable_data()[i] = static_cast<uint8_t>(77 * (i + 1));
    }
    return tensor;
  }

  TestRandom random_;
  std::string directory_;
  std::vector<std::string> paths_;
  caffe2::Workspace workspace_;
  caffe2::OperatorDef definition_;
};

TEST_F(QTensorLoadOpTest, KeepsEveryBitThroughTheHostsMinidb) {
  for (int round = 0; round < 30; ++round) {
    caffe2::Workspace source;
    const auto a = RandomQTensor(&random_), b = RandomQTensor(&random_);
    std::string bytes;
    for (const auto& [name, tensor] :
         {std::pair("a", a.get()), {"b", b.get()}}) {
      std::unique_ptr<QTensorCPU> copy;
      bytes = OurBytes(*tensor, name);
      ASSERT_TRUE(
          QTensorFromBytes(bytes.data(), bytes.size(), &copy, nullptr).ok());
      Put(&source, name, std::move(copy));
    }
    Put(&source, "c", PerChannel());
    const std::string path = Path("round" + std::to_string(round));
    Save(&source, path, {"a", "b", "c"});
    OnEveryTarget([&] {
      Op(path, {"c", "a", "b"});
      ASSERT_TRUE(Run());
      ExpectSameTensor(QTensorOf("a"), *a);
      ExpectSameTensor(QTensorOf("b"), *b);
      ExpectSameTensor(QTensorOf("c"), *PerChannel());
    });
  }
}

// What the host's Load does with tensors, whole and in chunks, and strings.
TEST_F(QTensorLoadOpTest, ReadsOtherBlobsAsTheHostDoes) {
  caffe2::Workspace source;
  std::vector<float> values(1000);
  for (float& value : values) value = random_.Float(-1, 1);
  FeedFloats(&source, "t", values, {10, 100});
  *source.CreateBlob("s")->GetMutable<std::string>() = "text";
  Put(&source, "q", PerChannel());
  const std::string path = Path("db");
  caffe2::OperatorDef save;
  OpBuilder(&save, "Save", {"t", "s", "q"}, {})
      .String("db", path)
      .String("db_type", "minidb")
      .Int("absolute_path", 1)
      .Int("chunk_size", 64);
  ASSERT_TRUE(source.RunOperatorOnce(save));
  const std::string bytes = Read(path);
  ASSERT_NE(bytes.find("t#%1"), std::string::npos) << "no chunks";
  Op(path, {}).Int("load_all", 1);
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<float>(workspace_, "t"), values);
  EXPECT_EQ(workspace_.GetBlob("t")->Get<caffe2::Tensor>().sizes(),
            (std::vector<int64_t>{10, 100}));
  EXPECT_EQ(workspace_.GetBlob("s")->Get<std::string>(), "text");
  ExpectSameTensor(QTensorOf("q"), *PerChannel());
  FeedFloats(&workspace_, "t", {});
  Op(path, {"t"});
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<float>(workspace_, "t"), values);

  // A chunk that is missing leaves everything as it was.
  MinidbReader reader(bytes.data(), bytes.size());
  MinidbRecord record;
  std::string without_one;
  while (!reader.AtEnd()) {
    ASSERT_TRUE(reader.Next(&record).ok());
    EXPECT_EQ(MinidbBlobName(record.key), record.key.substr(0, 1));
    if (record.key != "t#%3") {
      without_one += Record(std::string(record.key), std::string(record.value));
    }
  }
  workspace_.RemoveBlob("q");
  FeedFloats(&workspace_, "t", {1, 2});
  Op(Write("broken", without_one), {}).Int("load_all", 1);
  EXPECT_NE(ErrorOf([&] { Run(); }), "");
  EXPECT_FALSE(workspace_.HasBlob("q"));
  EXPECT_EQ(Fetch<float>(workspace_, "t"), (std::vector<float>{1, 2}));
}

TEST_F(QTensorLoadOpTest, ReadsFilesOfOneBlob) {
  const auto tensor = PerChannel();
  ASSERT_TRUE(QTensorToFile(*tensor, "w", Path("w.blob")).ok());
  caffe2::Workspace source;
  FeedFloats(&source, "t", {1, 2, 3});
  Write("t.blob", caffe2::SerializeBlob(*source.GetBlob("t"), "t"));
  for (const char* type : {"", "file"}) {
    caffe2::Workspace fresh;
    definition_.Clear();
    OpBuilder(&definition_, "QTensorLoad", {}, {"t", "w"})
        .Strings("dbs", {paths_[0], paths_[1]})
        .String("db_type", type)
        .Int("absolute_path", 1);
    ASSERT_TRUE(fresh.RunOperatorOnce(definition_));
    EXPECT_EQ(Fetch<float>(fresh, "t"), (std::vector<float>{1, 2, 3}));
    ExpectSameTensor(fresh.GetBlob("w")->Get<QTensorCPU>(), *tensor);
  }
  Op(paths_[0], {"w"}).String("db_type", "minidb");
  ExpectError("minidb, offset 0: key_size is");
}

TEST_F(QTensorLoadOpTest, NamesFollowTheArguments) {
  caffe2::Workspace source;
  Put(&source, "gpu_0/a", PerChannel());
  Put(&source, "b", RandomQTensor(&random_));
  const std::string path = Path("db");
  Save(&source, path, {"gpu_0/a", "b"});
  Op(path, {}).Int("load_all", 1).String("strip_prefix", "gpu_0/");
  ASSERT_TRUE(Run());
  EXPECT_TRUE(workspace_.HasBlob("a"));
  Op(path, {"new/b"}).Int("load_all", 1).String("add_prefix", "new/");
  ASSERT_TRUE(Run());
  EXPECT_TRUE(workspace_.HasBlob("new/gpu_0/a"));
  Op(path, {"w"}).Strings("source_blob_names", {"gpu_0/a"});
  ASSERT_TRUE(Run());
  ExpectSameTensor(QTensorOf("w"), *PerChannel());

  // Below the workspace's folder, unless absolute_path.
  caffe2::Workspace elsewhere(directory_);
  caffe2::OperatorDef relative;
  OpBuilder(&relative, "QTensorLoad", {}, {"b"}).String("db", "db");
  EXPECT_TRUE(elsewhere.RunOperatorOnce(relative));

  // What is not there keeps what it had, if that is asked for.
  FeedFloats(&workspace_, "absent", {4});
  Op(path, {"absent", "b"}).Int("allow_incomplete", 1);
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<float>(workspace_, "absent"), std::vector<float>{4});
  Op(path, {"absent", "b"});
  ExpectError("blob 'absent' is in none of the files");
  ExpectError("which hold 'b', 'gpu_0/a'");
  Op(path, {"absent"}).Int("load_all", 1);
  ExpectError("blob 'absent' is in none of the files");
}

TEST_F(QTensorLoadOpTest, BadArgumentsAreNamed) {
  definition_.Clear();
  OpBuilder(&definition_, "QTensorLoad", {}, {"a"});
  ExpectError("expected one of the arguments db and dbs");
  Op("", {"a"});
  ExpectError("a file name is empty");
  Op("/nowhere/at/all", {"a"});
  ExpectError("'/nowhere/at/all': cannot open: No such file");
  Op(directory_, {"a"});
  ExpectError("is not a regular file");
  Op("x", {"a"}).String("db_type", "leveldb");
  ExpectError("db_type is 'leveldb', expected 'minidb', 'file' or none");
  Op("x", {});
  ExpectError("expected outputs, or the argument load_all");
  Op("x", {"a"}).Strings("source_blob_names", {"a", "b"});
  ExpectError("source_blob_names has 2 names, expected 1");
  Op("x", {"a", "b"}).Strings("source_blob_names", {"c", "c"});
  ExpectError("blob 'c' is asked for twice");
  Op("x", {"a"}).Strings("source_blob_names", {"c"}).Int("load_all", 1);
  ExpectError("load_all asks for all");
  Op("x", {"a"})
      .Strings("source_blob_names", {"c"})
      .String("strip_prefix", "p");
  ExpectError("exclude each other");
}

TEST_F(QTensorLoadOpTest, HostileFilesAreRefusedAndChangeNothing) {
  const std::string q = OurBytes(*PerChannel(), "q");
  FeedFloats(&workspace_, "q", {1, 2});
  const void* before = workspace_.GetBlob("q")->GetRaw();
  int files = 0;
  const auto expect = [&](const std::string& bytes, const std::string& wanted) {
    const std::string path = Write(std::to_string(files++), bytes);
    for (const bool load_all : {false, true}) {
      auto op = Op(path, {"q"});
      op.String("db_type", "minidb");
      if (load_all) op.Int("load_all", 1);
      ExpectError(wanted);
      EXPECT_EQ(workspace_.GetBlob("q")->GetRaw(), before);
      EXPECT_EQ(workspace_.Blobs().size(), 1u);
    }
  };
  const std::string good = Record("q", q);
  expect("", "blob 'q' is in none of the files");
  expect(good + "123", "minidb, offset " + std::to_string(good.size()) +
                           ": record has 3 bytes, expected at least 8");
  expect(good + Record("r", "", -1, 0), "key_size is -1, expected 0 to 1");
  expect(good + Record("r", "", 1, -5), "value_size is -5, expected 0 to 0");
  expect(good + Record("r", "abc", INT32_MAX, 3),
         "key_size is 2147483647, expected 0 to 4");
  expect(good + Record("r", "abc", 1, INT32_MAX),
         "value_size is 2147483647, expected 0 to 3");
  expect(good + good, "blob 'q' is there twice");
  caffe2::Workspace source;
  FeedFloats(&source, "q", {1});
  const std::string t = caffe2::SerializeBlob(*source.GetBlob("q"), "q");
  expect(good + Record("q", t), "blob 'q' is there twice");
  expect(Record("q", t) + good, "blob 'q' is there twice");
  expect(Record("q", "\x08"), "blob 'q': BlobProto, ");
  expect(Record("q", ""), "blob 'q', type ''");
  expect(Record("q", BlobOf(Message().Varint(kPrecision, 65))), "blob 'q'");

  // Every prefix, as a minidb and as a file of one blob.
  for (const std::string& whole : {good, q}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      Op(Write("prefix", whole.substr(0, size)), {"q"});
      EXPECT_NE(ErrorOf([&] { Run(); }), "") << size;
      EXPECT_EQ(workspace_.GetBlob("q")->GetRaw(), before);
    }
  }
  // Every byte of the file changed at random: loads or refuses.
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = random_.OneIn(2) ? good : q;
    for (int n = random_.Integer(1, 3); n > 0; --n) {
      bytes[random_.Integer(0, bytes.size() - 1)] = random_.Byte();
    }
    Op(Write("mutated", bytes), {"q"});
    ErrorOf([&] { Run(); });
  }
}

TEST_F(QTensorLoadOpTest, TwoFilesMustNotHoldTheSameBlob) {
  const std::string q = OurBytes(*PerChannel(), "q");
  definition_.Clear();
  OpBuilder op(&definition_, "QTensorLoad", {}, {"q"});
  op.Strings("dbs", {Write("1", Record("q", q)), Write("2", q)})
      .Int("absolute_path", 1);
  ExpectError("blob 'q' is in an earlier file too");
  EXPECT_EQ(workspace_.GetBlob("q")->GetRaw(), nullptr);
}

// The file becomes shorter before each of the reads in turn, as by another
// process: an error names it, and the process lives.
TEST_F(QTensorLoadOpTest, AFileThatIsShortenedMeanwhileIsAnError) {
  auto tensor =
      std::make_unique<QTensorCPU>(std::vector<int>{1 << 20}, 8, false);
  tensor->SetScale(1);
  tensor->SetBias(0);
  std::memset(tensor->mutable_data(), 'x', tensor->nbytes());
  const std::string file = OurBytes(*tensor, "q");
  for (const std::string& bytes : {file, Record("q", file)}) {
    const std::string size = std::to_string(bytes.size());
    for (const off_t left : {0, 1, 4096, 500'000}) {
      int reads = 0;
      bool loaded = false;
      for (int at = 0; !loaded; ++at) {
        ASSERT_LT(at, 10);
        const std::string path = Write("shortened", bytes);
        reads = 0;
        before_pread = [&] {
          if (reads++ == at) {
            EXPECT_EQ(truncate(path.c_str(), left), 0);
          }
        };
        Op(path, {"q"});
        const std::string error = ErrorOf([&] { Run(); });
        before_pread = nullptr;
        loaded = error.empty();
        if (loaded) break;
        EXPECT_NE(error.find("'" + path + "' has " + std::to_string(left) +
                             " bytes, expected " + size),
                  std::string::npos)
            << error;
      }
      EXPECT_GT(reads, 0);
      ExpectSameTensor(QTensorOf("q"), *tensor);
    }
  }
}

// Blobs that nobody asked for are passed over by their sizes alone.
TEST_F(QTensorLoadOpTest, ReadsNoMoreThanIsAskedFor) {
  const std::string q = OurBytes(*PerChannel(), "q");
  const std::string path =
      Write("sparse", Record("q", q) + Record("other", "x"));
  // The other blob's 2 GiB are a hole that takes no space.
  std::string bytes = Read(path);
  const int32_t sizes[] = {5, std::numeric_limits<int32_t>::max()};
  std::memcpy(&bytes[8 + 1 + q.size()], sizes, sizeof(sizes));
  Write("sparse", bytes);
  ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(bytes.size() - 1) +
                                       std::numeric_limits<int32_t>::max()),
            0);
  const long before = PeakKilobytes();
  Op(path, {"q"});
  ASSERT_TRUE(Run());
  ExpectSameTensor(QTensorOf("q"), *PerChannel());
  EXPECT_LT(PeakKilobytes() - before, 64 << 10);
}

TEST(MinidbReader, ReadsAFileAsItReadsMemory) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes += Record("key " + std::to_string(i), std::string(i * 37, char(i)));
  }
  const std::string path =
      testing::TempDir() + "minidb_reader_test." + std::to_string(getpid());
  std::ofstream(path, std::ios::binary) << bytes;
  InputFile file;
  ASSERT_TRUE(file.Open(path).ok());
  EXPECT_TRUE(IsMinidb(MinidbReader(&file)));
  MinidbReader of_file(&file), of_memory(bytes.data(), bytes.size());
  for (int i = 0; !of_memory.AtEnd(); ++i) {
    ASSERT_FALSE(of_file.AtEnd());
    MinidbRecord found, expected;
    ASSERT_TRUE(of_file.Peek(&found).ok());
    EXPECT_EQ(found.key, "key " + std::to_string(i));
    EXPECT_EQ(found.value_size, static_cast<std::size_t>(i) * 37);
    if (i % 3 == 2) {
      ASSERT_TRUE(of_file.Skip().ok() && of_memory.Skip().ok());
      continue;
    }
    ASSERT_TRUE(of_file.Next(&found).ok() && of_memory.Next(&expected).ok());
    EXPECT_EQ(found.offset, expected.offset);
    EXPECT_EQ(found.value_offset, expected.value_offset);
    EXPECT_EQ(found.key, expected.key);
    EXPECT_EQ(found.value, expected.value);
  }
  EXPECT_TRUE(of_file.AtEnd());
  ASSERT_EQ(truncate(path.c_str(), 100'000), 0);
  MinidbReader shortened(&file);
  MinidbRecord record;
  Status status;
  while (status.ok() && !shortened.AtEnd()) status = shortened.Next(&record);
  EXPECT_EQ(status.message(), "'" + path + "' has 100000 bytes, " +
                                  "expected " + std::to_string(bytes.size()) +
                                  " as when it was opened: it was shortened "
                                  "meanwhile");
  unlink(path.c_str());
}

TEST(MinidbReader, TellsAMinidbByItsSizes) {
  const std::string two = Record("a", "xyz") + Record("", "");
  EXPECT_TRUE(IsMinidb(MinidbReader(two.data(), two.size())));
  EXPECT_FALSE(IsMinidb(MinidbReader(two.data(), two.size() - 1)));
  EXPECT_FALSE(IsMinidb(MinidbReader(two.data(), 0)));
  EXPECT_FALSE(IsMinidb(MinidbReader(nullptr, 0)));
  MinidbReader reader(two.data(), two.size());
  MinidbRecord record;
  ASSERT_TRUE(reader.Next(&record).ok());
  EXPECT_EQ(record.key, "a");
  EXPECT_EQ(record.value, "xyz");
  EXPECT_EQ(record.offset, 0u);
  EXPECT_EQ(record.value_offset, 9u);
  ASSERT_TRUE(reader.Next(&record).ok());
  EXPECT_EQ(record.offset, 12u);
  EXPECT_TRUE(record.key.empty());
  EXPECT_TRUE(reader.AtEnd());
}

}  // namespace
}  // namespace caffe2_quantization
