// A program that prints what the engine ONEDNN computes, as hashes: one line
// for each of its registry keys, with a hash of all outputs over seeded random
// cases. Two builds whose lines agree compute the same, and refuse the same in
// the same words.
//
//   int8_output_hashes SEED CASES [KEY]
//
// prints "KEY: CASES cases, R refused runs, HASH". With a KEY it prints each of
// its cases, to find the one that differs. Of an output the hash covers type,
// shape, scale, zero point and every bit of the values; of a refused run the
// first line of the error and what the outputs hold then; of an operator that
// measures its error the report. Where the host's float operators have a part
// in it, hashes are those of one kind of processor.
//
// It uses operators through the registry alone, so that it compiles whatever
// becomes of their classes. A key without cases here is an error: a new
// operator needs some.
#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "caffe2/core/init.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8_quant_blobs.h"
#include "plugin/registration.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;
using Sizes = std::vector<int64_t>;

constexpr char kEngine[] = "_ENGINE_ONEDNN";

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

int64_t Product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                         std::multiplies<int64_t>());
}

// The same numbers everywhere: SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  int64_t Integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Next() % (high - low + 1));
  }
  bool OneIn(int n) { return Integer(1, n) == 1; }
  float Float(float low, float high) {
    return low + (high - low) * (static_cast<float>(Next() >> 40) * 0x1p-24f);
  }
  // 2^low to 2^(high + 1).
  float Scale(int low, int high) {
    return std::ldexp(Float(1, 2), Integer(low, high));
  }

 private:
  uint64_t state_;
};

class Hash {
 public:
  void Add(const void* bytes, std::size_t size) {
    const uint64_t count = size;
    XXH3_128bits_update(state_.get(), &count, sizeof(count));
    if (size > 0) XXH3_128bits_update(state_.get(), bytes, size);
  }
  void Add(const std::string& text) { Add(text.data(), text.size()); }
  template <typename T>
  void AddValue(T value) {
    Add(&value, sizeof(value));
  }
  std::string Text() const {
    const XXH128_hash_t digest = XXH3_128bits_digest(state_.get());
    char text[33];
    std::snprintf(text, sizeof(text), "%016llx%016llx",
                  static_cast<unsigned long long>(digest.high64),
                  static_cast<unsigned long long>(digest.low64));
    return text;
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_ = [] {
    std::unique_ptr<XXH3_state_t, Free> state(XXH3_createState());
    XXH3_128bits_reset(state.get());
    return state;
  }();
};

// What body() writes to standard error, without the places in our sources
// and the times that a log's lines begin with.
template <typename Body>
std::string CapturedErrors(const Body& body) {
  std::fflush(stderr);
  std::FILE* const file = std::tmpfile();
  const int before = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  body();
  std::fflush(stderr);
  dup2(before, STDERR_FILENO);
  close(before);
  std::string text;
  std::rewind(file);
  char line[4096];
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    const char* const prefix = std::strstr(line, "] ");
    text += prefix == nullptr ? line : prefix + 2;
  }
  std::fclose(file);
  return text;
}

// The first line of an error without the source line and the condition that it
// begins with.
std::string Reason(const std::string& type, const std::string& what) {
  std::string line = what.substr(0, what.find('\n'));
  line = line.substr(0, line.find(" (Error from operator:"));
  // How large a packed form is depends on the instruction set.
  line = std::regex_replace(line, std::regex(" [0-9]+ bytes"), " bytes");
  const std::size_t named = line.find(type + ": ");
  if (named != std::string::npos) return line.substr(named);
  const std::size_t place = line.find("] ");
  if (place != std::string::npos) line.erase(0, place + 2);
  const std::size_t condition = line.find(". ");
  return condition == std::string::npos ? line : line.substr(condition + 2);
}

// One random case of one key: blobs, a definition, and what changes between its
// runs. Derived classes draw it in their constructors.
class Case {
 public:
  Case(const std::string& key, uint64_t seed) : random_(seed) {
    type_ = key.substr(0, key.find(kEngine));
    suffix_ = key.substr(type_.size() + std::strlen(kEngine));
    wide_ = Contains(suffix_, "_16");
    definition_.set_type(type_);
    definition_.set_engine("ONEDNN" + suffix_);
  }
  virtual ~Case() = default;

  // Runs it; returns how many runs were refused.
  int Run(Hash* hash, std::string* text) {
    int refused = 0;
    const auto refuse = [&](const std::exception& error) {
      const std::string reason = Reason(type_, error.what());
      hash->Add(reason);
      *text += "\n  " + reason;
      ++refused;
    };
    std::unique_ptr<caffe2::OperatorBase> op;
    const std::string log = CapturedErrors([&] {
      try {
        op = Prepare();
      } catch (const std::exception& error) {
        refuse(error);
      }
      const int64_t runs = op == nullptr ? 0 : random_.Integer(1, 3);
      for (int64_t run = 0; run < runs; ++run) {
        if (run > 0) Change();
        try {
          if (!op->Run()) hash->Add("false");
        } catch (const std::exception& error) {
          refuse(error);
        }
        AddOutputs(hash);
      }
      op.reset();
    });
    if (Contains(log, " runs, ")) {
      hash->Add(log);
      *text += "\n  " + log;
    }
    *text = definition_.ShortDebugString() + *text;
    return refused;
  }

 protected:
  // Makes the operator, and what it needs.
  virtual std::unique_ptr<caffe2::OperatorBase> Prepare() {
    return caffe2::CreateOperator(definition_, &workspace_);
  }
  // Feeds something anew before a further run.
  virtual void Change() = 0;

  int64_t Integer(int64_t low, int64_t high) {
    return random_.Integer(low, high);
  }
  bool OneIn(int n) { return random_.OneIn(n); }
  int32_t LargestCode() const { return (1 << precision_) - 1; }
  OpBuilder Op() { return OpBuilder(&definition_); }

  Sizes Shape(int most_dims) {
    Sizes sizes(Integer(0, most_dims));
    for (int64_t& size : sizes) size = OneIn(20) ? 0 : Integer(1, 12);
    return sizes;
  }

  // Of images, with many places in one dimension; now and then of none.
  Sizes Images() {
    Sizes sizes(Integer(3, 5));
    for (int64_t& size : sizes) size = Integer(1, 5);
    if (OneIn(2)) sizes[Integer(1, sizes.size() - 1)] = Integer(1, 100);
    if (OneIn(20)) sizes[Integer(0, sizes.size() - 1)] = 0;
    if (OneIn(40)) sizes.resize(2);
    return sizes;
  }
  void DrawOrder(const char* argument) {
    Op().String(argument, OneIn(20) ? "NCWH" : OneIn(8) ? "NHWC" : "NCHW");
  }

  void FeedRandomFloats(const std::string& name, const Sizes& sizes) {
    std::vector<float> values(Product(sizes));
    const float low = OneIn(3) ? 0 : -random_.Scale(-4, 3);
    const float high = OneIn(6) ? 0 : random_.Scale(-4, 3);
    for (float& value : values) value = random_.Float(low, high);
    if (!values.empty() && OneIn(40)) {
      values[Integer(0, values.size() - 1)] =
          OneIn(2) ? std::nanf("") : std::numeric_limits<float>::infinity();
    }
    auto* const tensor = caffe2::BlobGetMutableTensor(
        workspace_.CreateBlob(name), sizes, at::dtype<float>());
    std::copy(values.begin(), values.end(), tensor->mutable_data<float>());
  }

  template <typename T>
  void FeedRandomCodes(const std::string& name, const Sizes& sizes, int64_t low,
                       int64_t high, float scale, int32_t zero_point) {
    std::vector<T> codes(Product(sizes));
    for (T& code : codes) code = static_cast<T>(Integer(low, high));
    FeedCodes(&workspace_, name, codes, sizes, scale, zero_point);
  }

  // Codes of the engine's type; now and then hostile ones.
  void FeedOperandCodes(const std::string& name, const Sizes& sizes,
                        int precision) {
    const bool other_type = OneIn(60);
    const int32_t largest = (1 << precision) - 1;
    const float scale =
        OneIn(60) ? (OneIn(2) ? 0 : std::nanf("")) : random_.Scale(-9, -3);
    const int32_t zero_point = OneIn(60) ? largest + 1 : Integer(0, largest);
    if (wide_ != other_type) {
      FeedRandomCodes<uint16_t>(name, sizes, 0, largest, scale, zero_point);
    } else {
      FeedRandomCodes<uint8_t>(name, sizes, 0, std::min(255, largest), scale,
                               zero_point);
    }
  }

  void FeedWeights(const std::string& name, const Sizes& sizes) {
    FeedOperand(name, sizes, weight_precision_);
  }
  void FeedOperand(const std::string& name, const Sizes& sizes) {
    FeedOperand(name, sizes, precision_);
  }
  void FeedOperand(const std::string& name, const Sizes& sizes, int precision) {
    // Another kind of content needs another blob.
    if (workspace_.HasBlob(name)) workspace_.GetBlob(name)->Reset();
    if (OneIn(60)) {
      Feed<int64_t>(&workspace_, name, std::vector<int64_t>(Product(sizes), 1),
                    sizes);
    } else if (OneIn(2)) {
      FeedRandomFloats(name, sizes);
    } else {
      FeedOperandCodes(name, sizes, precision);
    }
  }

  void FeedParams(const std::string& name) {
    auto params = std::make_unique<caffe2::Int8QuantParamsBlob>();
    params->qparam.scale = OneIn(20) ? 0 : random_.Scale(-6, 1);
    params->qparam.zero_point = Integer(0, LargestCode());
    if (OneIn(20)) params.reset();
    *workspace_.CreateBlob(name)
         ->GetMutable<std::unique_ptr<caffe2::Int8QuantParamsBlob>>() =
        std::move(params);
  }

  // Arguments that all have; sets precision_.
  void DrawPrecision() {
    if (OneIn(4)) {
      precision_ = Integer(3, wide_ ? 16 : 8);
      Op().Int("activation_precision", precision_);
    }
    if (OneIn(90)) Op().Int("activation_precision", wide_ ? 17 : 9);
    if (OneIn(5)) Op().Int("preserve_activation_sparsity", 1);
    if (OneIn(6)) Op().Int("force_scale_power_of_two", 1);
  }
  // must_give: but for one in ten.
  void DrawOutput(bool must_give = false) {
    given_ = must_give ? !OneIn(10) : OneIn(2);
    if (given_) {
      Op().Float("Y_scale", OneIn(40) ? 0 : random_.Scale(-6, 1));
      if (!OneIn(10)) {
        Op().Int("Y_zero_point", Integer(0, OneIn(60) ? 70000 : LargestCode()));
      }
    } else if (OneIn(60)) {
      Op().Int("Y_zero_point", 3);
    }
    if (OneIn(5)) {
      const char* const followers[] = {"Relu", "Sigmoid", "Tanh", "Softmax"};
      // The middle code of Sigmoid and Tanh has 8 bits.
      const bool only_relu = precision_ < 8 && !OneIn(10);
      Op().String("followed_by", followers[OneIn(30)   ? 3
                                           : only_relu ? 0
                                                       : Integer(0, 2)]);
    }
  }
  void DrawWeightArguments() {
    if (OneIn(4)) {
      weight_precision_ = Integer(3, wide_ ? 12 : 8);
      Op().Int("weight_precision", weight_precision_);
    }
    if (OneIn(6)) Op().Int("preserve_weight_sparsity", 1);
    if (OneIn(6)) {
      const char* const kinds[] = {"min_max", "l2_approx", "p99", "none such"};
      Op().String("weight_quantization_kind",
                  kinds[Integer(0, OneIn(15) ? 3 : 2)]);
    }
    if (OneIn(5)) Op().Int("constant_weight", OneIn(20) ? 2 : 0);
  }
  void DrawMeasure() {
    if (OneIn(6)) Op().Int("measure_quantization_error", 1);
  }

  // A bias of n: floats, or codes whose unit is near the products', or not.
  void FeedBias(const std::string& name, const Sizes& sizes, float unit) {
    if (workspace_.HasBlob(name)) workspace_.GetBlob(name)->Reset();
    Sizes fed = sizes;
    if (OneIn(60)) ++fed[0];
    if (OneIn(60)) fed.push_back(1);
    if (OneIn(90)) {
      FeedRandomCodes<uint8_t>(name, fed, 0, 255, 1, 0);
    } else if (unit > 0 ? OneIn(3) : OneIn(30)) {
      const float scale = OneIn(15) ? unit + 0.5f : unit;
      FeedRandomCodes<int32_t>(name, fed, -20000, 20000, scale,
                               OneIn(30) ? 1 : 0);
    } else {
      FeedRandomFloats(name, fed);
      if (OneIn(12)) {
        auto* const tensor =
            caffe2::BlobGetMutableTensor(workspace_.GetBlob(name), caffe2::CPU);
        tensor->mutable_data<float>()[0] = OneIn(2) ? 3e38f : -7e9f;
      }
    }
  }

  // An operand's scale, or 0 of floats.
  float ScaleOf(const char* name) const {
    const caffe2::Blob& blob = *workspace_.GetBlob(name);
    return blob.IsType<Int8TensorCPU>() ? blob.Get<Int8TensorCPU>().scale : 0;
  }

  // Other values where they are, in the same memory.
  void ChangeInPlace(const char* name) {
    caffe2::Blob& blob = *workspace_.GetBlob(name);
    const auto change = [&](auto* values, int64_t count) {
      for (int64_t i = 0; i < count; i += 3) values[i] = values[count - 1 - i];
    };
    if (blob.IsType<Int8TensorCPU>()) {
      auto& codes = *blob.GetMutable<Int8TensorCPU>();
      if (codes.t.IsType<uint8_t>()) {
        change(codes.t.mutable_data<uint8_t>(), codes.t.numel());
      } else if (codes.t.IsType<uint16_t>()) {
        change(codes.t.mutable_data<uint16_t>(), codes.t.numel());
      }
    } else if (caffe2::BlobIsTensorType(blob, caffe2::CPU)) {
      auto* const tensor = caffe2::BlobGetMutableTensor(&blob, caffe2::CPU);
      if (tensor->IsType<float>()) {
        change(tensor->mutable_data<float>(), tensor->numel());
      }
    }
  }

  // Runs an operator of the engine that makes something for this one.
  void RunBefore(const caffe2::OperatorDef& definition) {
    caffe2::CreateOperator(definition, &workspace_)->Run();
  }

  Random random_;
  caffe2::Workspace workspace_;
  std::string type_, suffix_;
  bool wide_ = false;
  bool given_ = false;  // the arguments give the output's parameters
  int precision_ = 8, weight_precision_ = 8;
  caffe2::OperatorDef definition_;
  std::vector<std::string> also_hashed_;  // blobs beside the outputs

 private:
  void AddOutputs(Hash* hash) const {
    std::vector<std::string> names(definition_.output().begin(),
                                   definition_.output().end());
    names.insert(names.end(), also_hashed_.begin(), also_hashed_.end());
    for (const std::string& name : names) {
      const caffe2::Blob& blob = *workspace_.GetBlob(name);
      const auto add = [&](const caffe2::Tensor& tensor) {
        hash->Add(std::string(tensor.dtype().name()));
        for (const int64_t size : tensor.sizes()) hash->AddValue(size);
        if (tensor.numel() > 0 && tensor.storage_initialized()) {
          hash->Add(tensor.raw_data(), tensor.nbytes());
        }
      };
      hash->Add(std::string(blob.TypeName()));
      if (blob.IsType<Int8TensorCPU>()) {
        const auto& codes = blob.Get<Int8TensorCPU>();
        hash->AddValue(codes.scale);
        hash->AddValue(codes.zero_point);
        add(codes.t);
      } else if (blob.IsType<caffe2::Tensor>()) {
        add(blob.Get<caffe2::Tensor>());
      }
    }
  }
};

// Quantize, Int8Quantize.
class QuantizeCase final : public Case {
 public:
  QuantizeCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    definition_.add_input("x");
    definition_.add_output("y");
    DrawPrecision();
    DrawOutput();
    moves_channels_ = OneIn(3);
    if (moves_channels_) DrawOrder("input_order");
    FeedX();
    if (OneIn(4)) {
      definition_.add_input("params");
      FeedParams("params");
    }
  }

 protected:
  void Change() override {
    FeedX();
    if (workspace_.HasBlob("params")) FeedParams("params");
  }

 private:
  void FeedX() {
    if (OneIn(30)) {
      FeedOperand("x", Shape(4));
      return;
    }
    if (workspace_.HasBlob("x")) workspace_.GetBlob("x")->Reset();
    FeedRandomFloats("x", moves_channels_ ? Images() : Shape(4));
  }

  bool moves_channels_ = false;
};

// Dequantize, Int8Dequantize, Int8DequantizeRowWise.
class DequantizeCase final : public Case {
 public:
  DequantizeCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    definition_.add_input("x");
    definition_.add_output("y");
    moves_channels_ = OneIn(3);
    if (moves_channels_) DrawOrder("output_order");
    FeedX();
  }

 protected:
  void Change() override { FeedX(); }

 private:
  void FeedX() {
    if (OneIn(2)) precision_ = Integer(3, wide_ ? 16 : 8);
    if (OneIn(30)) {
      FeedOperand("x", Shape(4));
      return;
    }
    if (workspace_.HasBlob("x")) workspace_.GetBlob("x")->Reset();
    FeedOperandCodes("x", moves_channels_ ? Images() : Shape(4), precision_);
  }

  bool moves_channels_ = false;
};

// FC, Int8FC, Int8FCRelu, also with what Int8FCPackWeight makes, and
// Int8FCPackWeight itself, which is seen in what Int8FC does with it.
class FcCase final : public Case {
 public:
  FcCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    pack_ = type_ == "Int8FCPackWeight";
    const std::string pack_suffix = suffix_ == "_ROWWISE" ? suffix_ : "";
    packed_ = pack_ || (!wide_ && OneIn(4));
    if (pack_) definition_.set_type("Int8FC");
    if (pack_) definition_.set_engine("ONEDNN" + pack_suffix);
    for (const char* name : {"x", packed_ ? "packed" : "w", "b"}) {
      definition_.add_input(name);
    }
    definition_.add_output("y");
    // The schema of FC has neither these nor params.
    const bool debugs = type_ != "FC" && OneIn(10);
    for (int i = 0; debugs && i < 3; ++i) {
      definition_.add_output("y" + std::to_string(i));
    }
    DrawPrecision();
    DrawOutput(/*must_give=*/packed_);
    DrawWeightArguments();
    if (!packed_ || OneIn(10)) DrawMeasure();
    if (OneIn(3)) Op().Int("dequantize_output", OneIn(30) ? 2 : 1);
    DrawShapes();
    const bool channelwise = OneIn(4);
    if (channelwise) Op().Int("quantize_channelwise", 1);
    in_scale_ = OneIn(40) ? 0 : random_.Scale(-9, -3);
    FeedOperand("x", x_);
    FeedWeights("w", w_);
    FeedB();
    if (type_ != "FC" && OneIn(6)) {
      definition_.add_input("params");
      FeedParams("params");
    }
    if (!packed_) return;
    OpBuilder pack(&pack_definition_, "Int8FCPackWeight", {"w"}, {"packed"});
    pack_definition_.set_engine("ONEDNN" + (pack_ ? suffix_ : pack_suffix));
    if (axis_w_ != 1 || OneIn(10)) pack.Int("axis_w", axis_w_);
    if (channelwise != OneIn(20)) pack.Int("quantize_channelwise", 1);
    if (debugs || OneIn(8)) pack.Int("save_unpacked_weights", 1);
    for (const caffe2::Argument& argument : definition_.arg()) {
      if (Contains(argument.name(), "weight_")) {
        *pack_definition_.add_arg() = argument;
      }
    }
    if (OneIn(2)) {
      pack_definition_.add_input("b");
      if (!OneIn(20)) pack.Float("in_scale", in_scale_);
      if (!channelwise && OneIn(2)) {
        pack_definition_.add_output("codes");
        workspace_.CreateBlob("codes");
        also_hashed_ = {"codes"};
      }
    }
  }

 protected:
  std::unique_ptr<caffe2::OperatorBase> Prepare() override {
    if (packed_) RunBefore(pack_definition_);
    return Case::Prepare();
  }
  void Change() override {
    if (OneIn(3)) x_[0] = Integer(0, 5);
    FeedOperand("x", x_);
    if (OneIn(4)) ChangeInPlace("w");
    if (OneIn(4)) FeedWeights("w", w_);
    if (OneIn(4)) FeedB();
    if (packed_ && OneIn(3)) {
      try {
        RunBefore(pack_definition_);
      } catch (const std::exception&) {
        // The weights stay as they were.
      }
    }
  }

 private:
  void FeedB() {
    FeedBias("b", {n_}, (packed_ ? in_scale_ : ScaleOf("x")) * ScaleOf("w"));
  }

  void DrawShapes() {
    n_ = Integer(1, 40);
    int axis = 1;
    x_ = {OneIn(20) ? 0 : Integer(1, 20)};
    w_ = {n_};
    if (OneIn(5)) {
      x_.push_back(Integer(1, 4));
      axis = 2;
    }
    if (OneIn(5)) {
      const int64_t front = OneIn(2) ? n_ : 1;
      w_ = {front, n_ / front};
      axis_w_ = 2;
    }
    const Sizes k = OneIn(4) ? Sizes{Integer(1, 6), Integer(1, 9)}
                             : Sizes{Integer(1, OneIn(5) ? 300 : 70)};
    x_.insert(x_.end(), k.begin(), k.end());
    w_.insert(w_.end(), k.begin(), k.end());
    if (OneIn(40)) ++w_.back();
    if (OneIn(6)) axis -= x_.size();
    if (OneIn(6)) axis_w_ -= w_.size();
    if (OneIn(40)) axis = 7;
    if (axis != 1) Op().Int("axis", axis);
    if (axis_w_ != 1) Op().Int("axis_w", axis_w_);
  }

  bool pack_, packed_;
  Sizes x_, w_;
  int64_t n_ = 0;
  float in_scale_ = 1;
  int axis_w_ = 1;
  caffe2::OperatorDef pack_definition_;
};

// BatchMatMul, Int8BatchMatMul.
class BatchMatMulCase final : public Case {
 public:
  BatchMatMulCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    definition_.add_input("a");
    definition_.add_input("b");
    definition_.add_output("y");
    DrawPrecision();
    DrawOutput();
    DrawWeightArguments();
    DrawMeasure();
    if (OneIn(3)) Op().Int("dequantize_output", 1);
    if (OneIn(2)) Op().Int("constant_B", 1);
    DrawShapes();
    FeedOperand("a", a_);
    FeedB();
  }

 protected:
  void Change() override {
    FeedOperand("a", a_);
    if (OneIn(3)) ChangeInPlace("b");
    if (OneIn(3)) FeedB();
  }

 private:
  // A constant B has the precision of weights.
  void FeedB() {
    FeedOperand("b", b_, std::min(precision_, weight_precision_));
  }

  void DrawShapes() {
    const bool trans_a = OneIn(2), trans_b = OneIn(2), broadcast = OneIn(2);
    const int64_t m = OneIn(20) ? 0 : Integer(1, 20);
    const int64_t n = OneIn(40) ? 0 : Integer(1, 20);
    const int64_t k = OneIn(40) ? 0 : Integer(1, 50);
    a_.resize(Integer(0, 2));
    for (int64_t& size : a_) size = Integer(OneIn(10) ? 0 : 1, 4);
    b_ = a_;
    if (broadcast && !a_.empty()) {
      Sizes& shorter = OneIn(2) ? a_ : b_;
      shorter.erase(shorter.begin(),
                    shorter.begin() + Integer(0, shorter.size()));
    }
    a_.push_back(trans_a ? k : m);
    a_.push_back(trans_a ? m : k);
    b_.push_back(trans_b ? n : k);
    b_.push_back(trans_b ? k : n);
    if (broadcast && OneIn(6)) {
      if (OneIn(2)) a_ = {k};
      if (OneIn(2)) b_ = {k};
    }
    if (OneIn(30)) ++b_[Integer(0, b_.size() - 1)];
    if (trans_a) Op().Int("trans_a", 1);
    if (trans_b) Op().Int("trans_b", 1);
    if (broadcast) Op().Int("broadcast", 1);
  }

  Sizes a_, b_;
};

// The convolutions, also with what Int8ConvPackWeight makes, and
// Int8ConvPackWeight itself, which is seen in what Int8Conv does with it.
class ConvCase final : public Case {
 public:
  ConvCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    const bool pack = type_ == "Int8ConvPackWeight";
    if (pack) definition_.set_type("Int8Conv");
    channels_first_ = !pack && OneIn(3);
    packed_ = pack || (!wide_ && OneIn(channels_first_ ? 40 : 4));
    sum_ = Contains(type_, "Sum");
    DrawPrecision();
    DrawOutput(/*must_give=*/packed_ && OneIn(2));
    DrawWeightArguments();
    // The host's float Conv reads beyond its input with legacy_pad.
    const bool legacy = given_ && OneIn(20);
    if (!legacy) DrawMeasure();
    if (OneIn(60)) Op().Int("dequantize_output", 1);
    if (legacy) Op().Int("legacy_pad", Integer(1, 4));
    DrawGeometry();
    if (OneIn(8)) Op().Int("quantize_groupwise", 1);
    if (OneIn(6)) Op().Int("quantize_channelwise", 1);
    in_scale_ = OneIn(40) ? 0 : random_.Scale(-9, -3);
    FeedOperand("x", x_);
    FeedWeights("w", w_);
    definition_.add_input("x");
    definition_.add_input(packed_ ? "packed" : "w");
    FeedB();
    if (!OneIn(3)) definition_.add_input("b");
    definition_.add_output("y");
    if (sum_) {
      // What it is added to is read in place, or not.
      const char* const addend = OneIn(2) ? "y" : "s";
      definition_.add_input(addend);
      FeedOperand(addend, y_);
    }
    if (packed_) DefinePack();
  }

 protected:
  std::unique_ptr<caffe2::OperatorBase> Prepare() override {
    if (packed_) RunBefore(pack_definition_);
    return Case::Prepare();
  }
  void Change() override {
    FeedOperand("x", x_);
    if (sum_) FeedOperand(definition_.input(definition_.input_size() - 1), y_);
    if (OneIn(4)) ChangeInPlace("w");
    if (OneIn(4)) FeedWeights("w", w_);
    if (OneIn(4)) FeedB();
    if (packed_ && OneIn(3)) {
      try {
        RunBefore(pack_definition_);
      } catch (const std::exception&) {
        // The filter stays as it was.
      }
    }
  }

 private:
  void FeedB() {
    FeedBias("b", {w_[0]}, (packed_ ? in_scale_ : ScaleOf("x")) * ScaleOf("w"));
  }

  Sizes Ordered(int64_t first, int64_t channels, const Sizes& inner) const {
    Sizes sizes{first};
    if (channels_first_) sizes.push_back(channels);
    sizes.insert(sizes.end(), inner.begin(), inner.end());
    if (!channels_first_) sizes.push_back(channels);
    return sizes;
  }

  void DrawGeometry() {
    const int dims = OneIn(2) ? 2 : Integer(1, 3);
    const bool depthwise = OneIn(4);
    groups_ = depthwise ? Integer(1, 16) : OneIn(2) ? 1 : Integer(2, 4);
    const int64_t inputs = depthwise ? 1 : Integer(1, OneIn(5) ? 40 : 8);
    const int64_t outputs =
        depthwise ? Integer(1, 2) : Integer(1, OneIn(5) ? 40 : 8);
    Sizes input(dims), kernel(dims), stride(dims), dilation(dims),
        pads(2 * dims), output(dims);
    const bool square = OneIn(2);
    for (int i = 0; i < dims; ++i) {
      const bool same = square && i > 0;
      kernel[i] = same ? kernel[0] : Integer(1, dims == 3 ? 3 : 4);
      stride[i] = same ? stride[0] : Integer(1, 3);
      dilation[i] = same ? dilation[0] : OneIn(4) ? 2 : 1;
      pads[i] = same ? pads[0] : Integer(0, 2);
      pads[dims + i] = square ? pads[0] : Integer(0, 2);
      const int64_t extent = dilation[i] * (kernel[i] - 1) + 1;
      input[i] = Integer(extent, extent + (dims == 3 ? 3 : 7));
      output[i] =
          (input[i] + pads[i] + pads[dims + i] - extent) / stride[i] + 1;
    }
    if (square && dims == 2) {
      Op().Int("kernel", kernel[0]).Int("stride", stride[0]);
      if (dilation[0] != 1) Op().Int("dilation", dilation[0]);
      Op().Int("pad", pads[0]);
    } else {
      Op().Ints("kernels", kernel).Ints("strides", stride);
      Op().Ints("dilations", dilation).Ints("pads", pads);
    }

    if (groups_ != 1) Op().Int("group", groups_);
    if (!channels_first_) Op().String("order", "NHWC");
    const int64_t batch = OneIn(15) ? 0 : Integer(1, 3);
    x_ = Ordered(batch, groups_ * inputs, input);
    w_ = Ordered(groups_ * outputs, inputs, kernel);
    y_ = Ordered(batch, groups_ * outputs, output);
    if (OneIn(40)) ++w_[Integer(0, w_.size() - 1)];
    if (OneIn(40)) ++y_[Integer(0, y_.size() - 1)];
  }

  void DefinePack() {
    OpBuilder pack(&pack_definition_, "Int8ConvPackWeight", {"w"}, {"packed"});
    pack_definition_.set_engine("ONEDNN" +
                                (type_ == "Int8ConvPackWeight" ? suffix_ : ""));
    for (const caffe2::Argument& argument : definition_.arg()) {
      const std::string& name = argument.name();
      if (Contains(name, "weight_") || Contains(name, "quantize_") ||
          name == "group" || name == "order") {
        *pack_definition_.add_arg() = argument;
      }
    }
    if (!OneIn(3)) pack.Int("save_unpacked_weights", 1);
    if (OneIn(2)) {
      pack_definition_.add_input("b");
      if (!OneIn(20)) pack.Float("in_scale", in_scale_);
    }
  }

  bool channels_first_, packed_, sum_;
  int64_t groups_ = 1;
  float in_scale_ = 1;
  Sizes x_, w_, y_;
  caffe2::OperatorDef pack_definition_;
};

// ConvTranspose, Int8ConvTranspose.
class ConvTransposeCase final : public Case {
 public:
  ConvTransposeCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    DrawPrecision();
    DrawOutput();
    DrawWeightArguments();
    DrawMeasure();
    if (OneIn(60)) Op().Int("dequantize_output", 1);
    if (OneIn(8)) Op().Int("quantize_groupwise", 1);
    if (OneIn(6)) Op().Int("quantize_channelwise", 1);
    DrawGeometry();
    for (const char* name : {"x", "w", "b"}) definition_.add_input(name);
    if (OneIn(3)) definition_.mutable_input()->RemoveLast();
    definition_.add_output("y");
    FeedOperand("x", x_);
    FeedWeights("w", w_);
    FeedB();
  }

 protected:
  void Change() override {
    FeedOperand("x", x_);
    if (OneIn(4)) ChangeInPlace("w");
    if (OneIn(4)) FeedWeights("w", w_);
    if (OneIn(4)) FeedB();
  }

 private:
  void FeedB() { FeedBias("b", {m_}, ScaleOf("x") * ScaleOf("w")); }

  void DrawGeometry() {
    const int64_t groups = OneIn(2) ? 1 : Integer(2, 6);
    const int64_t inputs = Integer(1, OneIn(5) ? 40 : 6);
    const int64_t outputs = Integer(1, OneIn(5) ? 40 : 6);
    const int64_t kernel = Integer(1, 5), stride = Integer(1, 3);
    const int64_t pad = Integer(0, OneIn(9) ? kernel + 1 : kernel / 2);
    const int64_t adj = Integer(0, OneIn(20) ? stride : stride - 1);
    const int64_t wide = Integer(1, kernel);
    m_ = groups * outputs;
    Op().Ints("kernels", {kernel, wide}).Ints("strides", {stride, 1});
    Op().Ints("pads", {pad, 0, pad, 0}).Ints("adjs", {adj, 0});
    if (groups != 1) Op().Int("group", groups);
    x_ = {OneIn(15) ? 0 : Integer(1, 3), Integer(1, 7), Integer(1, 7),
          groups * inputs};
    w_ = {groups * inputs, kernel, wide, outputs};
    if (OneIn(2)) {
      x_ = {x_[0], x_[3], x_[1], x_[2]};
      w_ = {w_[0], w_[3], w_[1], w_[2]};
    } else {
      Op().String("order", "NHWC");
    }
    if (OneIn(40)) ++w_[Integer(0, w_.size() - 1)];
  }

  int64_t m_ = 0;
  Sizes x_, w_;
};

// Relu, Int8Relu, in place or not.
class ReluCase final : public Case {
 public:
  ReluCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    definition_.add_input("x");
    definition_.add_output(OneIn(2) ? "x" : "y");
    if (OneIn(4)) Op().Int("dequantize_output", OneIn(20) ? 2 : 1);
    DrawMeasure();
    FeedX();
  }

 protected:
  void Change() override { FeedX(); }

 private:
  void FeedX() {
    precision_ = wide_ ? Integer(8, 16) : 8;
    FeedOperand("x", Shape(4));
  }
};

// The other operators, all of which take one or more tensors of activations
// first: what each has beside them stands in Draw.
class TensorCase final : public Case {
 public:
  TensorCase(const std::string& key, uint64_t seed) : Case(key, seed) {
    DrawPrecision();
    precision_ = wide_ ? 16 : 8;  // of the inputs
    Draw();
    DrawOutput(/*must_give=*/OneIn(2));
    if (OneIn(5)) Op().Int("dequantize_output", 1);
    DrawMeasure();
    definition_.add_output(OneIn(5) ? definition_.input(0) : "y");
    if (Is("Concat")) definition_.add_output("split_info");
    if (Is("LSTMUnit") || Is("Split")) definition_.add_output("y2");
    FeedTensors();
  }

 protected:
  void Change() override { FeedTensors(); }

 private:
  bool Is(const char* part) const { return Contains(type_, part); }

  void Draw() {
    if (Is("Add") || Is("Mul") || Is("Sum") || Is("Concat")) {
      DrawSeveral();
    } else if (Is("Pool")) {
      DrawImage(Integer(1, 3));
      Op().Int("kernel", Integer(1, 3)).Int("stride", Integer(1, 2));
      if (OneIn(2)) Op().Int("pad", Integer(0, 1));
    } else if (Is("SpatialBN")) {
      DrawImage(Integer(1, 3));
      Op().Int("is_test", OneIn(30) ? 0 : 1);
      AddFloats({"scale", "bias", "mean"}, {channels_}, -2, 2);
      AddFloats({"variance"}, {channels_}, 0.01f, 4);
    } else if (Is("GroupNorm")) {
      DrawImage(Integer(0, 3));
      Op().Int("group", groups_);
      AddFloats({"gamma", "beta"}, {channels_}, -2, 2);
    } else if (Is("NCHW2NHWC") || Is("NHWC2NCHW")) {
      DrawImage(Integer(0, 3));
    } else if (Is("Squeeze")) {
      AddTensor({Integer(1, 9), OneIn(20) ? 2 : 1, Integer(1, 40), 1});
      Op().Ints("dims", {1, 3});
    } else if (Is("Softmax")) {
      AddTensor(
          {Integer(0, 4), Integer(1, OneIn(3) ? 700 : 40), Integer(1, 3)});
      if (!OneIn(3)) Op().Int("axis", Integer(-3, OneIn(9) ? 3 : 2));
    } else if (Is("Split")) {
      AddTensor({Integer(1, 9), Integer(2, 40), Integer(1, 9)});
      const int64_t first = Integer(0, tensors_[0][1]);
      Op().Int("axis", 1);
      if (!OneIn(4)) Op().Ints("split", {first, tensors_[0][1] - first});
    } else if (Is("PRelu")) {
      DrawImage(Integer(0, 3));
      AddFloats({"slope"}, {OneIn(3) ? 1 : channels_}, -2, 2);
    } else if (Is("ElementwiseLinear")) {
      AddTensor({Integer(0, 5), Integer(1, 40)});
      AddFloats({"a", "b"}, {tensors_[0][1]}, -2, 2);
    } else if (Is("ChannelShuffle")) {
      DrawImage(Integer(0, 3));
      Op().Int("group", groups_);
    } else if (Is("Gather") || Is("BatchPermutation")) {
      AddTensor({Integer(1, 9), Integer(1, 9), Integer(1, 9)});
      std::vector<int> indices(tensors_[0][0]);
      for (int& index : indices) {
        index = Integer(0, tensors_[0][0] - (OneIn(60) ? 0 : 1));
      }
      Feed(&workspace_, "indices", indices);
      definition_.add_input("indices");
    } else if (Is("Resize")) {
      const bool is_3d = Is("3D");
      AddTensor(Sizes(is_3d ? 5 : 4, Integer(1, 5)));
      Op().String("order", "NHWC");
      Op().Float("width_scale", random_.Float(0.5f, 3));
      Op().Float("height_scale", random_.Float(0.5f, 3));
      if (is_3d) Op().Float("temporal_scale", random_.Float(0.5f, 3));
    } else if (Is("LSTMUnit")) {
      const int64_t n = Integer(1, 4), d = Integer(1, 20);
      AddTensor({1, n, d});
      AddTensor({1, n, d});
      AddTensor({1, n, 4 * d});
      Feed(&workspace_, "lengths", std::vector<int>(n, Integer(0, 3)));
      Feed(&workspace_, "t", std::vector<int>{1});
      definition_.add_input("lengths");
      definition_.add_input("t");
      Op().Float("forget_bias", random_.Float(-1, 2));
    } else {
      AddTensor(Shape(4));
      const std::vector<int64_t> zeros(tensors_[0].size(), 0);
      if (Is("Clip")) Op().Float("min", -0.5f).Float("max", 1);
      if (Is("LeakyRelu")) Op().Float("alpha", random_.Float(-1, 2));
      if (Is("Reshape")) Op().Ints("shape", {-1});
      if (Is("Transpose") && !OneIn(6)) {
        Sizes axes(tensors_[0].size() + (OneIn(30) ? 1 : 0));
        std::iota(axes.begin(), axes.end(), 0);
        for (std::size_t i = 1; i < axes.size(); ++i) {
          std::swap(axes[i], axes[Integer(0, i)]);
        }
        Op().Ints("axes", axes);
      }
      if (Is("Slice")) Op().Ints("starts", zeros).Ints("ends", tensors_[0]);
    }
  }

  void DrawSeveral() {
    const bool two = Is("Add") || Is("Mul");
    const int64_t count = two ? 2 : Integer(1, 4);
    const Sizes sizes = Shape(4);
    const auto dims = static_cast<int64_t>(sizes.size());
    const bool concat = Is("Concat") && dims > 0;
    const int64_t axis = concat ? Integer(0, dims - 1) : 0;
    if (concat) Op().Int("axis", axis);
    for (int64_t i = 0; i < count; ++i) {
      Sizes of_this = sizes;
      if (concat) of_this[axis] = Integer(1, 5);
      if (two && i == 1 && OneIn(3)) {
        of_this.erase(of_this.begin(), of_this.begin() + Integer(0, dims));
        Op().Int("broadcast", 1);
      }
      AddTensor(of_this);
    }
  }

  // [N, C, D...], or [N, D..., C], of channels that groups_ divides.
  void DrawImage(int64_t dims) {
    groups_ = Integer(1, 3);
    channels_ = groups_ * Integer(1, 12);
    const bool nchw = OneIn(2);
    Sizes sizes(dims, Integer(2, 6));
    sizes.insert(nchw ? sizes.begin() : sizes.end(), channels_);
    sizes.insert(sizes.begin(), Integer(OneIn(20) ? 0 : 1, 3));
    Op().String("order", nchw ? "NCHW" : "NHWC");
    AddTensor(sizes);
  }

  void AddTensor(const Sizes& sizes) {
    definition_.add_input("x" + std::to_string(tensors_.size()));
    tensors_.push_back(sizes);
  }

  void AddFloats(const std::vector<std::string>& names, const Sizes& sizes,
                 float low, float high) {
    for (const std::string& name : names) {
      std::vector<float> values(Product(sizes));
      for (float& value : values) value = random_.Float(low, high);
      FeedFloats(&workspace_, name, values, sizes);
      definition_.add_input(name);
    }
  }

  void FeedTensors() {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      FeedOperand("x" + std::to_string(i), tensors_[i]);
    }
  }

  std::vector<Sizes> tensors_;
  int64_t groups_ = 1, channels_ = 1;
};

template <typename T>
std::unique_ptr<Case> Make(const std::string& key, uint64_t seed) {
  return std::make_unique<T>(key, seed);
}

// Null for an operator that no class here knows.
using Maker = std::unique_ptr<Case> (*)(const std::string& key, uint64_t seed);
Maker MakerOf(const std::string& key) {
  const std::string type = key.substr(0, key.find(kEngine));
  if (Contains(type, "Dequantize")) return Make<DequantizeCase>;
  if (Contains(type, "Quantize")) return Make<QuantizeCase>;
  if (Contains(type, "BatchMatMul")) return Make<BatchMatMulCase>;
  if (Contains(type, "FC")) return Make<FcCase>;
  if (type == "Relu" || type == "Int8Relu") return Make<ReluCase>;
  if (Contains(type, "ConvTranspose")) return Make<ConvTransposeCase>;
  if (Contains(type, "Conv")) return Make<ConvCase>;
  for (const char* part :
       {"Add", "Mul", "Sum", "Concat", "Pool", "SpatialBN", "GroupNorm",
        "ElementwiseLinear", "ChannelShuffle", "Gather", "BatchPermutation",
        "Resize", "LSTMUnit", "Sigmoid", "Tanh", "Int8"}) {
    if (Contains(type, part)) return Make<TensorCase>;
  }
  return nullptr;
}

// Whether the key has cases here.
bool PrintKey(const std::string& key, uint64_t seed, int64_t cases,
              bool print_each) {
  const Maker make = MakerOf(key);
  if (make == nullptr) {
    std::fprintf(stderr, "%s has no cases in output_hashes.cc\n", key.c_str());
    return false;
  }
  const uint64_t key_seed = XXH3_64bits_withSeed(key.data(), key.size(), seed);
  Hash all;
  int64_t refused = 0;
  for (int64_t i = 0; i < cases; ++i) {
    Hash hash;
    std::string text;
    refused += make(key, Random(key_seed + i).Next())->Run(&hash, &text);
    all.Add(hash.Text());
    if (print_each) {
      std::printf("%lld %s %s\n", static_cast<long long>(i),
                  hash.Text().c_str(), text.c_str());
    }
  }
  std::printf("%s: %lld cases, %lld refused runs, %s\n", key.c_str(),
              static_cast<long long>(cases), static_cast<long long>(refused),
              all.Text().c_str());
  return true;
}

}  // namespace
}  // namespace caffe2_quantization

int main(int argc, char** argv) {
  using namespace caffe2_quantization;
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "usage: int8_output_hashes SEED CASES [KEY]\n");
    return 2;
  }
  const uint64_t seed = std::strtoull(argv[1], nullptr, 10);
  const int64_t cases = std::strtoll(argv[2], nullptr, 10);
  const std::string only = argc == 4 ? argv[3] : "";
  int host_argc = 1;
  caffe2::GlobalInit(&host_argc, &argv);
  const Status status = RegisterPlugin();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return 1;
  }
  std::vector<std::string> keys = caffe2::CPUOperatorRegistry()->Keys();
  std::sort(keys.begin(), keys.end());
  bool all_known = true;
  for (const std::string& key : keys) {
    if (!Contains(key, kEngine) || (!only.empty() && key != only)) continue;
    all_known = PrintKey(key, seed, cases, !only.empty()) && all_known;
  }
  return all_known ? 0 : 1;
}
