// Sets up oneDNN in this process: its instruction set, handles, and what each
// thread needs.
//
// Only files of quantization/onednn/ include this and oneDNN's own header. They
// use its C functions, because its C++ functions use the system's std::string.
//
// The instruction set is the processor's best within the cap of
// CAFFE2_QUANTIZATION_MAX_ISA (kernels/isa.h). oneDNN is given the cap before
// any other call; with the cap `scalar` it is not called at all.
//
// Threads: oneDNN runs on the OpenMP pool of the calling thread, with as many
// threads as that thread's OpenMP says (OMP_NUM_THREADS, omp_set_num_threads),
// and with one in a forked process (parallel.h). Thread rule: any thread.
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

// Turns a failed call into an error that names it and says what oneDNN
// returned.
Status Check(dnnl_status_t result, const char* call);

// Hold this mutex while descriptions and primitives are made: oneDNN looks them
// up in a cache, whose lock a fork would leave locked in the child. (Forks wait
// for this mutex.) GetEngine() takes it too, so call that before.
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
// Returns an error if there is no memory.
Status Allocate(std::size_t bytes, AlignedBytes* result);

// Returns the process's CPU engine. The first call makes it, and also sets the
// cap. If oneDNN refuses either, every call returns the error.
Status GetEngine(dnnl_engine_t* engine);

// Returns whether oneDNN uses VNNI. Without it the sum of two products of u8
// and s8 saturates at 16 bits on the way to 32. Precondition: GetEngine() was
// OK.
bool HasVnni();
// Returns whether oneDNN uses AMX's products of 8 bits. Precondition as above.
bool HasAmx();

// Returns a stream of the calling thread, which lives until the thread ends.
Status GetStream(dnnl_stream_t* stream);

// Makes an object by which oneDNN sees memory of ours; data may be
// DNNL_MEMORY_NONE.
Status Wrap(const dnnl_memory_desc_t& desc, const void* data, Memory* memory);

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_RUNTIME_H_
