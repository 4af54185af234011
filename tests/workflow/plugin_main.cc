// main() of tests that are linked with the plugin: it registers itself when it
// is loaded, before this runs.
#include <gtest/gtest.h>

#include "caffe2/core/init.h"
#include "plugin/plugin.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  caffe2::GlobalInit(&argc, &argv);
  if (*caffe2_quantization_load_error() != '\0')
    return 1;  // it has printed why
  return RUN_ALL_TESTS();
}
