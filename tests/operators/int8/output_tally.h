// Outputs of operators of products, codes or floats, and how those of ours
// compare with the host's.
#ifndef CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OUTPUT_TALLY_H_
#define CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OUTPUT_TALLY_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "caffe2/core/tensor_int8.h"
#include "caffe2/core/workspace.h"
#include "operators/int8_quant_blobs.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/random.h"

namespace caffe2_quantization {

inline int64_t NumValues(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1},
                         std::multiplies<int64_t>());
}

inline void FeedQuantParams(caffe2::Workspace* workspace,
                            const std::string& name, float scale,
                            int32_t zero_point) {
  auto params = std::make_unique<caffe2::Int8QuantParamsBlob>();
  params->qparam.scale = scale;
  params->qparam.zero_point = zero_point;
  *workspace->CreateBlob(name)
       ->GetMutable<std::unique_ptr<caffe2::Int8QuantParamsBlob>>() =
      std::move(params);
}

// An output of either kind.
struct OutputValues {
  std::vector<int64_t> shape;
  bool is_float = false;
  std::vector<float> floats;
  std::vector<int> codes;
  float scale = 0;
  int32_t zero_point = 0;

  friend bool operator==(const OutputValues& a, const OutputValues& b) {
    return a.shape == b.shape && a.is_float == b.is_float &&
           a.floats == b.floats && a.codes == b.codes && a.scale == b.scale &&
           a.zero_point == b.zero_point;
  }
  friend std::ostream& operator<<(std::ostream& stream, const OutputValues& y) {
    stream << (y.is_float ? "floats [" : "codes [");
    for (const int64_t size : y.shape) stream << size << ' ';
    return stream << "] scale " << y.scale << " zero point " << y.zero_point;
  }
};

inline OutputValues FetchOutput(const caffe2::Workspace& workspace,
                                const std::string& name) {
  const caffe2::Blob& blob = *workspace.GetBlob(name);
  OutputValues result;
  result.is_float = !blob.IsType<caffe2::int8::Int8TensorCPU>();
  if (result.is_float) {
    const auto& tensor = blob.Get<caffe2::Tensor>();
    result.shape = tensor.sizes().vec();
    const auto* const data = tensor.data<float>();
    result.floats.assign(data, data + tensor.numel());
    return result;
  }
  Int8Values values = FetchCodes(workspace, name);
  result.shape = std::move(values.sizes);
  result.codes = std::move(values.codes);
  result.scale = values.scale;
  result.zero_point = values.zero_point;
  return result;
}

// Bits apart: 0 for the same float, 1 for neighbours.
inline int64_t UlpsApart(float a, float b) {
  const auto ordered = [](float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof(bits));
    return bits < 0 ? int64_t{std::numeric_limits<int32_t>::min()} - bits
                    : int64_t{bits};
  };
  return std::abs(ordered(a) - ordered(b));
}

// How outputs of ours compare with the host's, over many of them.
struct Tally {
  int outputs = 0;
  int64_t codes = 0, codes_differ = 0, codes_beyond_one = 0;
  int64_t floats = 0, floats_differ = 0, most_ulps = 0;
  int differ = 0;  // outputs of another form, shape or parameters

  // limit: codes of the host beyond it count as it.
  void Add(const OutputValues& ours, const OutputValues& host, int32_t limit) {
    ++outputs;
    if (ours.is_float != host.is_float || ours.shape != host.shape ||
        ours.scale != host.scale || ours.zero_point != host.zero_point) {
      ++differ;
      return;
    }
    codes += ours.codes.size();
    for (std::size_t i = 0; i < ours.codes.size(); ++i) {
      const int32_t apart =
          std::abs(ours.codes[i] - std::min(host.codes[i], limit));
      codes_differ += apart > 0;
      codes_beyond_one += apart > 1;
    }
    floats += ours.floats.size();
    for (std::size_t i = 0; i < ours.floats.size(); ++i) {
      const int64_t apart = UlpsApart(ours.floats[i], host.floats[i]);
      floats_differ += apart > 0;
      most_ulps = std::max(most_ulps, apart);
    }
  }

  std::string Text() const {
    return std::to_string(outputs) + " outputs; " +
           std::to_string(codes_differ) + " of " + std::to_string(codes) +
           " codes differ, " + std::to_string(codes_beyond_one) +
           " by more than 1; " + std::to_string(floats_differ) + " of " +
           std::to_string(floats) + " floats differ, by " +
           std::to_string(most_ulps) + " ulp at most";
  }
};

template <typename T>
std::vector<T> RandomCodes(TestRandom* random, int64_t count, int64_t low,
                           int64_t high) {
  std::vector<T> codes(count);
  for (T& code : codes) code = static_cast<T>(random->Integer(low, high));
  return codes;
}

inline std::vector<float> RandomFloats(TestRandom* random, int64_t count,
                                       float low, float high) {
  std::vector<float> values(count);
  for (float& value : values) value = random->Float(low, high);
  return values;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_OUTPUT_TALLY_H_
