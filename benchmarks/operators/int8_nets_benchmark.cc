// Whole nets, as tests/support/whole_nets.h makes them: floats, and int8 by
// engine DNNLOWP and by ours. Of the recommender there is also the time of its
// SparseLengthsSum operators alone, which are the host's in all forms.
#include "benchmarks/support/int8_operator.h"
#include "caffe2/core/net.h"
#include "tests/support/whole_nets.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kImageSize = 224;

std::unique_ptr<BenchmarkRun> Make(const std::string& name, int64_t batch,
                                   const std::string& engine,
                                   const std::string& only_type) {
  const auto workspace = std::make_shared<caffe2::Workspace>();
  const WholeNet net = FeedWholeNet(workspace.get(), name, batch, kImageSize);
  caffe2::NetDef definition =
      engine.empty() ? net.floats : Int8Form(net, engine, workspace.get());
  if (!only_type.empty()) {
    caffe2::NetDef part = definition;
    part.clear_op();
    for (const auto& op : definition.op()) {
      if (op.type() == only_type) *part.add_op() = op;
    }
    definition = part;
  }
  definition.set_name(definition.name() + "_measured");
  caffe2::NetBase* const made = workspace->CreateNet(definition);
  CAFFE_ENFORCE(made != nullptr);
  return MakeRun([workspace, made] { CAFFE_ENFORCE(made->Run()); });
}

}  // namespace

void AddInt8NetsBenchmarks() {
  for (const int threads : {1, 2}) {
    for (const std::string& name : WholeNetNames()) {
      const bool is_recommender = name == "Recommender";
      const int64_t batch = is_recommender ? 64 : 1;
      const std::string group = WithThreads("Int8 nets", threads) + "/" + name +
                                ", batch " + std::to_string(batch);
      const auto add = [&](const char* variant, const std::string& engine,
                           const std::string& only_type = "") {
        AddThreadedBenchmark(group, variant, threads,
                             [name, batch, engine, only_type] {
                               return Make(name, batch, engine, only_type);
                             });
      };
      add("host", "DNNLOWP");
      add("host, floats", "");
      add("ours", "ONEDNN");
      if (is_recommender) add("SparseLengthsSum", "", "SparseLengthsSum");
    }
  }
}

}  // namespace caffe2_quantization
