// Relu and Int8Relu under the engine ONEDNN, against the host's float operator
// and against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

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

// So many codes are written past the cache, unless they are written in place.
TEST(ReluOp, TheSameWithAnyNumberOfThreadsAndPastTheCache) {
  caffe2::Workspace workspace;
  const auto count =
      static_cast<int64_t>(kernels::LastLevelCacheBytes() / 2 + 1000);
  std::vector<uint8_t> codes(count);
  for (int64_t i = 0; i < count; ++i) {
    codes[i] = static_cast<uint8_t>(i * 131 >> 7);
  }
  FeedCodes(&workspace, "x", codes, {count}, 0.5f, 100);
  const auto wrong = [&](const char* name) {
    const auto* const y = workspace.GetBlob(name)
                              ->Get<caffe2::int8::Int8TensorCPU>()
                              .t.data<uint8_t>();
    int64_t n = 0;
    for (int64_t i = 0; i < count; ++i) {
      n += y[i] != std::max<uint8_t>(codes[i], 100);
    }
    return n;
  };
  for (const int threads : {1, 3}) {
    const onednn::ThreadsScope scope(threads);
    for (const char* name : {"y", "x"}) {
      caffe2::OperatorDef definition;
      OpBuilder(&definition, "Relu", {"x"}, {name});
      definition.set_engine("ONEDNN");
      ASSERT_TRUE(workspace.RunOperatorOnce(definition));
      EXPECT_EQ(wrong(name), 0) << name << ", " << threads << " threads";
      workspace.RemoveBlob("y");
      FeedCodes(&workspace, "x", codes, {count}, 0.5f, 100);
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
