// main() of the tests that run inside the host: the plugin's rooms are linked
// in and registered before the first test.
#include <gtest/gtest.h>

#include <cstdio>

#include "caffe2/core/init.h"
#include "plugin/registration.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  caffe2::GlobalInit(&argc, &argv);
  const auto status = caffe2_quantization::RegisterPlugin();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
