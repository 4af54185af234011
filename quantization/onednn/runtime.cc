#include "quantization/onednn/runtime.h"

#include <atomic>
#include <mutex>

#include "base/process.h"
#include "base/return_if_error.h"
#include "quantization/kernels/isa.h"
#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

constexpr std::size_t kCacheLine = 64;

dnnl_cpu_isa_t IsaOf(kernels::IsaCap cap) {
  switch (cap) {
    case kernels::IsaCap::kScalar:  // oneDNN is not called
    case kernels::IsaCap::kAvx2:
      return dnnl_cpu_isa_avx2;
    case kernels::IsaCap::kAvx512:
      return dnnl_cpu_isa_avx512_core_bf16;  // all of it but AMX
    case kernels::IsaCap::kAmx:
      return dnnl_cpu_isa_all;
  }
  return dnnl_cpu_isa_all;
}

bool Has(dnnl_cpu_isa_t isa) {
  // A set is the bits of all that it includes.
  return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

Status MakeEngine(dnnl_engine_t* engine) {
  RETURN_IF_ERROR(Check(dnnl_set_max_cpu_isa(IsaOf(kernels::GetIsaCap())),
                        "dnnl_set_max_cpu_isa"));
  // Plans are kept by us (matmul.h), and kept alive by that: oneDNN need not
  // keep more of them.
  RETURN_IF_ERROR(Check(dnnl_set_primitive_cache_capacity(kMostPlans),
                        "dnnl_set_primitive_cache_capacity"));
  return Check(dnnl_engine_create(engine, dnnl_cpu, 0), "dnnl_engine_create");
}

struct TheEngine {
  dnnl_engine_t engine = nullptr;
  const Status status = MakeEngine(&engine);
};

}  // namespace

std::mutex& MakingMutex() {
  static std::mutex* const mutex = [] {
    auto* made = new std::mutex;
    HoldAcrossForks(made);
    return made;
  }();
  return *mutex;
}

Status Check(dnnl_status_t result, const char* call) {
  switch (result) {
    case dnnl_success:
      return Status::Ok();
    case dnnl_out_of_memory:
      return Status::OutOfRange(std::string("oneDNN: ") + call +
                                ": out of memory");
    case dnnl_unimplemented:
      return Status::InvalidArgument(std::string("oneDNN: ") + call +
                                     ": not implemented for these operands");
    default:
      return Status::InvalidArgument(std::string("oneDNN: ") + call +
                                     " returned status " +
                                     std::to_string(result));
  }
}

Status Allocate(std::size_t bytes, AlignedBytes* result) {
  const std::size_t lines = (bytes + kCacheLine - 1) / kCacheLine;
  result->reset(static_cast<uint8_t*>(
      std::aligned_alloc(kCacheLine, (lines == 0 ? 1 : lines) * kCacheLine)));
  if (*result != nullptr) return Status::Ok();
  return Status::OutOfRange("oneDNN: no memory for " + std::to_string(bytes) +
                            " bytes");
}

Status GetEngine(dnnl_engine_t* engine) {
  // Never destroyed: primitives of other static objects may outlive it.
  static std::atomic<const TheEngine*> the_engine{nullptr};
  const TheEngine* found = the_engine.load(std::memory_order_acquire);
  if (found == nullptr) {
    const std::lock_guard<std::mutex> lock(MakingMutex());
    found = the_engine.load(std::memory_order_acquire);
    if (found == nullptr) {
      found = new TheEngine;
      the_engine.store(found, std::memory_order_release);
    }
  }
  *engine = found->engine;
  return found->status;
}

bool HasVnni() { return Has(dnnl_cpu_isa_avx512_core_vnni); }

bool HasAmx() { return Has(dnnl_cpu_isa_avx512_core_amx); }

Status GetStream(dnnl_stream_t* stream) {
  thread_local Stream of_this_thread;
  if (of_this_thread == nullptr) {
    dnnl_engine_t engine;
    RETURN_IF_ERROR(GetEngine(&engine));
    dnnl_stream_t made = nullptr;
    RETURN_IF_ERROR(
        Check(dnnl_stream_create(&made, engine, dnnl_stream_default_flags),
              "dnnl_stream_create"));
    of_this_thread.reset(made);
  }
  *stream = of_this_thread.get();
  return Status::Ok();
}

Status Wrap(const dnnl_memory_desc_t& desc, const void* data, Memory* memory) {
  dnnl_engine_t engine;
  RETURN_IF_ERROR(GetEngine(&engine));
  dnnl_memory_t made = nullptr;
  RETURN_IF_ERROR(
      Check(dnnl_memory_create(&made, &desc, engine, const_cast<void*>(data)),
            "dnnl_memory_create"));
  memory->reset(made);
  return Status::Ok();
}

}  // namespace onednn
}  // namespace caffe2_quantization
