#include "tests/operators/int8/engine/test_tensor.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "caffe2/core/tensor_int8.h"
#include "operators/int8_quant_blobs.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;
using ParamsPointer = std::unique_ptr<caffe2::Int8QuantParamsBlob>;

template <typename T>
std::vector<T> CodesAs(const TestTensor& x) {
  return std::vector<T>(x.codes.begin(), x.codes.end());
}

template <typename T>
void CopyCodes(const caffe2::Tensor& tensor, TestTensor* x) {
  const auto* const data = tensor.data<T>();
  x->codes.assign(data, data + tensor.numel());
}

}  // namespace

int64_t NumValues(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1},
                         std::multiplies<int64_t>());
}

double TestTensor::Real(int64_t i) const {
  if (is_float()) return floats[i];
  if (form == kInt32 || form == kInt64) return codes[i];
  return double{scale} * (int64_t{codes[i]} - zero_point);
}

bool operator==(const TestTensor& a, const TestTensor& b) {
  // memcmp takes no null, which an empty vector has.
  const auto same_bits = [](const auto& p, const auto& q) {
    return p.size() == q.size() &&
           (p.empty() ||
            std::memcmp(p.data(), q.data(), p.size() * sizeof(p[0])) == 0);
  };
  return a.form == b.form && a.shape == b.shape &&
         same_bits(a.floats, b.floats) && a.codes == b.codes &&
         a.scale == b.scale && a.zero_point == b.zero_point;
}

std::ostream& operator<<(std::ostream& stream, const TestTensor& x) {
  const char* const kForms[] = {"floats", "uint8",      "uint16",
                                "bias",   "int32",      "int64",
                                "params", "empty blob", "text"};
  stream << kForms[x.form] << " [";
  for (const int64_t size : x.shape) stream << size << ' ';
  stream << "] scale " << x.scale << " zero point " << x.zero_point << ":";
  constexpr int64_t kShown = 24;
  const auto show = [&](const auto& values) {
    for (std::size_t i = 0; i < values.size() && i < kShown; ++i) {
      stream << ' ' << values[i];
    }
  };
  show(x.floats);
  show(x.codes);
  return stream;
}

TestTensor FloatTensor(std::vector<float> values, std::vector<int64_t> shape) {
  TestTensor x;
  x.floats = std::move(values);
  x.shape = std::move(shape);
  return x;
}

TestTensor CodeTensor(TestTensor::Form form, std::vector<int> codes,
                      std::vector<int64_t> shape, float scale,
                      int32_t zero_point) {
  TestTensor x = IntegerTensor(form, std::move(codes), std::move(shape));
  x.scale = scale;
  x.zero_point = zero_point;
  return x;
}

TestTensor IntegerTensor(TestTensor::Form form, std::vector<int> values,
                         std::vector<int64_t> shape) {
  TestTensor x;
  x.form = form;
  x.codes = std::move(values);
  x.shape = std::move(shape);
  return x;
}

TestTensor ParamsBlob(float scale, int32_t zero_point) {
  return CodeTensor(TestTensor::kParams, {}, {}, scale, zero_point);
}

void FeedTensor(caffe2::Workspace* workspace, const std::string& name,
                const TestTensor& x) {
  const auto feed_codes = [&](auto zero) {
    FeedCodes(workspace, name, CodesAs<decltype(zero)>(x), x.shape, x.scale,
              x.zero_point);
  };
  const auto feed_tensor = [&](const auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    auto* const tensor = caffe2::BlobGetMutableTensor(
        workspace->CreateBlob(name), x.shape, at::dtype<T>());
    std::copy(values.begin(), values.end(), tensor->template mutable_data<T>());
  };
  switch (x.form) {
    case TestTensor::kFloats:
      return feed_tensor(x.floats);
    case TestTensor::kUint8:
      return feed_codes(uint8_t{0});
    case TestTensor::kUint16:
      return feed_codes(uint16_t{0});
    case TestTensor::kBias:
      return feed_codes(int32_t{0});
    case TestTensor::kInt32:
      return feed_tensor(CodesAs<int32_t>(x));
    case TestTensor::kInt64:
      return feed_tensor(CodesAs<int64_t>(x));
    case TestTensor::kParams: {
      auto params = std::make_unique<caffe2::Int8QuantParamsBlob>();
      params->qparam.scale = x.scale;
      params->qparam.zero_point = x.zero_point;
      *workspace->CreateBlob(name)->GetMutable<ParamsPointer>() =
          std::move(params);
      return;
    }
    case TestTensor::kNothing:
      workspace->CreateBlob(name)->Reset();
      return;
    case TestTensor::kText:
      *workspace->CreateBlob(name)->GetMutable<std::string>() = "text";
      return;
  }
}

TestTensor FetchTensor(const caffe2::Workspace& workspace,
                       const std::string& name) {
  const caffe2::Blob& blob = *workspace.GetBlob(name);
  TestTensor x;
  if (blob.IsType<Int8TensorCPU>()) {
    const auto& tensor = blob.Get<Int8TensorCPU>();
    x.shape = tensor.t.sizes().vec();
    x.scale = tensor.scale;
    x.zero_point = tensor.zero_point;
    if (tensor.t.IsType<uint16_t>()) {
      x.form = TestTensor::kUint16;
      CopyCodes<uint16_t>(tensor.t, &x);
    } else if (tensor.t.IsType<int32_t>()) {
      x.form = TestTensor::kBias;
      CopyCodes<int32_t>(tensor.t, &x);
    } else {
      x.form = TestTensor::kUint8;
      CopyCodes<uint8_t>(tensor.t, &x);
    }
    return x;
  }
  if (blob.IsType<ParamsPointer>()) {
    const auto& params = *blob.Get<ParamsPointer>();
    return ParamsBlob(params.qparam.scale, params.qparam.zero_point);
  }
  const auto& tensor = blob.Get<caffe2::Tensor>();
  x.shape = tensor.sizes().vec();
  if (tensor.IsType<int32_t>()) {
    x.form = TestTensor::kInt32;
    CopyCodes<int32_t>(tensor, &x);
  } else if (tensor.IsType<int64_t>()) {
    x.form = TestTensor::kInt64;
    CopyCodes<int64_t>(tensor, &x);
  } else {
    const auto* const data = tensor.data<float>();
    x.floats.assign(data, data + tensor.numel());
  }
  return x;
}

std::vector<int> RandomCodes(TestRandom* random, int64_t count, int64_t low,
                             int64_t high) {
  std::vector<int> codes(count);
  for (int& code : codes) code = static_cast<int>(random->Integer(low, high));
  return codes;
}

std::vector<float> RandomFloats(TestRandom* random, int64_t count, float low,
                                float high) {
  std::vector<float> values(count);
  for (float& value : values) value = random->Float(low, high);
  return values;
}

std::vector<int64_t> RandomShape(TestRandom* random, int low_rank,
                                 int high_rank) {
  std::vector<int64_t> shape(random->Integer(low_rank, high_rank));
  for (int64_t& size : shape) {
    size =
        random->OneIn(30) ? 0 : random->Integer(1, 1 << random->Integer(0, 4));
  }
  return shape;
}

int64_t UlpsApart(float a, float b) {
  const auto ordered = [](float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return bits < 0 ? int64_t{std::numeric_limits<int32_t>::min()} - bits
                    : int64_t{bits};
  };
  return std::abs(ordered(a) - ordered(b));
}

}  // namespace caffe2_quantization
