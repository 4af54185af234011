// main() of the tests that compare with the host's own operators in the same
// process: the plugin is not registered, so the host's answer to their names.
#include <gtest/gtest.h>

#include <cstdio>

#include "caffe2/core/init.h"
#include "quantization/kernels/isa.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  caffe2::GlobalInit(&argc, &argv);
  const auto error =
      caffe2_quantization::kernels::ConfigureIsaFromEnvironment();
  if (!error.empty()) {
    std::fprintf(stderr, "%s\n", error.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
