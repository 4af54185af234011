// main() of the tests that need no host.
#include <gtest/gtest.h>

#include <cstdio>

#include "quantization/kernels/isa.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto error =
      caffe2_quantization::kernels::ConfigureIsaFromEnvironment();
  if (!error.empty()) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
