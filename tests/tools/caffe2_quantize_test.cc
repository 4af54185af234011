// The command line as a user meets it: exit status, both streams, files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
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
          "data.csv", "label.csv"}) {
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
  ExpectOneLineOfError("nowhere.pb: No such file");

  std::ofstream(Path("cut.pb"), std::ios::binary)
      << ReadText(digits_ + "predict_net.pb").substr(0, 400);
  EXPECT_EQ(Run("run --predict " + Path("cut.pb") + Init() + Data()), 1);
  ExpectOneLineOfError("cut.pb: not a NetDef, or cut short (400 bytes)");

  EXPECT_EQ(Run("run" + Predict() + Init("predict_net.pb") + Data()), 1);
  ExpectOneLineOfError("data");

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
