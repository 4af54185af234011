// A program that prints what whole nets of the engine ONEDNN compute, as
// hashes: one line for each net, of the codes of all of its blobs, which it
// computes with one thread and with two.
//
//   whole_net_hashes IMAGE_SIZE [NET]
//
// It fails if the number of threads changes a code.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdio>
#include <cstdlib>

#include "caffe2/core/init.h"
#include "caffe2/core/net.h"
#include "caffe2/core/tensor_int8.h"
#include "plugin/registration.h"
#include "quantization/onednn/parallel.h"
#include "tests/support/whole_nets.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

uint64_t HashOf(const caffe2::NetDef& net, const caffe2::Workspace& workspace) {
  uint64_t hash = 0;
  int64_t codes = 0;
  for (const caffe2::OperatorDef& op : net.op()) {
    const caffe2::Blob* const blob = workspace.GetBlob(op.output(0));
    if (!blob->IsType<Int8TensorCPU>()) continue;
    const auto& x = blob->Get<Int8TensorCPU>();
    hash = XXH3_64bits_withSeed(x.t.raw_data(), x.t.nbytes(), hash);
    hash = XXH3_64bits_withSeed(&x.scale, sizeof(x.scale), hash);
    hash = XXH3_64bits_withSeed(&x.zero_point, sizeof(x.zero_point), hash);
    codes += x.t.numel();
  }
  CAFFE_ENFORCE(codes > 0, "the net has no codes");
  return hash;
}

void PrintHash(const std::string& name, int64_t image_size) {
  caffe2::Workspace workspace;
  const WholeNet net = FeedWholeNet(&workspace, name, 2, image_size);
  caffe2::NetDef int8;
  {
    const onednn::ThreadsScope one(1);
    int8 = Int8Form(net, "ONEDNN", &workspace);
  }
  uint64_t hashes[2];
  for (int threads = 1; threads <= 2; ++threads) {
    const onednn::ThreadsScope scope(threads);
    CAFFE_ENFORCE(workspace.RunNetOnce(int8));
    hashes[threads - 1] = HashOf(int8, workspace);
  }
  CAFFE_ENFORCE(hashes[0] == hashes[1], name,
                " computes other codes with two "
                "threads than with one");
  std::printf("%s: %016llx\n", name.c_str(),
              static_cast<unsigned long long>(hashes[0]));
}

}  // namespace
}  // namespace caffe2_quantization

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: whole_net_hashes IMAGE_SIZE [NET]\n");
    return 2;
  }
  int host_argc = 1;
  caffe2::GlobalInit(&host_argc, &argv);
  const auto status = caffe2_quantization::RegisterPlugin();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  for (const std::string& name : caffe2_quantization::WholeNetNames()) {
    if (argc == 3 && name != argv[2]) continue;
    caffe2_quantization::PrintHash(name, std::atoll(argv[1]));
  }
}
