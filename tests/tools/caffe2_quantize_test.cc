// The command line as a user meets it: exit status, both streams, files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace caffe2_quantization {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class Caffe2QuantizeTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* program = std::getenv("CAFFE2_QUANTIZATION_CLI");
    const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
    if (program == nullptr || root == nullptr) {
      GTEST_SKIP() << "run by CTest, which says where the program is";
    }
    program_ = program;
    digits_ = std::string(root) + "/examples/digits/";
    std::string pattern = testing::TempDir() + "tools_test_XXXXXX";
    ASSERT_NE(mkdtemp(&pattern[0]), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    if (folder_.empty()) return;
    for (const char* name :
         {"out", "err", "o.minmax", "o.json", "cut.pb", "net.pbtxt", "a.json",
          "b.json", "c.json", "o.profile", "p.json", "p.profile", "d.csv",
          "data.csv", "label.csv", "p.json.checkpoint"}) {
      unlink(Path(name).c_str());
    }
    rmdir(folder_.c_str());
  }

  std::string Path(const std::string& name) const {
    return folder_ + '/' + name;
  }

  // Runs the program with arguments in shell form; fills out_ and err_.
  int Run(const std::string& arguments, const std::string& environment = "") {
    const std::string command = environment + " '" + program_ + "' " +
                                arguments + " >'" + Path("out") + "' 2>'" +
                                Path("err") + "' </dev/null";
    const int status = std::system(command.c_str());
    out_ = ReadText(Path("out"));
    err_ = ReadText(Path("err"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // Starts the program and sends it a signal when it has written its first
  // note, just before its first batch; gives what waitpid does.
  int Stop(const std::string& arguments, int signal,
           const std::string& prefix = "exec") {
    int error[2];
    EXPECT_EQ(pipe(error), 0);
    const std::string command = prefix + " '" + program_ + "' " + arguments;
    const pid_t child = fork();
    if (child == 0) {
      dup2(error[1], STDERR_FILENO);
      close(error[0]);
      close(error[1]);
      if (std::freopen(Path("out").c_str(), "w", stdout) == nullptr) _exit(99);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(98);
    }
    close(error[1]);
    err_.clear();
    bool sent = false;
    char piece[4096];
    ssize_t got = 0;
    while ((got = read(error[0], piece, sizeof(piece))) > 0) {
      err_.append(piece, static_cast<size_t>(got));
      if (sent || err_.find("note: ") == std::string::npos) continue;
      // Let it do some of its batches.
      while (access(Path("p.json.checkpoint").c_str(), F_OK) != 0 &&
             waitpid(child, nullptr, WNOHANG | WNOWAIT) == 0) {
        usleep(200);
      }
      kill(child, signal);
      sent = true;
    }
    close(error[0]);
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }

  std::string Predict() const {
    return " --predict " + digits_ + "predict_net.pb";
  }
  std::string Init(const std::string& name = "init_net.pb") const {
    return " --init " + digits_ + name;
  }
  std::string Data() const { return " --data " + digits_ + "test_images.pb"; }

  // One line, by us, and nothing on standard output.
  void ExpectOneLineOfError(const std::string& part) const {
    EXPECT_THAT(err_, StartsWith("caffe2-quantize: "));
    EXPECT_THAT(err_, HasSubstr(part));
    EXPECT_EQ(err_.find('\n'), err_.size() - 1) << err_;
    EXPECT_EQ(out_, "");
  }

  std::string program_, digits_, folder_, out_, err_;
};

TEST_F(Caffe2QuantizeTest, PrintsTablesAndWritesFiles) {
  ASSERT_EQ(Run("run" + Predict() + " --init float=" + digits_ +
                "init_net.pb --init byte=" + digits_ +
                "init_net_byte.pb --init qtensor=" + digits_ +
                "init_net_qtensor.pb" + Data() + " --minmax " +
                Path("o.minmax") + " --json " + Path("o.json")),
            0)
      << err_;
  EXPECT_EQ(err_, "");  // no progress: it is no terminal
  EXPECT_THAT(out_, HasSubstr("conv2_w_q  conv2_w  [32, 16, 3, 3]     8  yes"));
  EXPECT_THAT(out_, HasSubstr("written to " + Path("o.minmax")));
  for (const char* label : {"\nfloat *", "\nbyte", "\nqtensor"}) {
    const auto line_begin = out_.rfind(label);
    ASSERT_NE(line_begin, std::string::npos) << label;
    const auto line = out_.substr(
        line_begin + 1, out_.find('\n', line_begin + 1) - line_begin - 1);
    EXPECT_THAT(line, HasSubstr(" 540 "));
    EXPECT_THAT(line, HasSubstr("99."));
  }

  // Every output of the net has one line of six fields.
  std::istringstream lines(ReadText(Path("o.minmax")));
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    int op_index = -1, output_index = -1;
    std::string type, tensor, rest;
    double min = 1, max = 0;
    fields >> op_index >> type >> output_index >> tensor >> min >> max;
    EXPECT_FALSE(fields.fail()) << line;
    EXPECT_FALSE(fields >> rest) << line;
    EXPECT_EQ(op_index, count);
    EXPECT_EQ(output_index, 0);
    EXPECT_LT(min, max);
    ++count;
  }
  EXPECT_EQ(count, 10);

  const auto json = nlohmann::json::parse(ReadText(Path("o.json")));
  EXPECT_EQ(json["models"].size(), 3u);
  EXPECT_EQ(json["models"][2]["qtensors"].size(), 4u);
  EXPECT_GT(json["models"][0]["accuracy"], 0.97);
}

TEST_F(Caffe2QuantizeTest, JsonOnStandardOutputStandsAlone) {
  ASSERT_EQ(Run("run" + Predict() + Init() + Data() + " --json -"), 0) << err_;
  EXPECT_EQ(nlohmann::json::parse(out_)["models"][0]["label"], "init_net");
}

TEST_F(Caffe2QuantizeTest, QuietIsQuiet) {
  ASSERT_EQ(Run("run --quiet" + Predict() + Init() + Data()), 0);
  EXPECT_EQ(out_ + err_, "");
}

TEST_F(Caffe2QuantizeTest, ShowsProgressOnATerminal) {
  // script(1) gives the program a terminal.
  if (std::system("command -v script >/dev/null") != 0) {
    GTEST_SKIP() << "there is no script command";
  }
  const std::string command = "script -qec \"'" + program_ + "' run" +
                              Predict() + Init() + Data() + "\" /dev/null >'" +
                              Path("out") + "' </dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string out = ReadText(Path("out"));
  EXPECT_THAT(out, HasSubstr("100 %  540/540 images"));
  EXPECT_THAT(out, HasSubstr("/s"));
}

TEST_F(Caffe2QuantizeTest, RunsATextNetOfAnotherType) {
  std::ofstream(Path("net.pbtxt"))
      << "op { type: \"Softmax\" input: \"data\" output: \"y\" }\n"
         "external_input: \"data\" external_output: \"y\"\n";
  ASSERT_EQ(Run("run --predict " + Path("net.pbtxt") + Init() + Data() +
                " --net-type async_scheduling --observe none"),
            0)
      << err_;
  EXPECT_THAT(out_, HasSubstr("(async_scheduling)"));
  EXPECT_THAT(out_, Not(HasSubstr("Smallest")));
}

TEST_F(Caffe2QuantizeTest, FailuresAreOneClearLine) {
  EXPECT_EQ(Run("run --predict nowhere.pb" + Init() + Data()), 1);
  ExpectOneLineOfError("nowhere.pb: cannot open: No such file");

  std::ofstream(Path("cut.pb"), std::ios::binary)
      << ReadText(digits_ + "predict_net.pb").substr(0, 400);
  EXPECT_EQ(Run("run --predict " + Path("cut.pb") + Init() + Data()), 1);
  ExpectOneLineOfError("cut.pb: not a NetDef, or cut short (400 bytes)");

  EXPECT_EQ(Run("run" + Predict() + Init("predict_net.pb") + Data()), 1);
  ExpectOneLineOfError("makes: conv1_w, conv1_b");

  EXPECT_EQ(
      Run("run" + Predict() + Init() + " --data " + digits_ + "init_net.pb"),
      1);
  ExpectOneLineOfError("init_net.pb");

  EXPECT_EQ(Run("run" + Predict() + Init() + Data() + " --minmax " +
                Path("no/folder.minmax")),
            1);
  ExpectOneLineOfError("folder.minmax");
}

TEST_F(Caffe2QuantizeTest, MergesProfiles) {
  const auto write = [this](const std::string& name, char hash) {
    std::ofstream(Path(name))
        << R"({"format_version": 1, "net_name": "digits", "net_hash": ")"
        << std::string(32, hash) << R"(", "runs": "3", "recorded_runs": "2",)"
        << R"("samples": "24", "provenance": {"hosts": [")" << name
        << R"("]}})";
  };
  write("a.json", 'a');
  write("b.json", 'a');
  write("c.json", 'c');
  const std::string inputs = Path("a.json") + " " + Path("b.json");
  ASSERT_EQ(Run("merge " + inputs + " -o " + Path("o.json")), 0) << err_;
  EXPECT_EQ(err_, "");
  EXPECT_THAT(out_, HasSubstr("→ " + Path("o.json")));
  EXPECT_THAT(out_, HasSubstr("a.json, b.json"));
  const auto merged = nlohmann::json::parse(ReadText(Path("o.json")));
  EXPECT_EQ(merged["runs"], "6");
  EXPECT_EQ(merged["samples"], "48");

  const std::string all = inputs + " " + Path("c.json");
  EXPECT_EQ(Run("merge " + all + " -o " + Path("o.profile")), 1);
  ExpectOneLineOfError("net_hash is " + std::string(32, 'c') + ", expected " +
                       std::string(32, 'a'));
  EXPECT_EQ(ReadText(Path("o.profile")), "");
  ASSERT_EQ(Run("merge --force --json - " + all + " -o " + Path("o.profile")),
            0);
  const auto report = nlohmann::json::parse(out_);
  EXPECT_EQ(report["inputs"].size(), 3u);
  EXPECT_EQ(report["output"]["samples"], 72);
  EXPECT_EQ(report["output"]["forced"].size(), 2u);
  EXPECT_THAT(err_, HasSubstr("note: merged by force: net_hash: aaaa"));

  EXPECT_EQ(Run("merge -o " + Path("o.profile")), 2);
  EXPECT_EQ(Run("merge " + inputs), 2);
}

TEST_F(Caffe2QuantizeTest, InspectsModelFiles) {
  ASSERT_EQ(Run("inspect " + digits_ + "init_net_qtensor.pb " + digits_ +
                "test_images.pb --json " + Path("o.json")),
            0)
      << err_;
  EXPECT_EQ(err_, "");
  EXPECT_THAT(out_, HasSubstr("init_net_qtensor.pb: NetDef, binary, 22,025"));
  EXPECT_THAT(out_, HasSubstr("conv1_w_q → conv1_w"));
  EXPECT_THAT(out_, HasSubstr("conv2_w_q  [32, 16, 3, 3]     8  yes"));
  EXPECT_THAT(out_, HasSubstr("data   float  [540, 1, 8, 8]  138,240"));
  const auto json = nlohmann::json::parse(ReadText(Path("o.json")));
  ASSERT_EQ(json["files"].size(), 2u);
  EXPECT_EQ(json["files"][0]["qtensors"].size(), 4u);
  EXPECT_EQ(json["files"][1]["form"], "TensorProtos");

  ASSERT_EQ(Run("inspect " + digits_ + "init_net_qtensor.pb --json - --float " +
                digits_ + "init_net.pb"),
            0)
      << err_;
  const auto compared = nlohmann::json::parse(out_);
  EXPECT_GT(compared["files"][0]["against_float"]["sqnr_db"], 40);
}

TEST_F(Caffe2QuantizeTest, CalibratesToAProfile) {
  const std::string command =
      "calibrate" + Predict() + Init() + Data() + " --batch-size 100 -o ";
  ASSERT_EQ(Run(command + Path("p.json") + " --json " + Path("o.json")), 0)
      << err_;
  EXPECT_EQ(err_, "note: data blob 'label' is no input of the net: ignored\n");
  EXPECT_THAT(out_, HasSubstr("540 samples of TensorProtos in batches of 100"));
  EXPECT_THAT(out_, HasSubstr("9  Softmax"));
  const auto profile = nlohmann::json::parse(ReadText(Path("p.json")));
  EXPECT_EQ(profile["samples"], "540");
  EXPECT_EQ(profile["runs"], "6");
  EXPECT_EQ(profile["operators"].size(), 10u);
  const auto report = nlohmann::json::parse(ReadText(Path("o.json")));
  EXPECT_EQ(report["samples"], 540);
  EXPECT_EQ(report["data_form"], "TensorProtos");

  ASSERT_EQ(Run(command + Path("p.json") +
                " --json - --limit 150 --shard 1/2 --op-type 'Re*' "
                "--histogram-bins 0 --column-max relu3"),
            0)
      << err_;
  const auto shard = nlohmann::json::parse(out_);
  EXPECT_EQ(shard["samples"], 50);
  EXPECT_EQ(shard["observed"]["operators"].size(), 3u);
}

TEST_F(Caffe2QuantizeTest, NamesThatTheNetDoesNotHaveAreRefused) {
  const std::string calibrate =
      "calibrate" + Predict() + Init() + Data() + " -o " + Path("p.profile");
  EXPECT_EQ(Run(calibrate + " --quiet --op-type Konv --op-type Relu"), 1);
  ExpectOneLineOfError(
      "op_types: net 'digits' has no operator of type 'Konv' (did you mean "
      "'Conv'?); there are: Conv, FC, MaxPool, Relu, Softmax");
  EXPECT_EQ(Run(calibrate + " --quiet --output nosuch"), 1);
  ExpectOneLineOfError("outputs: net 'digits' has no output 'nosuch'");
  EXPECT_EQ(Run(calibrate + " --quiet --op-name nosuch"), 1);
  ExpectOneLineOfError("op_names: net 'digits' has no operator called");
  EXPECT_EQ(Run(calibrate + " --quiet --column-max relu33"), 1);
  ExpectOneLineOfError("no output 'relu33' (did you mean 'relu3'?)");
  EXPECT_NE(access(Path("p.profile").c_str(), F_OK), 0);

  const std::string run = "run" + Predict() + Init() + Data() + " --quiet ";
  EXPECT_EQ(Run(run + "--output softmx"), 1);
  ExpectOneLineOfError("'softmx' does not exist (did you mean 'softmax'?)");
  EXPECT_EQ(Run(run + "--label lable"), 1);
  ExpectOneLineOfError("no label blob 'lable' (did you mean 'label'?)");
}

TEST_F(Caffe2QuantizeTest, LabelsInACsvFile) {
  // Ten times the same image, and every class once: one of them is right.
  std::string row;
  for (int i = 0; i < 64; ++i) row += i > 0 ? ",0.5" : "0.25";
  {
    std::ofstream data(Path("data.csv")), label(Path("label.csv"));
    label << "class\n";
    for (int i = 0; i < 10; ++i) {
      data << row << '\n';
      label << i << '\n';
    }
  }
  const std::string arguments = Predict() + Init() + " --data " + folder_ +
                                " --shape data=1,8,8 --json - ";
  ASSERT_EQ(Run("run" + arguments), 0) << err_;
  auto json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["label"], "label");
  EXPECT_EQ(json["images"], 10);
  EXPECT_EQ(json["models"][0]["correct"], 1);
  ASSERT_EQ(Run("calibrate" + arguments + "-o " + Path("p.profile")), 0)
      << err_;
  EXPECT_EQ(err_, "note: data blob 'label' is no input of the net: ignored\n");
  json = nlohmann::json::parse(out_);
  EXPECT_EQ(json["samples"], 10);
}

TEST_F(Caffe2QuantizeTest, CalibratesOnePathOnceAtATime) {
  const std::string lock = Path("p.profile.lock");
  const int file = open(lock.c_str(), O_RDWR | O_CREAT, 0666);
  ASSERT_EQ(flock(file, LOCK_EX), 0);
  EXPECT_EQ(Run("calibrate" + Predict() + Init() + Data() + " -o " +
                Path("p.profile")),
            1);
  ExpectOneLineOfError("another process is writing to '" + Path("p.profile") +
                       "' (its lock is held on '" + lock + "')");
  close(file);
  // What a killed process left hinders nobody.
  EXPECT_EQ(Run("calibrate --quiet" + Predict() + Init() + Data() + " -o " +
                Path("p.profile")),
            0)
      << err_;
  EXPECT_NE(access(lock.c_str(), F_OK), 0);
}

TEST_F(Caffe2QuantizeTest, CalibrateTakesTablesAndTheirShape) {
  std::ofstream csv(Path("d.csv"));
  for (int row = 0; row < 5; ++row) {
    for (int i = 0; i < 64; ++i) csv << (i > 0 ? "," : "") << (i + row) % 7;
    csv << '\n';
  }
  csv.close();
  const std::string command = "calibrate --quiet" + Predict() + Init() +
                              " --data " + Path("d.csv") + " -o " +
                              Path("p.json");
  EXPECT_EQ(Run(command + " --shape data=1,8,8"), 0) << err_;
  EXPECT_EQ(nlohmann::json::parse(ReadText(Path("p.json")))["samples"], "5");
  EXPECT_EQ(Run(command + " --shape data=1,8,9"), 1);
  ExpectOneLineOfError("d.csv:1:1: 64 numbers, expected 72");
  std::ofstream(Path("d.csv"), std::ios::app) << "1,2,x\n";
  EXPECT_EQ(Run(command + " --shape data=1,8,8"), 1);
  ExpectOneLineOfError("d.csv:6:5: 'x' is no number");
}

// Images of 8 x 8 pixels, as test_images.pb has them, and a net that wants
// them.
class CommandOnImagesTest : public Caffe2QuantizeTest {
 protected:
  void SetUp() override {
    Caffe2QuantizeTest::SetUp();
    if (IsSkipped()) return;
    images_ = Path("images");
    mkdir(images_.c_str(), 0777);
    for (int i = 0; i < 5; ++i) {
      std::string pixels;
      for (int j = 0; j < 3 * 64; ++j) {
        pixels += static_cast<char>((37 * i + 11 * j) % 256);
      }
      std::ofstream(images_ + '/' + std::to_string(i) + ".ppm",
                    std::ios::binary)
          << "P6 8 8 255\n"
          << pixels;
    }
  }
  void TearDown() override {
    for (int i = 0; i < 5; ++i) {
      unlink((images_ + '/' + std::to_string(i) + ".ppm").c_str());
    }
    rmdir(images_.c_str());
    Caffe2QuantizeTest::TearDown();
  }

  // A net y = x over three channels.
  std::string ColorNet() {
    std::ofstream(Path("net.pbtxt"))
        << "name: 'color' external_input: 'x' external_output: 'y' op { type: "
           "'Scale' input: 'x' output: 'y' arg { name: 'scale' f: 1 } }";
    std::ofstream(Path("cut.pb"))
        << "name: 'none' op { type: 'GivenTensorFill' output: 'unused' arg { "
           "name: 'shape' ints: 1 } arg { name: 'values' floats: 0 } }";
    return " --predict " + Path("net.pbtxt") + " --init " + Path("cut.pb") +
           " --data " + images_;
  }
  // The range of y, by a calibration with these options.
  std::pair<double, double> RangeWith(const std::string& options) {
    EXPECT_EQ(Run("calibrate --quiet" + ColorNet() + " -o " + Path("p.json") +
                  options),
              0)
        << err_;
    const auto profile = nlohmann::json::parse(ReadText(Path("p.json")));
    const auto& range = profile["operators"][0]["outputs"][0]["range"];
    return {range["min"], range["max"]};
  }
  // The same of the pixels themselves.
  static std::pair<double, double> Expected(const double (&mean)[3],
                                            const double (&std)[3],
                                            double scale) {
    double low = 1e9, high = -1e9;
    for (int i = 0; i < 5; ++i) {
      for (int j = 0; j < 3 * 64; ++j) {
        const double value =
            (scale * ((37 * i + 11 * j) % 256) - mean[j % 3]) / std[j % 3];
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
    return {low, high};
  }
  void ExpectRange(const std::string& options, const double (&mean)[3],
                   const double (&std)[3], double scale = 1) {
    SCOPED_TRACE(options);
    const auto found = RangeWith(options);
    const auto expected = Expected(mean, std, scale);
    EXPECT_NEAR(found.first, expected.first, 1e-5 * std::abs(expected.first));
    EXPECT_NEAR(found.second, expected.second,
                1e-5 * std::abs(expected.second));
  }

  std::string images_;
};

TEST_F(CommandOnImagesTest, MeanAndStdAreOneNumberOrOneForEachChannel) {
  ExpectRange("", {0, 0, 0}, {1, 1, 1});
  ExpectRange(" --mean 10 --std 2", {10, 10, 10}, {2, 2, 2});
  ExpectRange(" --mean 104,117,123 --std 58.5,57.25,57.5", {104, 117, 123},
              {58.5, 57.25, 57.5});
  ExpectRange(" --mean=104,117,123", {104, 117, 123}, {1, 1, 1});
  ExpectRange(" --mean 104 --mean 117 --mean 123", {104, 117, 123}, {1, 1, 1});
  ExpectRange(" --mean -1,-2,-3 --scale 0.5", {-1, -2, -3}, {1, 1, 1}, 0.5);
  // Options that follow are options.
  ExpectRange(" --std 1,2,4 --color rgb --mean 1,2,3", {1, 2, 3}, {1, 2, 4});
}

TEST_F(CommandOnImagesTest, MeanAndStdThatCannotBeAreRefused) {
  const struct {
    const char* options;
    const char* error;
    int status = 1;
  } kCases[] = {
      {"--mean 1,2",
       "mean has 2 numbers, expected 1 or 3, one for each channel"},
      {"--std 1,2,3,4",
       "std has 4 numbers, expected 1 or 3, one for each channel"},
      {"--color gray --mean 1,2,3",
       "mean has 3 numbers, expected 1, as there is one channel"},
      {"--std 1,0,1", "std is 0, expected another number"},
      {"--std 0", "std is 0, expected another number"},
      {"--mean nan,1,1", "mean is nan, expected a finite number"},
      {"--std 1,inf,1", "std is inf, expected a finite number"},
      {"--mean 1,two,3", "--mean: '1,two,3', expected a number, or one", 2},
      {"--mean 1,,3", "--mean: '1,,3', expected a number, or one for", 2},
      {"--mean 1,", "--mean: '1,', expected a number, or one for each", 2},
      {"--std ''", "--std: '', expected a number, or one for each", 2},
      {"--mean 1 2 3", "2", 2},  // no list
  };
  for (const auto& each : kCases) {
    for (const std::string& command :
         {std::string("run"), "calibrate -o " + Path("p.json")}) {
      SCOPED_TRACE(command + " " + each.options);
      EXPECT_EQ(Run(command + ColorNet() + " " + each.options), each.status);
      EXPECT_THAT(err_, HasSubstr(each.error));
    }
  }
  EXPECT_NE(access(Path("p.json").c_str(), F_OK), 0);
}

// As the tutorial has them, with small images and tables.
TEST_F(CommandOnImagesTest, TheTutorialsOptionsAreTaken) {
  EXPECT_EQ(RangeWith(" --image-size 224x224 --color bgr --mean 104,117,123"),
            RangeWith(" --image-size=224x224 --color=bgr --mean=104,117,123"));
  for (const std::string& command :
       {std::string("run"), "calibrate -o " + Path("p.json")}) {
    SCOPED_TRACE(command);
    EXPECT_EQ(Run(command + ColorNet() +
                  " --image-size 16x16 --layout nchw --scale 1 --color bgr "
                  "--mean 104,117,123 --std 1,1,1 --input x --batch-size 2"),
              0)
        << err_;
  }
  const std::string lists =
      "calibrate --quiet" + Predict() + Init() + Data() + " -o " +
      Path("p.json") +
      " --op-type Conv --op-type 'Re*' --output 'relu*' --output conv1 "
      "--column-max relu1 --column-max relu2 --column-max-bins 4";
  ASSERT_EQ(Run(lists), 0) << err_;
  const auto profile = nlohmann::json::parse(ReadText(Path("p.json")));
  EXPECT_EQ(profile["operators"].size(), 4u);  // conv1 and the three relu
}

TEST_F(Caffe2QuantizeTest, ACommandThatIsStoppedSaysHowToGoOn) {
  const std::string command = "calibrate" + Predict() + Init() + Data() +
                              " --batch-size 1 -o " + Path("p.json");
  ASSERT_EQ(Run(command), 0) << err_;
  auto whole = nlohmann::json::parse(ReadText(Path("p.json")));
  whole.erase("provenance");
  const struct {
    int signal;
    const char* restart;
  } kCases[] = {{SIGINT, ""}, {SIGTERM, " --restart"}, {SIGHUP, ""}};
  for (const auto& each : kCases) {
    SCOPED_TRACE(each.signal);
    unlink(Path("p.json").c_str());
    unlink(Path("p.json.checkpoint").c_str());
    int status = Stop(command + each.restart, each.signal);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0) continue;  // it was done before
    EXPECT_EQ(WEXITSTATUS(status), 128 + each.signal) << err_;
    EXPECT_NE(access(Path("p.json").c_str(), F_OK), 0);
    EXPECT_THAT(err_, HasSubstr("\ncaffe2-quantize: stops after this batch; "
                                "once more to end at once\n"));
    const auto begin = err_.rfind("caffe2-quantize: stopped after ");
    ASSERT_NE(begin, std::string::npos) << err_;
    const std::string kept =
        "which '" + Path("p.json.checkpoint") + "' holds; to go on, run: ";
    const auto run = err_.find(kept, begin);
    if (run == std::string::npos) {  // before the first batch
      EXPECT_THAT(err_, HasSubstr("of which no checkpoint was kept; to begin "
                                  "anew, run: "));
      continue;
    }
    // The very line, as it stands, does it.
    std::string line = err_.substr(run + kept.size());
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_THAT(line, Not(HasSubstr("--restart")));
    line.pop_back();
    const std::string shell =
        line + " >'" + Path("out") + "' 2>'" + Path("err") + "' </dev/null";
    ASSERT_EQ(std::system(shell.c_str()), 0) << line;
    EXPECT_THAT(ReadText(Path("err")), HasSubstr("goes on from '"));
    auto profile = nlohmann::json::parse(ReadText(Path("p.json")));
    profile.erase("provenance");
    EXPECT_EQ(profile, whole);
    EXPECT_NE(access(Path("p.json.checkpoint").c_str(), F_OK), 0);
  }
}

TEST_F(Caffe2QuantizeTest, WhatIsIgnoredStaysIgnored) {
  ASSERT_EQ(Run("calibrate --quiet" + Predict() + Init() + Data() + " -o " +
                    Path("p.json"),
                "trap '' INT;"),
            0);
  const int status = Stop("calibrate" + Predict() + Init() + Data() +
                              " --batch-size 1 -o " + Path("p.json"),
                          SIGINT, "trap '' INT; exec");
  EXPECT_EQ(status, 0) << err_;
}

TEST_F(Caffe2QuantizeTest, WatchNeedsATerminal) {
  ASSERT_EQ(Run("run --watch" + Predict() + Init() + Data()), 0);
  EXPECT_EQ(err_, "note: standard error is no terminal to watch on\n");
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  if (std::system("command -v script >/dev/null") != 0) {
    GTEST_SKIP() << "there is no script command";
  }
  const std::string command = "script -qec \"'" + program_ +
                              "' run --watch --histogram-bins 64" + Predict() +
                              Init() + Data() + "\" /dev/null >'" +
                              Path("out") + "' </dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string out = ReadText(Path("out"));
  EXPECT_THAT(out, HasSubstr("init_net  540/540 images"));
  EXPECT_THAT(out, HasSubstr("[@"));
}

TEST_F(Caffe2QuantizeTest, InspectWritesIntoAPipeNotOverIt) {
  // A folder in place of /dev, whose files no test may touch.
  const std::string pipe = Path("out.pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  // Both ends, so that nobody waits; what is written fits its buffer.
  const int file = open(pipe.c_str(), O_RDWR | O_NONBLOCK);
  ASSERT_GE(file, 0);
  EXPECT_EQ(Run("inspect " + digits_ + "predict_net.pb --json " + pipe), 0);
  struct stat info;
  ASSERT_EQ(lstat(pipe.c_str(), &info), 0);
  EXPECT_TRUE(S_ISFIFO(info.st_mode));
  std::string json(1 << 16, '\0');
  const ssize_t size = read(file, &json[0], json.size());
  ASSERT_GT(size, 0);
  json.resize(static_cast<size_t>(size));
  EXPECT_EQ(nlohmann::json::parse(json)["files"].size(), 1u);
  close(file);
  unlink(pipe.c_str());
}

TEST_F(Caffe2QuantizeTest, InspectTellsWhereFilesAreBroken) {
  std::ofstream(Path("cut.pb"), std::ios::binary)
      << ReadText(digits_ + "init_net.pb").substr(0, 900);
  EXPECT_EQ(Run("inspect " + Path("cut.pb")), 1);
  EXPECT_THAT(err_,
              HasSubstr("cut.pb: offset 899: NetDef.op[1].arg[1].floats"));
  EXPECT_EQ(err_.find('\n'), err_.size() - 1) << err_;
  // What could be read is there.
  EXPECT_THAT(out_, HasSubstr("BROKEN"));
  EXPECT_THAT(out_, HasSubstr("→ conv1_w"));

  EXPECT_EQ(Run("inspect nowhere.pb " + digits_ + "predict_net.pb"), 1);
  EXPECT_THAT(err_, HasSubstr("nowhere.pb"));
  EXPECT_THAT(out_, HasSubstr("Softmax"));
  EXPECT_EQ(Run("inspect"), 2);
}

TEST_F(Caffe2QuantizeTest, PlotStartsPython) {
  // In Python's place: what it is given.
  const std::string python = Path("python");
  std::ofstream(python) << "#!/bin/sh\n"
                           "echo \"$@\"\n"
                           "echo \"$PYTHONPATH\"\n";
  ASSERT_EQ(chmod(python.c_str(), 0755), 0);
  const std::string chosen = "CAFFE2_QUANTIZATION_PYTHON=" + python;
  // Neither an empty folder nor a relative one: they are the working folder.
  EXPECT_EQ(Run("plot 'a b.profile' -o pictures",
                chosen + " PYTHONPATH=:mine:/a:.:/b:"),
            0)
      << err_;
  EXPECT_THAT(out_, StartsWith("/"));
  EXPECT_THAT(out_, EndsWith("/python/caffe2_quantization/plot_profile.py "
                             "-o pictures -- a b.profile\n/a:/b\n"));

  std::ofstream(python) << "#!/bin/sh\necho no matplotlib >&2\nexit 1\n";
  EXPECT_EQ(Run("plot x.profile -o pictures", chosen), 1);
  EXPECT_THAT(err_, StartsWith("no matplotlib\ncaffe2-quantize: '" + python +
                               "' did not draw 'x.profile'"));
  unlink(python.c_str());
  EXPECT_EQ(Run("plot x.profile -o pictures", chosen), 1);
  ExpectOneLineOfError("cannot start '" + python + "': No such file");
  EXPECT_EQ(Run("plot x.profile"), 2);
}

TEST_F(Caffe2QuantizeTest, WrongArgumentsExitWithTwo) {
  for (const char* arguments :
       {"", "frobnicate", "run", "run --bogus", "--bogus"}) {
    EXPECT_EQ(Run(arguments), 2) << arguments;
    EXPECT_THAT(err_, HasSubstr("--help")) << arguments;
    EXPECT_EQ(out_, "") << arguments;
  }
  EXPECT_EQ(Run("run" + Predict() + Init() + Data() + " --batch-size 0"), 2);
  EXPECT_THAT(err_, HasSubstr("--batch-size"));
  EXPECT_EQ(Run("run" + Predict() + Init() + Data() + " --observe some"), 2);
  EXPECT_THAT(err_, HasSubstr("--observe"));
  const std::string calibrate =
      "calibrate" + Predict() + Init() + Data() + " -o " + Path("p.json");
  for (const char* wrong : {"--shard 2/2", "--shard 1", "--image-size 8",
                            "--shape x", "--shape x=", "--shape x=1,0",
                            "--layout hwcn", "--limit 0", "--mean a"}) {
    EXPECT_EQ(Run(calibrate + " " + wrong), 2) << wrong;
    EXPECT_THAT(err_, HasSubstr(std::string(wrong).substr(
                          0, std::string(wrong).find(' '))));
  }
  // A number for each channel, as the tutorial has it.
  EXPECT_EQ(Run(calibrate + " --mean 104,117,123 --std 1,2,3"), 0) << err_;
}

TEST_F(Caffe2QuantizeTest, SaysWhatItIsAndHowToUseIt) {
  EXPECT_EQ(Run("--version", "CAFFE2_QUANTIZATION_MAX_ISA=scalar"), 0);
  EXPECT_THAT(out_, StartsWith("caffe2-quantize "));
  EXPECT_THAT(out_, HasSubstr("\nCaffe2 (torch) "));
  EXPECT_THAT(out_,
              HasSubstr("\nISA scalar (CAFFE2_QUANTIZATION_MAX_ISA: scalar)"));
  EXPECT_THAT(out_, HasSubstr("\noneDNN 2."));
  EXPECT_THAT(out_, HasSubstr(", not called\n"));
  EXPECT_EQ(Run("--version", "CAFFE2_QUANTIZATION_MAX_ISA=avx2"), 0);
  EXPECT_THAT(out_, HasSubstr("\noneDNN 2."));
  EXPECT_THAT(out_, HasSubstr(", ISA AVX2"));
  EXPECT_EQ(Run("--help"), 0);
  EXPECT_THAT(out_, HasSubstr("run"));
  EXPECT_EQ(Run("run --help"), 0);
  EXPECT_THAT(out_, HasSubstr("--minmax"));
}

TEST_F(Caffe2QuantizeTest, RefusesToWorkWithoutItsOperators) {
  EXPECT_EQ(Run("run" + Predict() + Init() + Data(),
                "CAFFE2_QUANTIZATION_MAX_ISA=sse9"),
            1);
  EXPECT_THAT(err_, HasSubstr("CAFFE2_QUANTIZATION_MAX_ISA is 'sse9'"));
  EXPECT_THAT(err_, EndsWith("without the plugin's operators\n"));
}

}  // namespace
}  // namespace caffe2_quantization
