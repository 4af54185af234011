// One QTensor of 16 MiB of random planes from a minidb, or from a file of its
// own, to the workspace: the host's Load and ours.
#include <stdlib.h>
#include <unistd.h>

#include "benchmarks/registry.h"
#include "operators/qtensor_load_op.h"
#include "serialization/qtensor_codec.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kBytes = std::size_t{16} << 20;

// A directory that goes with the object.
class Directory {
 public:
  Directory() {
    char name[] = "/tmp/caffe2_quantization_bench_XXXXXX";
    CAFFE_ENFORCE(mkdtemp(name) != nullptr);
    name_ = name;
  }
  ~Directory() {
    unlink(minidb().c_str());
    unlink(file().c_str());
    rmdir(name_.c_str());
  }
  std::string minidb() const { return name_ + "/q.minidb"; }
  std::string file() const { return name_ + "/q.blob"; }

 private:
  std::string name_;
};

struct LoadState {
  std::shared_ptr<Directory> directory;
  std::shared_ptr<caffe2::Workspace> workspace;
  std::shared_ptr<caffe2::OperatorBase> op;
  void operator()() const { CAFFE_ENFORCE(op->Run()); }
};

void WriteFiles(const Directory& directory) {
  caffe2::Workspace workspace;
  auto* tensor = workspace.CreateBlob("q")->GetMutable<QTensorCPU>();
  tensor->SetScale(0.5);
  tensor->SetBias(0);
  tensor->Resize(std::vector<int>{static_cast<int>(kBytes)});
  unsigned char* data = tensor->mutable_data();
  uint64_t state = 1;
  for (std::size_t i = 0; i < tensor->nbytes(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    data[i] = static_cast<unsigned char>(state >> 56);
  }
  caffe2::OperatorDef save;
  OpBuilder(&save, "Save", {"q"}, {})
      .String("db", directory.minidb())
      .String("db_type", "minidb")
      .Int("absolute_path", 1);
  CAFFE_ENFORCE(workspace.RunOperatorOnce(save));
  CAFFE_ENFORCE(QTensorToFile(*tensor, "q", directory.file()).ok());
}

std::unique_ptr<BenchmarkRun> Make(bool host, bool minidb) {
  LoadState state{std::make_shared<Directory>(),
                  std::make_shared<caffe2::Workspace>(), nullptr};
  WriteFiles(*state.directory);
  caffe2::OperatorDef load;
  OpBuilder(&load, host ? "Load" : "QTensorLoad", {}, {"q"})
      .String("db",
              minidb ? state.directory->minidb() : state.directory->file())
      .String("db_type", minidb ? "minidb" : "file")
      .Int("absolute_path", 1);
  if (host) {
    state.op = caffe2::CreateOperator(load, state.workspace.get());
  } else {
    state.op = std::make_shared<QTensorLoadOp>(load, state.workspace.get());
  }
  return MakeRun(std::move(state));
}

}  // namespace

void AddQTensorLoadBenchmarks() {
  const std::string group = "QTensorLoad/16MiB";
  AddBenchmark(group, "host", kBytes, [] { return Make(true, true); });
  AddBenchmark(group, "ours, minidb", kBytes, [] { return Make(false, true); });
  AddBenchmark(group, "ours, file", kBytes, [] { return Make(false, false); });
  AddBenchmark(
      group, "ours, minidb, AVX2", kBytes, [] { return Make(false, true); },
      "AVX2");
}

}  // namespace caffe2_quantization
