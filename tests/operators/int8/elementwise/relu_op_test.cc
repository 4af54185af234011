// Relu and Int8Relu under the engine ONEDNN, against the host's float operator
// and against DNNLOWP.
#include <gtest/gtest.h>

#include "tests/operators/int8/engine/operator_tester.h"

namespace caffe2_quantization {
namespace {

TEST(ReluOp, LikeTheFloatOperatorAndDnnlowp) {
  OperatorTester("Relu")
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .InPlace(0)
      .KeepsParameters()
      .Vary([](TestRandom*, OperatorCase* c) {
        // DNNLOWP takes no floats, and gives none.
        c->host_is_wrong =
            c->HasFloats() || c->Argument("dequantize_output", 0) == 1;
      })
      .AgainstReference(300)
      .AgainstDnnlowp(1000);
}

}  // namespace
}  // namespace caffe2_quantization
