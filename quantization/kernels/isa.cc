#include "quantization/kernels/isa.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>

#include "hwy/highway.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

constexpr char kVariable[] = "CAFFE2_QUANTIZATION_MAX_ISA";

std::atomic<IsaCap> g_cap{IsaCap::kAmx};
std::atomic<bool> g_forced_scalar{false};

// Highway numbers its targets so that a smaller bit is a better target.
int64_t TargetsAbove(IsaCap cap) {
  switch (cap) {
    case IsaCap::kScalar:  // Highway is not called at all
    case IsaCap::kAvx2:
      return HWY_AVX2 - 1;
    case IsaCap::kAvx512:
    case IsaCap::kAmx:
      return 0;
  }
  return 0;
}

int64_t BestTarget() {
  const int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  return targets & ~(targets - 1);
}

}  // namespace

bool ParseIsaCap(const std::string& name, IsaCap* cap) {
  if (name == "scalar") {
    *cap = IsaCap::kScalar;
  } else if (name == "avx2") {
    *cap = IsaCap::kAvx2;
  } else if (name == "avx512") {
    *cap = IsaCap::kAvx512;
  } else if (name == "amx") {
    *cap = IsaCap::kAmx;
  } else {
    return false;
  }
  return true;
}

std::string ConfigureIsaFromEnvironment() {
  const char* value = std::getenv(kVariable);
  if (value == nullptr || *value == '\0') return "";
  IsaCap cap;
  if (!ParseIsaCap(value, &cap)) {
    return std::string(kVariable) + " is '" + value +
           "'; expected scalar, avx2, avx512 or amx";
  }
  SetIsaCap(cap);
  return "";
}

void SetIsaCap(IsaCap cap) {
  g_cap = cap;
  hwy::DisableTargets(TargetsAbove(cap));
}

IsaCap GetIsaCap() { return g_cap; }

bool UseScalarReference() {
  return g_cap.load(std::memory_order_relaxed) == IsaCap::kScalar ||
         g_forced_scalar.load(std::memory_order_relaxed);
}

std::string ActiveTargetName() {
  return UseScalarReference() ? "scalar" : hwy::TargetName(BestTarget());
}

std::vector<std::string> SupportedTargetNames() {
  std::vector<std::string> names;
  if (GetIsaCap() != IsaCap::kScalar) {
    for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0;
         left &= left - 1) {
      names.emplace_back(hwy::TargetName(left & ~(left - 1)));
    }
  }
  names.emplace_back("scalar");
  return names;
}

bool ForceTargetForTest(const std::string& name) {
  ClearForcedTargetForTest();
  if (name == "scalar") {
    g_forced_scalar = true;
    return true;
  }
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0;
       left &= left - 1) {
    const int64_t target = left & ~(left - 1);
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      return true;
    }
  }
  return false;
}

void ClearForcedTargetForTest() {
  g_forced_scalar = false;
  hwy::SetSupportedTargetsForTest(0);
}

std::size_t LastLevelCacheBytes() {
  static const std::size_t bytes = [] {
    // The kernel's own word first: for some processors the C library adds up
    // caches that one core cannot use.
    constexpr std::size_t kUnknown = std::size_t{8} << 20;
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");
    std::size_t kibibytes = 0;
    char unit = '\0';
    if (file >> kibibytes >> unit && unit == 'K' && kibibytes > 0) {
      return kibibytes << 10;
    }
    const long size = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return size > 0 ? std::min(static_cast<std::size_t>(size), 4 * kUnknown)
                    : kUnknown;
  }();
  return bytes;
}

}  // namespace kernels
}  // namespace caffe2_quantization
