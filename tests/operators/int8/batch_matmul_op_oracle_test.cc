// BatchMatMul and Int8BatchMatMul under the engine ONEDNN against the host's
// under DNNLOWP, in the same process, on the same blobs.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "quantization/choose.h"
#include "tests/operators/int8/output_tally.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Kind {
  const char* type;
  const char* suffix;
};
constexpr Kind kKinds[] = {
    {"BatchMatMul", ""}, {"BatchMatMul", "_16"}, {"Int8BatchMatMul", ""}};

class RandomBatchMatMul {
 public:
  RandomBatchMatMul(TestRandom* random, caffe2::Workspace* workspace, Kind kind)
      : random_(*random), workspace_(*workspace), kind_(kind) {
    wide_ = std::string(kind.suffix) == "_16";
    if (random_.OneIn(5)) precision_ = random_.Integer(4, wide_ ? 12 : 8);
    const bool trans_a = random_.OneIn(2), trans_b = random_.OneIn(2);
    const bool broadcast = random_.OneIn(2);
    const int64_t m = random_.OneIn(20) ? 0 : random_.Integer(1, 40);
    const int64_t n = random_.Integer(1, 40), k = random_.Integer(1, 70);
    std::vector<int64_t> outer(random_.Integer(0, 2));
    for (int64_t& size : outer) size = random_.Integer(random_.OneIn(10), 4);
    std::vector<int64_t> a = outer, b = outer;
    if (broadcast && !outer.empty()) {
      std::vector<int64_t>& shorter = random_.OneIn(2) ? a : b;
      shorter.erase(shorter.begin(),
                    shorter.begin() + random_.Integer(0, outer.size()));
    }
    a.push_back(trans_a ? k : m);
    a.push_back(trans_a ? m : k);
    b.push_back(trans_b ? n : k);
    b.push_back(trans_b ? k : n);
    if (broadcast && random_.OneIn(8)) {
      if (!trans_a) a = {k};
      if (!trans_b && (trans_a || random_.OneIn(2))) b = {k};
    }
    constant_b_ = random_.OneIn(2);
    dequantize_ = constant_b_ && !wide_ && random_.OneIn(3);
    FeedOperand("a", a);
    FeedOperand("b", b);

    OpBuilder op(&definition_, kind.type, {"a", "b"}, {"y"});
    if (trans_a) op.Int("trans_a", 1);
    if (trans_b) op.Int("trans_b", 1);
    if (broadcast) op.Int("broadcast", 1);
    if (constant_b_) op.Int("constant_B", 1);
    if (precision_ != 8) {
      op.Int("activation_precision", precision_);
      op.Int("weight_precision", precision_);
    }
    if (random_.OneIn(4)) op.Int("preserve_activation_sparsity", 1);
    if (random_.OneIn(4)) op.Int("preserve_weight_sparsity", 1);
    if (dequantize_) {
      op.Int("dequantize_output", 1);
    } else if (random_.OneIn(2) || (trans_a && b.size() == 1)) {
      // Else the range is that of the host's float operator, which writes past
      // its output for a vector with a transposed matrix.
      op.Float("Y_scale",
               std::ldexp(random_.Float(1, 2), random_.Integer(-5, 1)));
      op.Int("Y_zero_point", random_.Integer(0, largest_code()));
    }
  }

  // As in fc_op_oracle_test.cc.
  bool is_exact() const { return !has_floats_ || (!wide_ && precision_ == 8); }
  int32_t largest_code() const { return (1 << precision_) - 1; }
  caffe2::OperatorDef Definition(const std::string& engine) const {
    caffe2::OperatorDef definition = definition_;
    definition.set_engine(engine + kind_.suffix);
    return definition;
  }

 private:
  void FeedOperand(const char* name, const std::vector<int64_t>& shape) {
    const int64_t count = NumValues(shape);
    if (random_.OneIn(2)) {
      has_floats_ = true;
      FeedFloats(&workspace_, name,
                 RandomFloats(&random_, count, random_.Float(-3, 0.5f),
                              random_.Float(0.75f, 4)),
                 shape);
      return;
    }
    const float scale =
        std::ldexp(random_.Float(1, 2), random_.Integer(-9, -3));
    const int32_t zero_point = random_.Integer(0, largest_code());
    if (wide_) {
      FeedCodes(&workspace_, name,
                RandomCodes<uint16_t>(&random_, count, 0, largest_code()),
                shape, scale, zero_point);
    } else {
      FeedCodes(&workspace_, name,
                RandomCodes<uint8_t>(&random_, count, 0, largest_code()), shape,
                scale, zero_point);
    }
  }

  TestRandom& random_;
  caffe2::Workspace& workspace_;
  const Kind kind_;
  bool wide_, constant_b_, dequantize_;
  bool has_floats_ = false;
  int precision_ = 8;
  caffe2::OperatorDef definition_;
};

TEST(BatchMatMulOpOracle, LikeTheHostOver2000RandomOperators) {
  TestRandom random;
  std::map<std::string, Tally> tallies;
  for (int i = 0; i < 2000; ++i) {
    caffe2::Workspace workspace;
    const Kind kind = kKinds[i % std::size(kKinds)];
    const RandomBatchMatMul product(&random, &workspace, kind);
    SCOPED_TRACE(product.Definition("ONEDNN").ShortDebugString());
    const auto run = [&](const std::string& engine) {
      EXPECT_TRUE(workspace.RunOperatorOnce(product.Definition(engine)));
      OutputValues y = FetchOutput(workspace, "y");
      workspace.RemoveBlob("y");
      return y;
    };
    OutputValues host = run("DNNLOWP");
    const OutputValues ours = run("ONEDNN");
    // The host sets no parameters of an output without values.
    if (NumValues(host.shape) == 0) {
      host.scale = ours.scale;
      host.zero_point = ours.zero_point;
    }
    // DNNLOWP has no smaller one.
    if (host.scale == kDnnlowpSmallestScale) continue;
    Tally of_this;
    of_this.Add(ours, host, product.largest_code());
    EXPECT_EQ(of_this.differ, 0) << ours << "; host: " << host;
    if (product.is_exact()) {
      EXPECT_EQ(of_this.codes_differ, 0) << of_this.Text();
      EXPECT_EQ(of_this.floats_differ, 0) << of_this.Text();
    }
    tallies[std::string(kind.type) + kind.suffix].Add(ours, host,
                                                      product.largest_code());
    if (testing::Test::HasFailure()) break;
  }
  for (const auto& [name, tally] : tallies) {
    std::printf("%-20s %s\n", name.c_str(), tally.Text().c_str());
    EXPECT_LE(1000 * tally.codes_differ, tally.codes);
    EXPECT_LE(100 * tally.floats_differ, tally.floats);
  }
}

}  // namespace
}  // namespace caffe2_quantization
