// FC, Int8FC and Int8FCRelu under the engine ONEDNN against the host's under
// DNNLOWP, in the same process, on the same blobs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "quantization/choose.h"
#include "tests/operators/int8/output_tally.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

struct Kind {
  const char* type;
  const char* suffix;
};
constexpr Kind kKinds[] = {{"FC", ""},
                           {"FC", "_16"},
                           {"FC", "_ACC16"},
                           {"FC", "_ROWWISE"},
                           {"FC", "_ROWWISE_16"},
                           {"Int8FC", ""},
                           {"Int8FC", "_ACC16"},
                           {"Int8FC", "_ROWWISE"},
                           {"Int8FCRelu", ""},
                           {"Int8FCRelu", "_ROWWISE"}};

bool Has(const char* text, const char* part) {
  return std::string(text).find(part) != std::string::npos;
}

// One random operator with its blobs x, w, b and params, of which `packed`
// says that w is to be packed by Int8FCPackWeight, with b if bias_is_packed.
class RandomFc {
 public:
  RandomFc(TestRandom* random, caffe2::Workspace* workspace, Kind kind)
      : random_(*random), workspace_(*workspace), kind_(kind) {
    wide_ = Has(kind.suffix, "_16");
    per_row_ = Has(kind.suffix, "ROWWISE");
    acc16_ = Has(kind.suffix, "ACC16");
    FeedX();
    FeedW();
    FeedBias();
    Define();
  }

  bool packed() const { return packed_; }
  // What the host does otherwise, now and then by a neighbouring code: floats
  // become codes of 16 bits, or of fewer than 8, with two roundings; on the way
  // from floats to floats, ties are rounded before the zero point is added
  // (they occur with scales that are powers of two).
  bool is_exact() const {
    const bool x_is_exact = !x_is_float_ || activation_precision_ == 8;
    const bool w_is_exact = !w_is_float_ || weight_precision_ == 8;
    if (wide_) return !x_is_float_ && !w_is_float_;
    return x_is_exact && w_is_exact &&
           !(power_of_two_ && (per_row_ || (x_is_float_ && dequantize_)));
  }
  int32_t largest_code() const { return (1 << y_precision_) - 1; }

  // Whether floats would get a smaller scale than DNNLOWP's smallest one, which
  // ours get: then there is nothing to compare bit for bit.
  bool IsBelowDnnlowpsScales() const {
    const auto is_below = [](const float* values, int64_t count,
                             int precision) {
      if (count == 0) return false;
      const auto [min, max] = std::minmax_element(values, values + count);
      const double range = std::max(*max, 0.0f) - std::min(*min, 0.0f);
      // A little more: it may be symmetric, or rounded.
      return range > 0 &&
             range / ((1 << precision) - 1) < 1.01 * kDnnlowpSmallestScale;
    };
    const auto floats = [&](const char* name) {
      return workspace_.GetBlob(name)->Get<caffe2::Tensor>().data<float>();
    };
    bool below =
        x_is_float_ && is_below(floats("x"), m_ * k_, activation_precision_);
    if (!w_is_float_) return below;
    const int64_t sets = per_row_ ? n_ : 1;
    for (int64_t set = 0; set < sets; ++set) {
      const int64_t count = n_ / sets * k_;
      below = below ||
              is_below(floats("w") + set * count, count, weight_precision_);
    }
    return below;
  }

  // Against the product in double: no value is farther off than the roundings
  // of inputs, weights, bias and output may make it.
  void ExpectTheProduct(const OutputValues& y) const {
    const Reals x = RealsOf("x", 1, activation_precision_);
    const Reals w = RealsOf("w", per_row_ ? n_ : 1, weight_precision_);
    const Reals b = RealsOf("b", 1, 31);
    // Parameters that an input gives are those of codes below 0 too.
    const bool relu =
        Has(kind_.type, "Relu") ||
        (definition_.input_size() < 4 &&
         caffe2::ArgumentHelper(definition_)
                 .GetSingleArgument<std::string>("followed_by", "") == "Relu");
    for (int64_t i = 0; i < m_ * n_; ++i) {
      const int64_t row = i / n_, column = i % n_;
      const double w_scale = w.scales[per_row_ ? column : 0];
      double expected = b.values[column];
      double bound = x.scales[0] * w_scale + 1e-5 * std::fabs(expected);
      for (int64_t k = 0; k < k_; ++k) {
        const double a = x.values[row * k_ + k], c = w.values[column * k_ + k];
        expected += a * c;
        bound += x.scales[0] * std::fabs(c) + w_scale * std::fabs(a) +
                 x.scales[0] * w_scale;
      }
      if (relu) expected = std::max(expected, 0.0);
      if (y.is_float) {
        ASSERT_NEAR(y.floats[i], expected, bound);
        continue;
      }
      const double actual = double{y.scale} * (y.codes[i] - y.zero_point);
      expected = std::clamp(expected, double{y.scale} * -y.zero_point,
                            double{y.scale} * (largest_code() - y.zero_point));
      ASSERT_NEAR(actual, expected, bound + y.scale);
    }
  }

  // What it is in an engine of this name. The host's _ACC16 saturates in 16
  // bits and adds outliers up wrongly; ours is compared with what adds in 32
  // bits.
  caffe2::OperatorDef Definition(const std::string& engine) const {
    caffe2::OperatorDef definition = definition_;
    const bool as_plain = acc16_ && engine == "DNNLOWP";
    definition.set_engine(as_plain ? engine : engine + kind_.suffix);
    return WithPercentilesInBins(definition);
  }
  caffe2::OperatorDef PackDefinition(const std::string& engine) const {
    caffe2::OperatorDef definition = pack_definition_;
    definition.set_engine(engine + kind_.suffix);
    return WithPercentilesInBins(definition);
  }

 private:
  // What a blob stands for, and how far apart its codes are or may be, of each
  // set.
  struct Reals {
    std::vector<double> values, scales;
  };
  Reals RealsOf(const char* name, int64_t sets, int precision) const {
    Reals reals;
    const OutputValues blob = FetchOutput(workspace_, name);
    if (!blob.is_float) {
      for (const int code : blob.codes) {
        reals.values.push_back(double{blob.scale} * (code - blob.zero_point));
      }
      reals.scales.assign(sets, blob.scale);
      return reals;
    }
    reals.values.assign(blob.floats.begin(), blob.floats.end());
    const auto count = static_cast<int64_t>(reals.values.size()) / sets;
    for (int64_t set = 0; set < sets && count > 0; ++set) {
      double largest = 0;
      for (int64_t i = set * count; i < (set + 1) * count; ++i) {
        largest = std::max(largest, std::fabs(reals.values[i]));
      }
      // Symmetric, and the next power of two.
      reals.scales.push_back(4 * largest / ((int64_t{1} << precision) - 1));
    }
    return reals;
  }

  // Ours are exact unless they are asked for by DNNLOWP's name.
  static caffe2::OperatorDef WithPercentilesInBins(
      caffe2::OperatorDef definition) {
    if (definition.engine().rfind("ONEDNN", 0) != 0) return definition;
    for (caffe2::Argument& argument : *definition.mutable_arg()) {
      if (argument.s() == "p99") argument.set_s("p99_dnnlowp");
    }
    return definition;
  }

  void FeedX() {
    m_ = random_.OneIn(30) ? 0 : random_.Integer(1, 1 << random_.Integer(0, 6));
    k_ = random_.Integer(1, 1 << random_.Integer(1, 9));
    n_ = random_.Integer(1, 1 << random_.Integer(1, 7));
    // [m, k], [m, 1, k], [m, k, 1], in two dimensions of either.
    std::vector<int64_t> shape{m_, k_};
    if (random_.OneIn(4)) {
      axis_ = random_.Integer(1, 2);
      shape = {m_, 1, k_};
      if (axis_ == 1 && random_.OneIn(2)) shape = {m_, k_, 1};
    }
    if (random_.OneIn(8)) axis_ -= static_cast<int>(shape.size());
    activation_precision_ =
        random_.OneIn(5) ? random_.Integer(3, wide_ ? 12 : 8) : 8;
    x_is_float_ = random_.OneIn(2);
    if (x_is_float_) {
      FeedFloats(&workspace_, "x",
                 RandomFloats(&random_, m_ * k_, random_.Float(-3, 0.5f),
                              random_.Float(0.75f, 4)),
                 shape);
      return;
    }
    x_scale_ = std::ldexp(random_.Float(1, 2), random_.Integer(-9, -3));
    const int32_t most = (1 << activation_precision_) - 1;
    const int32_t zero_point = random_.OneIn(4) ? 0 : random_.Integer(0, most);
    if (wide_) {
      FeedCodes(&workspace_, "x",
                RandomCodes<uint16_t>(&random_, m_ * k_, 0, most), shape,
                x_scale_, zero_point);
    } else {
      FeedCodes(&workspace_, "x",
                RandomCodes<uint8_t>(&random_, m_ * k_, 0, most), shape,
                x_scale_, zero_point);
    }
  }

  void FeedW() {
    std::vector<int64_t> shape{n_, k_};
    if (random_.OneIn(6)) {
      shape = random_.OneIn(2) ? std::vector<int64_t>{n_, k_, 1}
                               : std::vector<int64_t>{n_, 1, k_};
      axis_w_ = shape[1] == 1 && random_.OneIn(2) ? 2 : 1;
    }
    weight_precision_ =
        random_.OneIn(5) ? random_.Integer(3, wide_ ? 12 : 8) : 8;
    w_is_float_ = per_row_ || acc16_ || random_.OneIn(2);
    if (w_is_float_) {
      const float high = random_.Float(0.1f, 2);
      const float low = random_.OneIn(5) ? 0 : -random_.Float(0.1f, 2);
      auto w = RandomFloats(&random_, n_ * k_, low, high);
      for (int64_t i = 0; i < n_ * k_; ++i) {
        if (per_row_) w[i] *= static_cast<float>(1 + i / k_ % 5);
      }
      FeedFloats(&workspace_, "w", w, shape);
    } else {
      w_scale_ = std::ldexp(random_.Float(1, 2), random_.Integer(-9, -4));
      const int32_t most = (1 << weight_precision_) - 1;
      const int32_t zero_point = random_.Integer(0, most);
      if (wide_) {
        FeedCodes(&workspace_, "w",
                  RandomCodes<uint16_t>(&random_, n_ * k_, 0, most), shape,
                  w_scale_, zero_point);
      } else {
        FeedCodes(&workspace_, "w",
                  RandomCodes<uint8_t>(&random_, n_ * k_, 0, most), shape,
                  w_scale_, zero_point);
      }
    }
    packed_ = !wide_ && !acc16_ && random_.OneIn(3);
  }

  void FeedBias() {
    dequantize_ = random_.OneIn(3);
    // The host takes a wrong scale for codes that become floats.
    bias_is_codes_ =
        !x_is_float_ && !w_is_float_ && !dequantize_ && random_.OneIn(2);
    bias_is_packed_ =
        packed_ && !x_is_float_ && !dequantize_ && random_.OneIn(2);
    if (bias_is_codes_) {
      FeedCodes(&workspace_, "b",
                RandomCodes<int32_t>(&random_, n_, -20000, 20000), {n_},
                x_scale_ * w_scale_, 0);
    } else {
      FeedFloats(&workspace_, "b", RandomFloats(&random_, n_, -2, 2));
    }
  }

  void Define() {
    const bool has_params =
        !dequantize_ && std::string(kind_.type) != "FC" && random_.OneIn(4);
    std::vector<std::string> inputs{"x", packed_ ? "packed" : "w", "b"};
    if (has_params) inputs.push_back("params");
    OpBuilder op(&definition_, kind_.type, inputs, {"y"});
    OpBuilder pack(&pack_definition_, "Int8FCPackWeight", {"w"}, {"packed"});
    if (bias_is_packed_) {
      pack_definition_.add_input("b");
      pack.Float("in_scale", x_scale_);
    }
    if (axis_ != 1) op.Int("axis", axis_);
    const auto both = [&](const char* name, int64_t value) {
      op.Int(name, value);
      pack.Int(name, value);
    };
    if (axis_w_ != 1) both("axis_w", axis_w_);
    if (activation_precision_ != 8) {
      both("activation_precision", activation_precision_);
    }
    y_precision_ = activation_precision_;
    if (weight_precision_ != 8) both("weight_precision", weight_precision_);
    if (random_.OneIn(4)) both("preserve_activation_sparsity", 1);
    if (random_.OneIn(4)) both("preserve_weight_sparsity", 1);
    // What searches has no such scales in the host, other bins of fewer bits,
    // and no memory for few values far from 0.
    if (random_.OneIn(8) && std::string(kind_.type) != "Int8FCRelu") {
      power_of_two_ = true;
      both("force_scale_power_of_two", 1);
    } else if (weight_precision_ == 8 && !per_row_ && n_ * k_ >= 300 &&
               random_.OneIn(6)) {
      op.String("weight_quantization_kind", "p99");
      pack.String("weight_quantization_kind", "p99");
    }
    if (acc16_) op.Int("nbits_in_non_outlier", random_.Integer(0, 8));
    if (dequantize_) {
      op.Int("dequantize_output", 1);
      return;
    }
    const float scale = std::ldexp(random_.Float(1, 2), random_.Integer(-5, 1));
    const int32_t zero_point = random_.Integer(0, largest_code());
    if (has_params) FeedQuantParams(&workspace_, "params", scale, zero_point);
    // Without any, the range is that of the float operator's output, which the
    // host cannot run on packed weights or on a bias of codes.
    if (packed_ || bias_is_codes_ || power_of_two_ || random_.OneIn(2)) {
      op.Float("Y_scale", 1.25f * scale);
      op.Int("Y_zero_point", largest_code() - zero_point);
    }
    if (!power_of_two_ && random_.OneIn(4)) op.String("followed_by", "Relu");
  }

  TestRandom& random_;
  caffe2::Workspace& workspace_;
  const Kind kind_;
  bool wide_, per_row_, acc16_;
  int64_t m_, n_, k_;
  int axis_ = 1, axis_w_ = 1;
  int activation_precision_ = 8, weight_precision_ = 8, y_precision_ = 8;
  bool x_is_float_, w_is_float_, packed_;
  bool power_of_two_ = false;
  bool dequantize_, bias_is_codes_, bias_is_packed_;
  float x_scale_ = 0, w_scale_ = 0;
  caffe2::OperatorDef definition_, pack_definition_;
};

TEST(FcOpOracle, LikeTheHostOver2000RandomOperators) {
  TestRandom random;
  std::map<std::string, Tally> tallies;
  int below = 0;
  for (int i = 0; i < 2000; ++i) {
    caffe2::Workspace workspace;
    const Kind kind = kKinds[i % std::size(kKinds)];
    const RandomFc fc(&random, &workspace, kind);
    SCOPED_TRACE(fc.Definition("ONEDNN").ShortDebugString());
    const auto run = [&](const std::string& engine) {
      if (fc.packed()) {
        EXPECT_TRUE(workspace.RunOperatorOnce(fc.PackDefinition(engine)));
      }
      EXPECT_TRUE(workspace.RunOperatorOnce(fc.Definition(engine)));
      OutputValues y = FetchOutput(workspace, "y");
      workspace.RemoveBlob("y");
      workspace.RemoveBlob("packed");
      return y;
    };
    const OutputValues host = run("DNNLOWP");
    const OutputValues ours = run("ONEDNN");
    if (fc.IsBelowDnnlowpsScales() || host.scale == kDnnlowpSmallestScale) {
      ++below;
      fc.ExpectTheProduct(ours);
      if (testing::Test::HasFailure()) break;
      continue;
    }
    Tally of_this;
    of_this.Add(ours, host, fc.largest_code());
    EXPECT_EQ(of_this.differ, 0) << ours << "; host: " << host;
    if (fc.is_exact()) {
      EXPECT_EQ(of_this.codes_differ, 0) << of_this.Text();
      EXPECT_EQ(of_this.floats_differ, 0) << of_this.Text();
    }
    tallies[std::string(kind.type) + kind.suffix].Add(ours, host,
                                                      fc.largest_code());
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_LE(below, 100) << "operators that could not be compared";
  std::printf("%d operators with scales below the host's\n", below);
  for (const auto& [name, tally] : tallies) {
    std::printf("%-18s %s\n", name.c_str(), tally.Text().c_str());
    EXPECT_LE(1000 * tally.codes_differ, tally.codes);
    EXPECT_LE(100 * tally.floats_differ, tally.floats);
  }
}

}  // namespace
}  // namespace caffe2_quantization
