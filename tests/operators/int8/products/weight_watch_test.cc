// Weights that are replaced while an operator lives, in every way that a blob
// allows. After each replacement the operator is run beside one that is made
// anew: what the rule of weight_watch.h calls seen must give the new one's
// output or error, and what it calls not seen the output of before.
#include "operators/int8/products/weight_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/workspace.h"
#include "operators/int8/products/conv_weights.h"
#include "operators/int8/products/fc_weights.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;
using caffe2::int8::Int8TensorCPU;

constexpr int64_t kRows = 3, kSize = 4, kN = 6, kK = 8;

// An operator with weights "w" and, of most, a bias "b".
struct Form {
  const char* name;
  caffe2::OperatorDef definition;
  Shape x;
  std::function<Shape(int64_t n, int64_t k)> w;
  bool is_wide = false;        // codes of 16 bits
  const char* pack = nullptr;  // the operator that packs its weights
  bool sees_refills = false;   // other values in the same storage
  std::function<Shape(int64_t n)> addend = nullptr;

  bool has_bias() const { return definition.input_size() > 2; }
};
std::ostream& operator<<(std::ostream& stream, const Form& form) {
  return stream << form.name;
}

caffe2::OperatorDef Operator(const std::string& type, const std::string& engine,
                             const std::vector<std::string>& inputs,
                             bool is_static) {
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, type, inputs, {"y"});
  if (is_static) builder.Float("Y_scale", 0.1f).Int("Y_zero_point", 100);
  definition.set_engine(engine);
  return definition;
}

Form FcForm(const char* name, const std::string& type,
            const std::string& suffix, bool is_static = true) {
  Form form{name,
            Operator(type, "ONEDNN" + suffix, {"x", "w", "b"}, is_static),
            {kRows, kK},
            [](int64_t n, int64_t k) {
              return Shape{n, k};
            }};
  form.is_wide = suffix == "_16" || suffix == "_ROWWISE_16";
  if (!form.is_wide && is_static) form.pack = "Int8FCPackWeight";
  form.sees_refills = !is_static;
  return form;
}

Form ConvForm(const char* name, const std::string& type,
              const std::string& suffix, int kernel, bool is_nhwc = true,
              bool is_static = true) {
  const bool has_addend = type.find("Sum") != std::string::npos;
  std::vector<std::string> inputs{"x", "w", "b"};
  if (has_addend) inputs.emplace_back("s");
  Form form{name, Operator(type, "ONEDNN" + suffix, inputs, is_static),
            is_nhwc ? Shape{1, kSize, kSize, kK} : Shape{1, kK, kSize, kSize},
            [is_nhwc, kernel](int64_t n, int64_t k) {
              return is_nhwc ? Shape{n, kernel, kernel, k}
                             : Shape{n, k, kernel, kernel};
            }};
  OpBuilder(&form.definition)
      .Int("kernel", kernel)
      .Int("pad", kernel / 2)
      .String("order", is_nhwc ? "NHWC" : "NCHW");
  form.is_wide = suffix == "_16";
  if (!form.is_wide && is_nhwc && is_static) form.pack = "Int8ConvPackWeight";
  form.sees_refills = !is_static;
  if (has_addend) {
    form.addend = [](int64_t n) { return Shape{1, kSize, kSize, n}; };
  }
  return form;
}

Form BatchMatMulForm(const char* name, const std::string& suffix,
                     bool is_constant) {
  Form form{name,
            Operator("BatchMatMul", "ONEDNN" + suffix, {"x", "w"}, true),
            {2, kRows, kK},
            [](int64_t n, int64_t k) {
              return Shape{2, n, k};
            }};
  OpBuilder(&form.definition).Int("trans_b", 1).Int("constant_B", is_constant);
  form.is_wide = suffix == "_16";
  form.sees_refills = form.is_wide || !is_constant;
  return form;
}

std::vector<Form> Forms() {
  const auto with = [](Form form, const char* argument, int64_t value) {
    OpBuilder(&form.definition).Int(argument, value);
    return form;
  };
  const auto fresh = [&](Form form) {
    form.sees_refills = true;
    return with(std::move(form), "constant_weight", 0);
  };
  Form depthwise = with(ConvForm("ConvDepthwise", "Conv", "", 3), "group", kK);
  depthwise.w = [](int64_t n, int64_t k) {
    return Shape{n == kN ? kK : n, 3, 3, k == kK ? 1 : k};
  };
  return {
      FcForm("Fc", "FC", ""),
      FcForm("FcRowWise", "Int8FC", "_ROWWISE"),
      with(FcForm("FcToFloats", "FC", ""), "dequantize_output", 1),
      FcForm("FcRelu", "Int8FCRelu", "_ACC16"),
      FcForm("FcWide", "FC", "_16"),
      FcForm("FcWideRowWise", "FC", "_ROWWISE_16"),
      fresh(FcForm("FcOfChangingWeights", "Int8FC", "")),
      FcForm("FcWithFloatOperator", "FC", "", /*is_static=*/false),
      ConvForm("Conv", "Conv", "", 1),
      with(ConvForm("ConvChannelWise", "Int8ConvRelu", "_ACC16", 3),
           "quantize_channelwise", 1),
      ConvForm("ConvNchw", "ConvRelu", "", 3, /*is_nhwc=*/false),
      depthwise,
      ConvForm("ConvSum", "Int8ConvSum", "", 1),
      ConvForm("ConvSumRelu", "Int8ConvSumRelu", "", 3),
      ConvForm("ConvWide", "Conv", "_16", 1),
      fresh(ConvForm("ConvOfChangingWeights", "Int8Conv", "", 3)),
      fresh(ConvForm("ConvWideOfChangingWeights", "ConvRelu", "_16", 1)),
      ConvForm("ConvWithFloatOperator", "Conv", "", 1, true, false),
      BatchMatMulForm("BatchMatMul", "", true),
      with(BatchMatMulForm("BatchMatMulToFloats", "", true),
           "dequantize_output", 1),
      BatchMatMulForm("BatchMatMulWide", "_16", true),
      BatchMatMulForm("BatchMatMulOfTwoInputs", "", false),
  };
}

// What a run gave: an output, or the first line of its error.
struct Outcome {
  std::string error;
  TestTensor output;

  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.error == b.error && a.output == b.output;
  }
  friend std::ostream& operator<<(std::ostream& stream, const Outcome& o) {
    return o.error.empty() ? stream << o.output : stream << o.error;
  }
};

enum class Content { kFloats, kCodes, kPacked };

class WeightWatchTest : public testing::TestWithParam<Form> {
 protected:
  // Most new tensors of NewTensorsAtTheSameAddress are, with most forms.
  static void TearDownTestSuite() {
#if !defined(__SANITIZE_ADDRESS__)  // which keeps freed memory for a while
    EXPECT_NE(all_same_addresses, 0);
#endif
  }
  void SetUp() override {
    FeedX();
    Replace(kN, kK);
  }

  const Form& form() const { return GetParam(); }
  caffe2::Blob* Blob(const char* name) { return workspace_.CreateBlob(name); }
  const caffe2::Tensor& TensorOf(const char* name) {
    const caffe2::Blob& blob = *Blob(name);
    return blob.IsType<Int8TensorCPU>() ? blob.Get<Int8TensorCPU>().t
                                        : blob.Get<caffe2::Tensor>();
  }

  std::vector<float> Values(const Shape& shape) {
    const float limit = random_.Float(0.1f, 1);
    std::vector<float> values(NumValues(shape));
    for (float& value : values) value = random_.Float(-limit, limit);
    return values;
  }
  template <typename T>
  std::vector<T> Codes(const Shape& shape) {
    std::vector<T> codes(NumValues(shape));
    for (T& code : codes) code = random_.Byte();
    return codes;
  }
  void FeedAnyCodes(const char* name, const Shape& shape, float scale,
                    int zero_point) {
    if (form().is_wide) {
      FeedCodes(&workspace_, name, Codes<uint16_t>(shape), shape, scale,
                zero_point);
    } else {
      FeedCodes(&workspace_, name, Codes<uint8_t>(shape), shape, scale,
                zero_point);
    }
  }
  float Scale() { return random_.Float(0.002f, 0.01f); }

  // Now and then in codes of another scale.
  void FeedX() { FeedAnyCodes("x", form().x, Scale(), random_.Byte()); }
  // Into the blobs as they are: into the same storage, where its form and size
  // allow it.
  void FillWeights(Content content, const Shape& shape) {
    content_ = content;
    switch (content) {
      case Content::kFloats:
        return FeedFloats(&workspace_, "w", Values(shape), shape);
      case Content::kCodes:
        return FeedAnyCodes("w", shape, Scale(), random_.Byte());
      case Content::kPacked:
        FeedFloats(&workspace_, "source_w", Values(shape), shape);
        return Pack(random_.OneIn(2));
    }
  }
  void Pack(bool with_bias) {
    caffe2::OperatorDef pack;
    OpBuilder builder(&pack, form().pack, {"source_w"}, {"w"});
    for (const auto& argument : form().definition.arg()) {
      if (argument.name() == "group" ||
          argument.name() == "quantize_channelwise") {
        *pack.add_arg() = argument;
      }
    }
    const bool per_row = form().definition.engine() == "ONEDNN_ROWWISE";
    pack.set_engine(per_row ? "ONEDNN_ROWWISE" : "ONEDNN");
    if (with_bias) {
      FeedFloats(&workspace_, "source_b", Values({N()}));
      pack.add_input("source_b");
      builder.Float("in_scale", Scale());
    }
    ASSERT_TRUE(workspace_.RunOperatorOnce(pack));
  }
  int64_t N() {
    return content_ == Content::kPacked ? TensorOf("source_w").size(0)
                                        : TensorOf("w").size(0);
  }
  void FillBias(int64_t n, bool codes) {
    if (!form().has_bias()) return;
    if (codes) {
      std::vector<int32_t> values(n);
      for (int32_t& value : values) value = random_.Integer(-9000, 9000);
      FeedCodes(&workspace_, "b", values, {n}, 1e-5f, 0);
    } else {
      FeedFloats(&workspace_, "b", Values({n}));
    }
  }
  void FillAddend(int64_t n) {
    if (form().addend == nullptr) return;
    FeedAnyCodes("s", form().addend(n), 0.1f, 128);
  }
  // Tensors of their own, as after ResetBlob.
  void NewWeights(Content content, const Shape& shape) {
    Blob("w")->Reset();
    FillWeights(content, shape);
  }
  const void* DataOfWeights() {
    const caffe2::Blob& blob = *Blob("w");
    const bool is_tensor =
        blob.IsType<Int8TensorCPU>() || blob.IsType<caffe2::Tensor>();
    return is_tensor && TensorOf("w") && TensorOf("w").storage_initialized()
               ? TensorOf("w").raw_data()
               : nullptr;
  }
  void NewBias(int64_t n, bool codes = false) {
    Blob("b")->Reset();
    FillBias(n, codes);
  }
  void Replace(int64_t n, int64_t k, Content content = Content::kFloats) {
    const Shape shape = form().w(n, k);
    NewWeights(content, shape);
    const int64_t rows = form().has_bias() ? shape[0] : n;
    NewBias(rows);
    FillAddend(rows);
  }

  std::unique_ptr<caffe2::OperatorBase> NewOperator() {
    return caffe2::CreateOperator(form().definition, &workspace_);
  }
  Outcome OutcomeOf(caffe2::OperatorBase* op) {
    Outcome outcome;
    const std::string error = ErrorOf([&] { op->Run(); });
    outcome.error = error.substr(0, error.find('\n'));
    if (error.empty()) outcome.output = FetchTensor(workspace_, "y");
    return outcome;
  }
  // Of the operator that lives and of one that is made now.
  void ExpectFollowed() {
    const Outcome actual = OutcomeOf(kept_.get());
    ASSERT_EQ(actual, OutcomeOf(NewOperator().get()));
  }
  void ExpectFollowedWithoutError() {
    const Outcome actual = OutcomeOf(kept_.get());
    ASSERT_EQ(actual.error, "");
    ASSERT_EQ(actual, OutcomeOf(NewOperator().get()));
  }
  void ExpectError(const std::string& part) {
    const Outcome actual = OutcomeOf(kept_.get());
    ASSERT_NE(actual.error.find(part), std::string::npos) << actual;
    ASSERT_EQ(actual, OutcomeOf(NewOperator().get()));
  }

  // Each time: weights of tensors of their own, followed; then `change`.
  void Repeat(const std::function<void()>& change,
              Content content = Content::kFloats) {
    kept_ = NewOperator();
    const int64_t count = CaseCount(50, 1000);
    for (int64_t i = 0; i < count; ++i) {
      SCOPED_TRACE("replacement " + std::to_string(i));
      if (random_.OneIn(4)) FeedX();
      Replace(kN, kK, content);
      ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
      ASSERT_NO_FATAL_FAILURE(change());
    }
  }
  // Of values that were written where others had been.
  void Refill(const std::function<void()>& fill, Content content) {
    Repeat(
        [&] {
          const Outcome before = OutcomeOf(kept_.get());
          const void* const data = DataOfWeights();
          fill();
          ASSERT_EQ(DataOfWeights(), data);
          if (form().sees_refills) return ExpectFollowedWithoutError();
          ASSERT_EQ(OutcomeOf(kept_.get()), before);
        },
        content);
  }

  static inline int64_t all_same_addresses = -1;  // nobody looked
  TestRandom random_;
  caffe2::Workspace workspace_;
  std::unique_ptr<caffe2::OperatorBase> kept_;
  Content content_ = Content::kFloats;
};

TEST_P(WeightWatchTest, NewTensors) {
  Repeat([&] {
    NewWeights(Content::kFloats, form().w(kN, kK));
    ExpectFollowedWithoutError();
  });
}

TEST_P(WeightWatchTest, ANewBias) {
  if (!form().has_bias()) return;
  Repeat([&] {
    NewBias(N(), random_.OneIn(2));
    ExpectFollowedWithoutError();
  });
}

// Both at once, one of them where it was: never one without the other.
TEST_P(WeightWatchTest, ANewBiasBringsRefilledWeights) {
  if (!form().has_bias()) return;
  Repeat([&] {
    FillWeights(Content::kFloats, form().w(kN, kK));
    NewBias(N());
    ExpectFollowedWithoutError();
  });
}

TEST_P(WeightWatchTest, NewWeightsBringARefilledBias) {
  if (!form().has_bias()) return;
  Repeat([&] {
    NewWeights(Content::kFloats, form().w(kN, kK));
    FillBias(N(), false);
    ExpectFollowedWithoutError();
  });
}

TEST_P(WeightWatchTest, ValuesInTheSamePlace) {
  Refill([&] { FillWeights(Content::kFloats, form().w(kN, kK)); },
         Content::kFloats);
}

TEST_P(WeightWatchTest, BiasesInTheSamePlace) {
  if (!form().has_bias()) return;
  Refill([&] { FillBias(N(), false); }, Content::kFloats);
}

TEST_P(WeightWatchTest, CodesInTheSamePlace) {
  const Shape shape = form().w(kN, kK);
  Refill(
      [&] {
        auto* const codes = Blob("w")->GetMutable<Int8TensorCPU>();
        FeedAnyCodes("w", shape, codes->scale, codes->zero_point);
      },
      Content::kCodes);
}

// Another storage where one lay that was freed. Of a size that malloc does not
// set aside for requests without alignment.
TEST_P(WeightWatchTest, NewTensorsAtTheSameAddress) {
  constexpr int64_t kOutputs = 160;
  const Shape shape = form().w(kOutputs, kK);
  int64_t count = 0;
  if (all_same_addresses < 0) all_same_addresses = 0;
  Repeat([&] {
    Replace(kOutputs, kK);
    ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    const auto values = Values(shape);
    const void* const before = DataOfWeights();
    Blob("w")->Reset();
    std::vector<caffe2::Tensor> others;
    do {
      others.emplace_back(shape, caffe2::CPU);
    } while (others.back().mutable_data<float>() != before &&
             others.size() < 64);
    std::copy(values.begin(), values.end(),
              others.back().mutable_data<float>());
    *caffe2::BlobGetMutableTensor(Blob("w"), caffe2::CPU) =
        std::move(others.back());
    count += DataOfWeights() == before ? 1 : 0;
    ExpectFollowedWithoutError();
  });
  all_same_addresses += count;
  RecordProperty("same_addresses", static_cast<int>(count));
}

// The same, of memory that somebody else gives: certainly at one address.
TEST_P(WeightWatchTest, NewTensorsOfOneMemory) {
  const Shape shape = form().w(kN, kK);
  std::vector<float> memory(NumValues(shape));
  const auto put = [&] {
    Blob("w")->Reset();
    const auto values = Values(shape);
    std::copy(values.begin(), values.end(), memory.begin());
    caffe2::Tensor tensor(shape, caffe2::CPU);
    tensor.ShareExternalPointer(memory.data(), caffe2::TypeMeta::Make<float>());
    *caffe2::BlobGetMutableTensor(Blob("w"), caffe2::CPU) = std::move(tensor);
    ASSERT_EQ(DataOfWeights(), memory.data());
  };
  Repeat([&] {
    for (int i = 0; i < 2; ++i) {
      put();
      ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    }
  });
  Blob("w")->Reset();
}

TEST_P(WeightWatchTest, OtherNumbersOfOutputs) {
  const bool any = form().name != std::string("ConvDepthwise");
  Repeat([&] {
    Replace(random_.Integer(1, 20), kK);
    any ? ExpectFollowedWithoutError() : ExpectFollowed();
    // The bias of others.
    if (!form().has_bias()) return;
    Replace(kN, kK);
    NewBias(N() + 1);
    ExpectError("'b'");
  });
}

TEST_P(WeightWatchTest, OtherNumbersOfInputs) {
  Repeat([&] {
    Replace(kN, kK + random_.Integer(1, 4));
    // By the blob's name, or for BatchMatMul by its letter.
    ExpectError(form().has_bias() ? "'w'" : "of B");
  });
}

TEST_P(WeightWatchTest, OtherTypes) {
  const Shape shape = form().w(kN, kK);
  Repeat([&] {
    NewWeights(Content::kCodes, shape);
    ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    if (form().pack != nullptr) {
      NewWeights(Content::kPacked, shape);
      ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    }
    NewWeights(Content::kFloats, shape);
    ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    *Blob("w")->GetMutable<std::string>() = "no weights";
    ExpectError("'w'");
  });
}

TEST_P(WeightWatchTest, OtherScalesAndZeroPoints) {
  Repeat(
      [&] {
        auto* const codes = Blob("w")->GetMutable<Int8TensorCPU>();
        codes->scale = Scale();
        ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
        codes->zero_point = random_.Byte();
        ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
        if (!form().has_bias()) return;
        NewBias(N(), /*codes=*/true);
        ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
        Blob("b")->GetMutable<Int8TensorCPU>()->scale = 3e-5f;
        ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
        // Too far from the products' scale, if there is one for all outputs.
        Blob("b")->GetMutable<Int8TensorCPU>()->scale = 0.1f;
        ExpectFollowed();
      },
      Content::kCodes);
}

TEST_P(WeightWatchTest, WeightsThatArePackedAnew) {
  if (form().pack == nullptr) return;
  Repeat(
      [&] {
        FillWeights(Content::kPacked, form().w(kN, kK));
        ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
        // The same weights, which are shared, with another bias, and none.
        for (const bool with_bias : {true, true, false}) {
          Pack(with_bias);
          ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
        }
        if (form().name == std::string("ConvDepthwise")) return;
        const int64_t n = form().w(kN, kK)[0] + 2;
        FillWeights(Content::kPacked, form().w(n, kK));
        ExpectFollowed();  // with its own bias; else the bias is of others
      },
      Content::kPacked);
}

TEST_P(WeightWatchTest, SharedData) {
  const Shape shape = form().w(kN, kK);
  std::vector<caffe2::Tensor> sources;
  for (int i = 0; i < 2; ++i) {
    sources.emplace_back(shape, caffe2::CPU);
    const auto values = Values(shape);
    std::copy(values.begin(), values.end(),
              sources.back().mutable_data<float>());
  }
  Repeat([&] {
    for (const caffe2::Tensor& source : sources) {
      caffe2::BlobGetMutableTensor(Blob("w"), caffe2::CPU)->ShareData(source);
      ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    }
  });
}

TEST_P(WeightWatchTest, AnotherPlaceInAStorage) {
  const Shape shape = form().w(kN, kK);
  const int64_t count = NumValues(shape);
  Repeat([&] {
    auto* const tensor = caffe2::BlobGetMutableTensor(Blob("w"), caffe2::CPU);
    tensor->Resize(2 * count);
    const auto values = Values({2 * count});
    std::copy(values.begin(), values.end(), tensor->mutable_data<float>());
    tensor->Resize(shape);  // keeps the storage
    ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    for (const int64_t offset : {count, count / 2, int64_t{0}}) {
      tensor->unsafeGetTensorImpl()->set_storage_offset(offset);
      ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    }
  });
}

TEST_P(WeightWatchTest, SwappedBlobs) {
  const Shape shape = form().w(kN, kK);
  Repeat([&] {
    FeedFloats(&workspace_, "other", Values(shape), shape);
    for (int i = 0; i < 3; ++i) {
      Blob("w")->swap(*Blob("other"));
      ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    }
    // From another workspace's.
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "other", Values(shape), shape);
    Blob("w")->swap(*workspace.GetBlob("other"));
    ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
  });
}

TEST_P(WeightWatchTest, ANewOperatorReadsAnew) {
  const Shape shape = form().w(kN, kK);
  Repeat([&] {
    FillWeights(Content::kFloats, shape);
    FillBias(N(), false);
    kept_ = NewOperator();
    ExpectFollowedWithoutError();
  });
}

// A reading that fails keeps nothing: what comes next is read, also if it is
// what was there before it.
TEST_P(WeightWatchTest, BrokenWeightsAndBiases) {
  const Shape shape = form().w(kN, kK);
  Repeat([&] {
    const char* const name = form().has_bias() && random_.OneIn(2) ? "b" : "w";
    FeedFloats(&workspace_, "other", Fetch<float>(workspace_, name),
               TensorOf(name).sizes().vec());
    auto* const values =
        caffe2::BlobGetMutableTensor(Blob("other"), caffe2::CPU)
            ->mutable_data<float>();
    values[0] = random_.OneIn(2) ? std::numeric_limits<float>::quiet_NaN()
                                 : std::numeric_limits<float>::infinity();
    Blob(name)->swap(*Blob("other"));
    for (int i = 0; i < 2; ++i) {
      ASSERT_NO_FATAL_FAILURE(ExpectError("'" + std::string(name) + "'"));
    }
    Blob(name)->swap(*Blob("other"));
    FillWeights(Content::kFloats, shape);  // in the same place
    ASSERT_NO_FATAL_FAILURE(ExpectFollowedWithoutError());
    // No tensor at all.
    Blob("w")->Reset();
    Blob("w")->GetMutable<caffe2::Tensor>();
    ASSERT_NO_FATAL_FAILURE(ExpectFollowed());
    ASSERT_NE(OutcomeOf(kept_.get()).error, "");
  });
}

// Memory that blobs let go of is free, whatever the operator remembers.
TEST_P(WeightWatchTest, KeepsNoMemoryOfBlobs) {
  const Shape shape = form().w(kN, kK);
  std::vector<float> memory = Values(shape);
  static std::atomic<int> freed{0};
  freed = 0;
  const auto put = [&] {
    Blob("w")->Reset();
    caffe2::Tensor tensor(shape, caffe2::CPU);
    tensor.ShareExternalPointer(
        at::DataPtr(
            memory.data(), memory.data(), [](void*) { ++freed; },
            at::Device(caffe2::CPU)),
        caffe2::TypeMeta::Make<float>(), memory.size() * sizeof(float));
    *caffe2::BlobGetMutableTensor(Blob("w"), caffe2::CPU) = std::move(tensor);
  };
  kept_ = NewOperator();
  for (int i = 1; i <= 3; ++i) {
    put();
    ExpectFollowedWithoutError();
    Blob("w")->Reset();
    EXPECT_EQ(freed, i);
  }
}

// Operators that share weights, each with an input and an output of its own, in
// two threads; the weights are replaced between their runs.
TEST_P(WeightWatchTest, SharedByTwoThreads) {
  constexpr int kThreads = 2;
  std::vector<std::unique_ptr<caffe2::OperatorBase>> operators;
  for (int i = 0; i < kThreads; ++i) {
    caffe2::OperatorDef definition = form().definition;
    definition.set_output(0, "y" + std::to_string(i));
    workspace_.CreateBlob(definition.output(0));
    operators.push_back(caffe2::CreateOperator(definition, &workspace_));
  }
  for (int i = 0; i < 50; ++i) {
    Replace(kN, kK);
    const Outcome expected = OutcomeOf(NewOperator().get());
    std::vector<std::thread> threads;
    for (auto& op : operators) {
      threads.emplace_back([&op] {
        for (int run = 0; run < 5; ++run) op->Run();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& op : operators) {
      ASSERT_EQ(FetchTensor(workspace_, op->debug_def().output(0)),
                expected.output);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, WeightWatchTest, testing::ValuesIn(Forms()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace caffe2_quantization
