// A program that tells what a whole net costs in floats and with int8 weights
// that its init net carries as codes (Int8GivenPackedWeightFill): bytes of the
// init net's file, and resident memory.
//
//   whole_net_memory NET IMAGE_SIZE [MOST_FILE MOST_MEMORY]
//
// NET is one of whole_nets.h that takes images.
//
// It makes both forms' files, then loads each in a process of its own, which
// reads the init net's file, runs it by RunNetOnce, forgets it, makes the
// predict net and runs it once. Measured is Rss of its smaps_rollup: at the
// end, less what it was before the files were opened, when an int8 convolution
// of one pixel had run, so that the code of the host, the plugin and oneDNN was
// there. So it has the weights, the blobs between layers, what oneDNN compiles
// and keeps for each layer, and what malloc keeps. It is told as a share of the
// float weights' bytes, four for each value.
//
// It fails if the int8 net does not compute the bits of the same net with float
// weights, and with limits, if its file is more than MOST_FILE of the float
// one's, or its memory more than MOST_MEMORY of the float weights'.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "caffe2/core/init.h"
#include "caffe2/core/net.h"
#include "caffe2/utils/proto_utils.h"
#include "plugin/registration.h"
#include "tests/support/net_builder.h"
#include "tests/support/whole_nets.h"

namespace caffe2_quantization {
namespace {

constexpr char kInput[] = "data";

std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  CAFFE_ENFORCE(file.good(), "cannot write ", path);
}

std::string BytesOf(const caffe2::Tensor& tensor) {
  return {static_cast<const char*>(tensor.raw_data()), tensor.nbytes()};
}

// What is resident, pages of files and what malloc keeps too: more than what
// tests/support/resident_bytes.h counts, and counted as exactly.
int64_t ResidentBytes() {
  std::ifstream stream("/proc/self/smaps_rollup");
  for (std::string word; stream >> word;) {
    int64_t kib = 0;
    if (word == "Rss:" && stream >> kib) return kib * 1024;
  }
  CAFFE_THROW("/proc/self/smaps_rollup has no Rss");
}

// The files of one form of a net: the init net, the predict net, the input, and
// the output of a run.
struct Files {
  std::string stem;
  std::string init() const { return stem + ".init.pb"; }
  std::string predict() const { return stem + ".predict.pb"; }
  std::string output() const { return stem + ".output"; }
  void Remove() const {
    for (const std::string& path : {init(), predict(), output()}) {
      std::remove(path.c_str());
    }
  }
};

// Runs the engine once.
void WarmUp() {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {1, 2, 3, 4}, {1, 1, 1, 4});
  FeedFloats(&workspace, "w", {1, 2, 3, 4, 5, 6, 7, 8}, {2, 1, 1, 4});
  caffe2::OperatorDef conv;
  OpBuilder(&conv, "Int8Conv", {"x", "w"}, {"y"})
      .Int("kernel", 1)
      .String("order", "NHWC")
      .Float("Y_scale", 1)
      .Int("Y_zero_point", 0);
  conv.set_engine("ONEDNN");
  CAFFE_ENFORCE(workspace.RunOperatorOnce(conv));
}

// Loads a net and prints its resident bytes, for the process that measures.
void Load(const Files& files, const std::string& input, int64_t image_size,
          const std::string& output) {
  WarmUp();
  caffe2::Workspace workspace;
  const int64_t before = ResidentBytes();
  {
    caffe2::NetDef init;
    CAFFE_ENFORCE(caffe2::ReadProtoFromFile(files.init(), &init));
    CAFFE_ENFORCE(workspace.RunNetOnce(init));
  }
  caffe2::NetDef predict;
  CAFFE_ENFORCE(caffe2::ReadProtoFromFile(files.predict(), &predict));
  const std::string bytes = ReadBytes(input);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  FeedFloats(&workspace, kInput, values, {1, 3, image_size, image_size});
  caffe2::NetBase* const net = workspace.CreateNet(predict);
  CAFFE_ENFORCE(net != nullptr && net->Run());
  const int64_t after = ResidentBytes();
  WriteBytes(files.output(),
             BytesOf(workspace.GetBlob(output)->Get<caffe2::Tensor>()));
  std::printf("%lld\n", static_cast<long long>(after - before));
}

void AddFloatFill(const std::string& name, const caffe2::Workspace& workspace,
                  caffe2::NetDef* init) {
  const auto& tensor = workspace.GetBlob(name)->Get<caffe2::Tensor>();
  OpBuilder(init->add_op(), "GivenTensorFill", {}, {name})
      .Ints("shape", tensor.sizes().vec())
      .Floats("values", Fetch<float>(workspace, name));
}

// The fill of an int8 operator's weights.
caffe2::OperatorDef PackedFill(const caffe2::OperatorDef& op,
                               caffe2::Workspace* workspace) {
  const caffe2::ArgumentHelper arguments(op);
  const bool is_fc = op.type().rfind("Int8FC", 0) == 0;
  caffe2::OperatorDef make;
  OpBuilder(&make, "MakeInt8GivenPackedWeightFill", {op.input(1)},
            {"fill", "scales", "zero_points"})
      .String("blob", op.input(1))
      .String("order", is_fc ? "FC" : "NHWC")
      .Int("group", is_fc ? 1 : arguments.GetSingleArgument<int>("group", 1))
      .Int("preserve_sparsity",
           arguments.GetSingleArgument<int>("preserve_weight_sparsity", 0));
  CAFFE_ENFORCE(workspace->RunOperatorOnce(make));
  caffe2::OperatorDef fill;
  CAFFE_ENFORCE(
      fill.ParseFromString(Fetch<std::string>(*workspace, "fill")[0]));
  return fill;
}

void Write(const caffe2::NetDef& init, const caffe2::NetDef& predict,
           const Files& files) {
  WriteBytes(files.init(), init.SerializeAsString());
  WriteBytes(files.predict(), predict.SerializeAsString());
}

int64_t FileBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  return file.tellg();
}

// The resident bytes of a net that another process of this program loads.
int64_t Measure(const std::string& program, const Files& files,
                const std::string& input, int64_t image_size,
                const std::string& output) {
  const std::string command = "'" + program + "' --load '" + files.stem +
                              "' '" + input + "' " +
                              std::to_string(image_size) + " " + output;
  std::FILE* const pipe = popen(command.c_str(), "r");
  CAFFE_ENFORCE(pipe != nullptr);
  long long bytes = -1;
  const int read = std::fscanf(pipe, "%lld", &bytes);
  CAFFE_ENFORCE(pclose(pipe) == 0 && read == 1, "loading failed: ", command);
  return bytes;
}

// Returns whether the net keeps to the limits.
bool Compare(const std::string& program, const std::string& name,
             int64_t image_size, double most_file, double most_memory) {
  const char* const scratch = std::getenv("TMPDIR");
  std::string folder =
      std::string(scratch != nullptr ? scratch : "/tmp") + "/net_memory_XXXXXX";
  CAFFE_ENFORCE(mkdtemp(&folder[0]) != nullptr, "cannot make ", folder);
  const Files floats{folder + "/floats"}, int8{folder + "/int8"};
  const std::string input = folder + "/input";

  caffe2::Workspace workspace;
  const WholeNet net = FeedWholeNet(&workspace, name, 1, image_size);
  CAFFE_ENFORCE(net.floats.op(0).type() == "NCHW2NHWC", name,
                " takes no images");
  const caffe2::NetDef int8_net = Int8Form(net, "ONEDNN", &workspace);
  CAFFE_ENFORCE(workspace.RunNetOnce(int8_net));
  const std::string expected =
      BytesOf(workspace.GetBlob(net.output)->Get<caffe2::Tensor>());
  WriteBytes(input, BytesOf(workspace.GetBlob(kInput)->Get<caffe2::Tensor>()));
  caffe2::NetDef float_init, int8_init;
  int64_t weight_bytes = 0;
  for (const caffe2::OperatorDef& op : int8_net.op()) {
    const bool has_weights = op.type().rfind("Int8Conv", 0) == 0 ||
                             op.type().rfind("Int8FC", 0) == 0;
    if (!has_weights) continue;
    *int8_init.add_op() = PackedFill(op, &workspace);
    AddFloatFill(op.input(2), workspace, &int8_init);
    for (const int input : {1, 2}) {
      AddFloatFill(op.input(input), workspace, &float_init);
      weight_bytes += static_cast<int64_t>(
          workspace.GetBlob(op.input(input))->Get<caffe2::Tensor>().nbytes());
    }
  }
  Write(float_init, net.floats, floats);
  Write(int8_init, int8_net, int8);

  const int64_t float_file = FileBytes(floats.init());
  const int64_t int8_file = FileBytes(int8.init());
  const int64_t float_memory =
      Measure(program, floats, input, image_size, net.output);
  const int64_t int8_memory =
      Measure(program, int8, input, image_size, net.output);
  const bool is_same = ReadBytes(int8.output()) == expected;
  floats.Remove();
  int8.Remove();
  std::remove(input.c_str());
  rmdir(folder.c_str());
  CAFFE_ENFORCE(is_same, name,
                " computes something else with weights that its init net "
                "carries as codes than with floats");

  const auto share = [](int64_t a, int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
  };
  const double file = share(int8_file, float_file);
  const double memory = share(int8_memory, weight_bytes);
  std::printf("%s, %lld x %lld: float weights of %.1f MB\n", name.c_str(),
              static_cast<long long>(image_size),
              static_cast<long long>(image_size), weight_bytes / 1e6);
  std::printf(
      "  init net's file: floats %.1f MB, int8 %.1f MB, %.3f of it "
      "(%.3f of the weights)\n",
      float_file / 1e6, int8_file / 1e6, file, share(int8_file, weight_bytes));
  std::printf(
      "  resident after a run: floats %.1f MB, %.3f of the weights; "
      "int8 %.1f MB, %.3f of them\n",
      float_memory / 1e6, share(float_memory, weight_bytes), int8_memory / 1e6,
      memory);
  return file <= most_file && memory <= most_memory;
}

}  // namespace
}  // namespace caffe2_quantization

int main(int argc, char** argv) {
  using namespace caffe2_quantization;
  const bool loads = argc == 6 && std::strcmp(argv[1], "--load") == 0;
  if (argc != 3 && argc != 5 && !loads) {
    std::fprintf(stderr,
                 "usage: whole_net_memory NET IMAGE_SIZE [MOST_FILE "
                 "MOST_MEMORY]\n");
    return 2;
  }
  int host_argc = 1;
  caffe2::GlobalInit(&host_argc, &argv);
  const auto status = RegisterPlugin();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  if (loads) {
    Load({argv[2]}, argv[3], std::atoll(argv[4]), argv[5]);
    return 0;
  }
  const bool has_limits = argc == 5;
  return Compare("/proc/" + std::to_string(getpid()) + "/exe", argv[1],
                 std::atoll(argv[2]), has_limits ? std::atof(argv[3]) : 1e9,
                 has_limits ? std::atof(argv[4]) : 1e9)
             ? 0
             : 1;
}
