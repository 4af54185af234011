// FC, Int8FC and Int8FCRelu under the engine ONEDNN against the host's under
// DNNLOWP, in the same process, on the same blobs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantization/choose.h"
#include "tests/operators/int8/engine/operator_tester.h"

namespace caffe2_quantization {
namespace {

// Draws one operator with its blobs x, w, b and params, whose weights may be
// packed by Int8FCPackWeight, with the bias or without.
class RandomFc {
 public:
  RandomFc(TestRandom* random, OperatorCase* c)
      : random_(*random),
        case_(*c),
        wide_(c->kind.is_wide()),
        per_row_(c->kind.has("ROWWISE")),
        acc16_(c->kind.has("ACC16")) {
    DrawX();
    DrawW();
    DrawBias();
    Define();
    // The host's _ACC16 saturates in 16 bits and adds outliers up wrongly: ours
    // is compared with what adds in 32 bits.
    if (acc16_) case_.host_suffix = "";
    if (!IsExact()) case_.host_within = kAnyDistance;
    case_.host_is_wrong = IsBelowDnnlowpsScales();
  }

 private:
  // What the host does otherwise, now and then by a neighbouring code: floats
  // become codes of 16 bits, or of fewer than 8, with two roundings; on the way
  // from floats to floats, ties are rounded before the zero point is added
  // (they occur with scales that are powers of two).
  bool IsExact() const {
    const bool x_is_exact = !x_is_float_ || activation_precision_ == 8;
    const bool w_is_exact = !w_is_float_ || weight_precision_ == 8;
    if (wide_) return !x_is_float_ && !w_is_float_;
    return x_is_exact && w_is_exact &&
           !(power_of_two_ && (per_row_ || (x_is_float_ && dequantize_)));
  }

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
      return case_.blobs.at(name).floats.data();
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

  TestTensor DrawCodes(int64_t most, std::vector<int64_t> shape, float scale,
                       int32_t zero_point) {
    auto codes = RandomCodes(&random_, NumValues(shape), 0, most);
    return CodeTensor(wide_ ? TestTensor::kUint16 : TestTensor::kUint8,
                      std::move(codes), std::move(shape), scale, zero_point);
  }

  void DrawX() {
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
    case_.largest_code = case_.host_limit = (1 << activation_precision_) - 1;
    x_is_float_ = random_.OneIn(2);
    if (x_is_float_) {
      const float low = random_.Float(-3, 0.5f), high = random_.Float(0.75f, 4);
      case_.blobs["x"] = FloatTensor(RandomFloats(&random_, m_ * k_, low, high),
                                     std::move(shape));
      return;
    }
    x_scale_ = std::ldexp(random_.Float(1, 2), random_.Integer(-9, -3));
    const int32_t most = (1 << activation_precision_) - 1;
    const int32_t zero_point = random_.OneIn(4) ? 0 : random_.Integer(0, most);
    case_.blobs["x"] = DrawCodes(most, std::move(shape), x_scale_, zero_point);
  }

  void DrawW() {
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
      case_.blobs["w"] = FloatTensor(std::move(w), std::move(shape));
    } else {
      w_scale_ = std::ldexp(random_.Float(1, 2), random_.Integer(-9, -4));
      const int32_t most = (1 << weight_precision_) - 1;
      const int32_t zero_point = random_.Integer(0, most);
      case_.blobs["w"] =
          DrawCodes(most, std::move(shape), w_scale_, zero_point);
    }
    packed_ = !wide_ && !acc16_ && random_.OneIn(3);
  }

  void DrawBias() {
    dequantize_ = random_.OneIn(3);
    // The host takes a wrong scale for codes that become floats.
    bias_is_codes_ =
        !x_is_float_ && !w_is_float_ && !dequantize_ && random_.OneIn(2);
    bias_is_packed_ =
        packed_ && !x_is_float_ && !dequantize_ && random_.OneIn(2);
    case_.blobs["b"] =
        bias_is_codes_ ? CodeTensor(TestTensor::kBias,
                                    RandomCodes(&random_, n_, -20000, 20000),
                                    {n_}, x_scale_ * w_scale_, 0)
                       : FloatTensor(RandomFloats(&random_, n_, -2, 2), {n_});
  }

  void Define() {
    const std::string& type = case_.kind.type;
    const bool has_params = !dequantize_ && type != "FC" && random_.OneIn(4);
    std::vector<std::string> inputs{"x", packed_ ? "packed" : "w", "b"};
    if (has_params) inputs.push_back("params");
    OpBuilder op(&case_.definition, type, inputs, {"y"});
    caffe2::OperatorDef pack_definition;
    OpBuilder pack(&pack_definition, "Int8FCPackWeight", {"w"}, {"packed"});
    if (bias_is_packed_) {
      pack_definition.add_input("b");
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
    if (weight_precision_ != 8) both("weight_precision", weight_precision_);
    if (random_.OneIn(4)) both("preserve_activation_sparsity", 1);
    if (random_.OneIn(4)) both("preserve_weight_sparsity", 1);
    // What searches has no such scales in the host, other bins of fewer bits,
    // and no memory for few values far from 0.
    if (random_.OneIn(8) && type != "Int8FCRelu") {
      power_of_two_ = true;
      both("force_scale_power_of_two", 1);
    } else if (weight_precision_ == 8 && !per_row_ && n_ * k_ >= 300 &&
               random_.OneIn(6)) {
      op.String("weight_quantization_kind", "p99");
      pack.String("weight_quantization_kind", "p99");
    }
    if (acc16_) op.Int("nbits_in_non_outlier", random_.Integer(0, 8));
    DefineOutput(has_params, &op);
    if (packed_) case_.before.push_back(pack_definition);
  }

  void DefineOutput(bool has_params, OpBuilder* op) {
    if (dequantize_) {
      op->Int("dequantize_output", 1);
      return;
    }
    const float scale = std::ldexp(random_.Float(1, 2), random_.Integer(-5, 1));
    const auto largest = static_cast<int32_t>(case_.largest_code);
    const int32_t zero_point = random_.Integer(0, largest);
    if (has_params) case_.blobs["params"] = ParamsBlob(scale, zero_point);
    // Without any, the range is that of the float operator's output, which the
    // host cannot run on packed weights or on a bias of codes.
    if (packed_ || bias_is_codes_ || power_of_two_ || random_.OneIn(2)) {
      op->Float("Y_scale", 1.25f * scale);
      op->Int("Y_zero_point", largest - zero_point);
    }
    if (!power_of_two_ && random_.OneIn(4)) op->String("followed_by", "Relu");
  }

  TestRandom& random_;
  OperatorCase& case_;
  const bool wide_, per_row_, acc16_;
  int64_t m_, n_, k_;
  int axis_ = 1, axis_w_ = 1;
  int activation_precision_ = 8, weight_precision_ = 8;
  bool x_is_float_, w_is_float_, packed_;
  bool power_of_two_ = false;
  bool dequantize_, bias_is_codes_, bias_is_packed_;
  float x_scale_ = 0, w_scale_ = 0;
};

// How far apart a blob's codes are or may be, of each of its sets.
std::vector<double> Steps(const TestTensor& x, int64_t sets, int precision) {
  if (!x.is_float()) return std::vector<double>(sets, x.scale);
  std::vector<double> steps;
  const int64_t count = x.count() / sets;
  for (int64_t set = 0; set < sets && count > 0; ++set) {
    double largest = 0;
    for (int64_t i = set * count; i < (set + 1) * count; ++i) {
      largest = std::max(largest, std::fabs(x.Real(i)));
    }
    // Symmetric, and the next power of two.
    steps.push_back(4 * largest / ((int64_t{1} << precision) - 1));
  }
  return steps;
}

// The product in double: no value is farther off than the roundings of inputs,
// weights, bias and output may make it.
std::vector<Expected> Product(const OperatorCase& c) {
  const TestTensor& x = c.blobs.at("x");
  const TestTensor& w = c.blobs.at("w");
  const TestTensor& b = c.blobs.at("b");
  const int64_t n = b.count(), k = w.count() / n, m = x.count() / k;
  const bool per_row = c.kind.has("ROWWISE");
  const auto x_steps = Steps(x, 1, c.Argument("activation_precision", 8));
  const auto w_steps =
      Steps(w, per_row ? n : 1, c.Argument("weight_precision", 8));
  // Parameters that an input gives are those of codes below 0 too.
  const bool relu = IsFusedWithRelu(c.kind) ||
                    (IsFollowedByRelu(c) && c.blobs.count("params") == 0);
  Expected y;
  const bool has_middle = x.shape.size() == 3 && (c.Argument("axis", 1) == 2 ||
                                                  c.Argument("axis", 1) == -1);
  y.shape =
      has_middle ? std::vector<int64_t>{m, 1, n} : std::vector<int64_t>{m, n};
  for (int64_t i = 0; i < m * n; ++i) {
    const int64_t row = i / n, column = i % n;
    const double w_step = w_steps[per_row ? column : 0];
    double value = b.Real(column);
    double slack = x_steps[0] * w_step + 1e-5 * std::fabs(value);
    for (int64_t j = 0; j < k; ++j) {
      const double p = x.Real(row * k + j), q = w.Real(column * k + j);
      value += p * q;
      slack += x_steps[0] * std::fabs(q) + w_step * std::fabs(p) +
               x_steps[0] * w_step;
    }
    y.values.push_back(relu ? std::max(value, 0.0) : value);
    y.slack.push_back(slack);
  }
  return {y};
}

TEST(FcOpOracle, LikeTheHostAndTheProduct) {
  OperatorTester("FC", {"Int8FCRelu"})
      .Cases([](TestRandom* random, OperatorCase* c) { RandomFc(random, c); })
      .Reference(Product)
      .WithinCodes(0.5)
      .AnyParameters()
      .Incomparable(
          0, 100,
          [](const OperatorCase&, const TestTensor&, const TestTensor& host) {
            return host.scale == kDnnlowpSmallestScale;
          })
      .AgainstDnnlowp(2000)
      .AgainstReference(300);
}

}  // namespace
}  // namespace caffe2_quantization
