#include "quantization/onednn/description.h"

#include "quantization/kernels/isa.h"
#include "quantization/onednn/runtime.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

const char* NameOf(dnnl_cpu_isa_t isa) {
  switch (isa) {
    case dnnl_cpu_isa_sse41:
      return "SSE41";
    case dnnl_cpu_isa_avx:
      return "AVX";
    case dnnl_cpu_isa_avx2:
      return "AVX2";
    case dnnl_cpu_isa_avx2_vnni:
      return "AVX2_VNNI";
    case dnnl_cpu_isa_avx512_core:
      return "AVX512_CORE";
    case dnnl_cpu_isa_avx512_core_vnni:
      return "AVX512_CORE_VNNI";
    case dnnl_cpu_isa_avx512_core_bf16:
      return "AVX512_CORE_BF16";
    case dnnl_cpu_isa_avx512_core_amx:
      return "AVX512_CORE_AMX";
    default:
      return "unknown";
  }
}

}  // namespace

std::string Description() {
  const dnnl_version_t& version = *dnnl_version();
  std::string text = std::to_string(version.major) + "." +
                     std::to_string(version.minor) + "." +
                     std::to_string(version.patch);
  if (kernels::GetIsaCap() == kernels::IsaCap::kScalar) {
    return text + ", not called";
  }
  dnnl_engine_t engine;
  const Status status = GetEngine(&engine);  // sets the cap
  if (!status.ok()) return text + ", of no use: " + status.message();
  return text + ", ISA " + NameOf(dnnl_get_effective_cpu_isa());
}

}  // namespace onednn
}  // namespace caffe2_quantization
