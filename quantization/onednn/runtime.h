// oneDNN in this process: instruction set, handles and what a thread needs.
//
// Only files of quantization/onednn/ include this and oneDNN's own header, of
// which they use the C functions: the C++ ones have the system's std::string.
//
// The instruction set is the processor's best within the cap of
// CAFFE2_QUANTIZATION_MAX_ISA (kernels/isa.h), which is given to oneDNN before
// anything else of it is called; with the cap `scalar` it is not called at all.
//
// Threads: oneDNN runs on the OpenMP pool of the thread that calls, with as
// many threads as that thread's OpenMP says (OMP_NUM_THREADS,
// omp_set_num_threads), and with one in a forked process (parallel.h). Thread
// rule: any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_RUNTIME_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_RUNTIME_H_

#include <oneapi/dnnl/dnnl.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {
namespace onednn {

// A failed call as an error that names it and says what oneDNN returned.
Status Check(dnnl_status_t result, const char* call);

// To be held while descriptions and primitives are made: oneDNN looks them up
// in a cache, whose lock a fork would leave locked in the child. (Forks wait
// for this one.) GetEngine() takes it too: call that before.
std::mutex& MakingMutex();

// Owners of oneDNN's objects.
template <auto kDestroy>
struct Destroyer {
  template <typename T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};
using Engine = std::unique_ptr<dnnl_engine, Destroyer<dnnl_engine_destroy>>;
using Stream = std::unique_ptr<dnnl_stream, Destroyer<dnnl_stream_destroy>>;
using Memory = std::unique_ptr<dnnl_memory, Destroyer<dnnl_memory_destroy>>;
using Primitive =
    std::unique_ptr<dnnl_primitive, Destroyer<dnnl_primitive_destroy>>;
using PrimitiveDesc = std::unique_ptr<dnnl_primitive_desc,
                                      Destroyer<dnnl_primitive_desc_destroy>>;
using Attributes = std::unique_ptr<dnnl_primitive_attr,
                                   Destroyer<dnnl_primitive_attr_destroy>>;

// Bytes aligned to a cache line.
struct FreeBytes {
  void operator()(uint8_t* bytes) const { std::free(bytes); }
};
using AlignedBytes = std::unique_ptr<uint8_t, FreeBytes>;
// An error when there is no memory.
Status Allocate(std::size_t bytes, AlignedBytes* result);

// The process's CPU engine, made by the first call, which also sets the cap.
// An error when oneDNN refuses either; it stays one.
Status GetEngine(dnnl_engine_t* engine);

// Precondition: GetEngine() was Ok. Without it the sum of two products of u8
// and s8 saturates at 16 bits on the way to 32.
bool HasVnni();
// Precondition as above. AMX's products of 8 bits.
bool HasAmx();

// A stream of the calling thread, which lives until the thread ends.
Status GetStream(dnnl_stream_t* stream);

// Memory of ours as oneDNN sees it; data may be DNNL_MEMORY_NONE.
Status Wrap(const dnnl_memory_desc_t& desc, const void* data, Memory* memory);

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_RUNTIME_H_
