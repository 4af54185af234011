// A program that tells what memory QuantizeModel takes for a whole net, by a
// profile and from files, as `caffe2-quantize quantize` does.
//
//   quantize_memory NET IMAGE_SIZE ENGINE [MOST]
//
// NET is one of whole_nets.h that takes images, ENGINE as of
// `caffe2-quantize quantize`: with ONEDNN the new init net holds codes, with
// DNNLOWP floats.
//
// It writes the net's files and calibrates on one input, then quantizes in a
// process of its own. Measured is the highest resident size of that process
// (VmHWM), less what was resident when the host and the plugin were loaded. It
// is told as a share of the bytes of the two nets' files.
//
// It fails if the int8 nets that are written lack an int8 convolution, and with
// MOST, if the share is above it.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "caffe2/core/init.h"
#include "caffe2/core/net.h"
#include "caffe2/utils/proto_utils.h"
#include "plugin/plugin.h"
#include "tests/support/measure_net.h"
#include "tests/support/net_builder.h"
#include "tests/support/whole_nets.h"
#include "workflow/calibrate.h"
#include "workflow/quantize.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

struct Files {
  std::string folder;
  std::string init() const { return folder + "/init.pb"; }
  std::string predict() const { return folder + "/predict.pb"; }
  std::string data() const { return folder + "/data.pb"; }
  std::string profile() const { return folder + "/profile"; }
  std::string output() const { return folder + "/int8"; }
};

void WriteMessage(const std::string& path,
                  const google::protobuf::MessageLite& message) {
  std::ofstream file(path, std::ios::binary);
  file << message.SerializeAsString();
  CAFFE_ENFORCE(file.good(), "cannot write ", path);
}

// A line of /proc/self/status, in bytes.
int64_t StatusBytes(const std::string& name) {
  std::ifstream stream("/proc/self/status");
  for (std::string word; stream >> word;) {
    int64_t kib = 0;
    if (word == name + ":" && stream >> kib) return kib * 1024;
  }
  CAFFE_THROW("/proc/self/status has no ", name);
}

// Quantizes and prints the bytes that it took, in the process that is measured.
void Quantize(const Files& files, const std::string& engine) {
  // Writing 5 makes the kernel forget the highest resident size so far.
  std::ofstream forget("/proc/self/clear_refs");
  CAFFE_ENFORCE(forget << "5" << std::flush);
  const int64_t before = StatusBytes("VmRSS");
  QuantizeRunOptions options;
  options.init_path = files.init();
  options.predict_path = files.predict();
  options.profile_path = files.profile();
  options.output_path = files.output();
  options.options.engine = engine;
  QuantizeRunReport report;
  const Status status = QuantizeModel(options, {}, {}, &report);
  CAFFE_ENFORCE(status.ok(), status.message());
  std::printf("%lld\n", static_cast<long long>(StatusBytes("VmHWM") - before));
}

void WriteModel(const std::string& name, int64_t image_size,
                const Files& files) {
  caffe2::Workspace workspace;
  WholeNet net = FeedWholeNet(&workspace, name, 1, image_size);
  CAFFE_ENFORCE(net.floats.op(0).type() == "NCHW2NHWC", name,
                " takes no images");
  net.floats.add_external_output(net.output);
  WriteMessage(files.predict(), net.floats);
  WriteMessage(files.init(), InitNetOf(net.floats, workspace, {"data"}));
  const auto& image = workspace.GetBlob("data")->Get<caffe2::Tensor>();
  caffe2::TensorProtos data;
  caffe2::TensorProto* const proto = data.add_protos();
  proto->set_name("data");
  proto->set_data_type(caffe2::TensorProto::FLOAT);
  for (const int64_t dim : image.sizes()) proto->add_dims(dim);
  for (int64_t i = 0; i < image.numel(); ++i) {
    proto->add_float_data(image.data<float>()[i]);
  }
  WriteMessage(files.data(), data);
}

void MakeProfile(const Files& files) {
  CalibrateOptions options;
  options.init_path = files.init();
  options.predict_path = files.predict();
  options.data.path = files.data();
  options.profile_path = files.profile();
  CalibrateReport report;
  const Status status = Calibrate(options, {}, {}, &report);
  CAFFE_ENFORCE(status.ok(), status.message());
}

// Another process of this program quantizes.
int64_t Measure(const std::string& program, const Files& files,
                const std::string& engine) {
  const std::string command =
      "'" + program + "' --quantize '" + files.folder + "' " + engine;
  std::FILE* const pipe = popen(command.c_str(), "r");
  CAFFE_ENFORCE(pipe != nullptr);
  long long bytes = -1;
  const int read = std::fscanf(pipe, "%lld", &bytes);
  CAFFE_ENFORCE(pclose(pipe) == 0 && read == 1, "quantizing failed: ", command);
  return bytes;
}

bool HasInt8Convolution(const Files& files) {
  caffe2::NetDef net;
  CAFFE_ENFORCE(
      caffe2::ReadProtoFromFile(files.output() + "/predict_net.pb", &net));
  for (const caffe2::OperatorDef& op : net.op()) {
    if (op.type().rfind("Int8Conv", 0) == 0) return true;
  }
  return false;
}

// Returns whether the net keeps to the limit.
bool Run(const std::string& program, const std::string& name,
         int64_t image_size, const std::string& engine, double most) {
  const char* const scratch = std::getenv("TMPDIR");
  Files files{std::string(scratch != nullptr ? scratch : "/tmp") +
              "/quantize_memory_XXXXXX"};
  CAFFE_ENFORCE(mkdtemp(&files.folder[0]) != nullptr, "cannot make ",
                files.folder);
  WriteModel(name, image_size, files);
  MakeProfile(files);
  const auto model = static_cast<int64_t>(fs::file_size(files.init()) +
                                          fs::file_size(files.predict()));
  const int64_t taken = Measure(program, files, engine);
  const bool is_int8 = HasInt8Convolution(files);
  fs::remove_all(files.folder);
  CAFFE_ENFORCE(is_int8, name, " has no int8 convolution");
  const double share = static_cast<double>(taken) / static_cast<double>(model);
  std::printf(
      "%s, %s: files of %.1f MB, at the peak %.1f MB more, %.2f of them\n",
      name.c_str(), engine.c_str(), static_cast<double>(model) / 1e6,
      static_cast<double>(taken) / 1e6, share);
  return share <= most;
}

}  // namespace
}  // namespace caffe2_quantization

int main(int argc, char** argv) {
  using namespace caffe2_quantization;
  const bool quantizes = argc == 4 && std::strcmp(argv[1], "--quantize") == 0;
  if (argc != 4 && argc != 5) {
    std::fprintf(stderr,
                 "usage: quantize_memory NET IMAGE_SIZE ENGINE [MOST]\n");
    return 2;
  }
  int host_argc = 1;
  caffe2::GlobalInit(&host_argc, &argv);
  if (*caffe2_quantization_load_error() != '\0') {
    return 1;  // it has printed why
  }
  if (quantizes) {
    Quantize({argv[2]}, argv[3]);
    return 0;
  }
  return Run("/proc/" + std::to_string(getpid()) + "/exe", argv[1],
             std::atoll(argv[2]), argv[3], argc == 5 ? std::atof(argv[4]) : 1e9)
             ? 0
             : 1;
}
