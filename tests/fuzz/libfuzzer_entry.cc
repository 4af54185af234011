// libFuzzer's two entries, around the target that CMake names.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "c10/util/Logging.h"
#include "tests/fuzz/fuzz_targets.h"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  // Refusals are most of the work: no stack trace for each, and no log line.
  c10::SetStackTraceFetcher([] { return std::string(); });
  FLAGS_caffe2_log_level = 3;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string finding =
      caffe2_quantization::CAFFE2_QUANTIZATION_FUZZ_TARGET(data, size);
  if (finding.empty()) return 0;
  std::fprintf(stderr, "FINDING: %s\n", finding.c_str());
  std::abort();
}
