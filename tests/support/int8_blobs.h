// Codes in the blobs of a workspace.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_INT8_BLOBS_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_INT8_BLOBS_H_

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "caffe2/core/tensor_int8.h"
#include "caffe2/core/workspace.h"

namespace caffe2_quantization {

struct Int8Values {
  std::vector<int64_t> sizes;
  std::vector<int> codes;
  float scale;
  int32_t zero_point;

  friend bool operator==(const Int8Values& a, const Int8Values& b) {
    return a.sizes == b.sizes && a.codes == b.codes && a.scale == b.scale &&
           a.zero_point == b.zero_point;
  }
  friend std::ostream& operator<<(std::ostream& stream, const Int8Values& v) {
    stream << v.codes.size() << " codes, scale " << v.scale << ", zero point "
           << v.zero_point << ":";
    for (std::size_t i = 0; i < std::min<std::size_t>(v.codes.size(), 24); ++i)
      stream << ' ' << v.codes[i];
    return stream;
  }
};

// T: uint8_t, uint16_t, or int32_t for a bias.
template <typename T>
void FeedCodes(caffe2::Workspace* workspace, const std::string& name,
               const std::vector<T>& codes, const std::vector<int64_t>& sizes,
               float scale, int32_t zero_point) {
  auto* tensor = workspace->CreateBlob(name)
                     ->template GetMutable<caffe2::int8::Int8TensorCPU>();
  tensor->scale = scale;
  tensor->zero_point = zero_point;
  tensor->t.Resize(sizes);
  std::copy(codes.begin(), codes.end(), tensor->t.template mutable_data<T>());
}

// uint8 or uint16.
inline Int8Values FetchCodes(const caffe2::Workspace& workspace,
                             const std::string& name) {
  const auto& tensor =
      workspace.GetBlob(name)->Get<caffe2::int8::Int8TensorCPU>();
  Int8Values values{
      tensor.t.sizes().vec(), {}, tensor.scale, tensor.zero_point};
  const auto copy = [&](const auto* codes) {
    values.codes.assign(codes, codes + tensor.t.numel());
  };
  if (tensor.t.IsType<uint16_t>()) {
    copy(tensor.t.data<uint16_t>());
  } else {
    copy(tensor.t.data<uint8_t>());
  }
  return values;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_INT8_BLOBS_H_
