// Chooses which instruction set the kernels use, once per process.
//
// The environment variable CAFFE2_QUANTIZATION_MAX_ISA caps it: scalar, avx2,
// avx512 or amx. `scalar` runs the plain reference beside each kernel; the
// others cap Highway's run-time dispatch. Empty means not set. For an unknown
// value ConfigureIsaFromEnvironment() returns an error, and the processor's
// best instruction set stays in use.
//
// Thread rule: configure before the first kernel call; everything else here may
// be called from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ISA_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ISA_H_

#include <cstdint>
#include <string>
#include <vector>

namespace caffe2_quantization {
namespace kernels {

// Ordered: a cap allows itself and everything before it.
enum class IsaCap { kScalar, kAvx2, kAvx512, kAmx };

// Parses a cap's name; false leaves *cap alone.
bool ParseIsaCap(const std::string& name, IsaCap* cap);

// Reads CAFFE2_QUANTIZATION_MAX_ISA. Returns an empty string if it was absent
// or valid, else the one-line error.
std::string ConfigureIsaFromEnvironment();

void SetIsaCap(IsaCap cap);
IsaCap GetIsaCap();

// True if the plain reference must be used in place of the SIMD form.
bool UseScalarReference();

// The target that kernels run on now: "scalar" (the plain reference), or
// Highway's name for it: "SCALAR" (one lane, on a processor without AVX2),
// "AVX2", "AVX3" (AVX-512) or "AVX3_DL" (with VBMI2, VPOPCNTDQ and VNNI).
std::string ActiveTargetName();

// For tests and benchmarks: every target that was compiled and that this
// processor has, best first, "scalar" last; and a way to force one of them.
std::vector<std::string> SupportedTargetNames();
bool ForceTargetForTest(const std::string& name);
void ClearForcedTargetForTest();

// Bytes of the last cache level that a core of this processor uses (8 MiB when
// unknown). Output larger than half of that is written with streaming stores.
std::size_t LastLevelCacheBytes();

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ISA_H_
