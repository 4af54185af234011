// What the process holds in memory, for tests of its growth.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_RESIDENT_BYTES_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_RESIDENT_BYTES_H_

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdint>
#include <fstream>
#include <string>

namespace caffe2_quantization {

// The bytes of memory that is resident and of the process alone: no pages of
// files, which the kernel may take away at any time; -1 if the kernel does not
// tell. The kernel counts the pages here: what it keeps in statm and status may
// lack the last 63 pages of each thread. What was freed is given back to the
// system first, else a growth would hide in it.
inline int64_t ResidentBytes() {
  malloc_trim(0);
  std::ifstream stream("/proc/self/smaps_rollup");
  for (std::string word; stream >> word;) {
    int64_t kib = 0;
    if (word == "Anonymous:" && stream >> kib) return kib * 1024;
  }
  ADD_FAILURE() << "/proc/self/smaps_rollup has no line Anonymous";
  return -1;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_RESIDENT_BYTES_H_
