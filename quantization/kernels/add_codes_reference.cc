// The plain forms of add_codes.h.
#include <limits>
#include <utility>

#include "quantization/kernels/add_codes.h"
#include "quantization/kernels/rounded_code.h"

namespace caffe2_quantization {
namespace kernels {

template <typename T>
CodeSum CodeSum::Of(std::vector<CodeScale> addends, float scale,
                    const CodeRange& range) {
  CodeSum sum;
  std::vector<double> terms, largest;
  double offset = 0;
  bool all_exact = true;
  for (const CodeScale& addend : addends) {
    const double multiplier = double{addend.scale} / scale;
    all_exact = all_exact && IsExactQuotient(addend.scale, scale);
    offset -= multiplier * addend.zero_point;
    terms.push_back(multiplier);
    largest.push_back(std::numeric_limits<T>::max());
    sum.multipliers.push_back(static_cast<float>(multiplier));
  }
  terms.push_back(offset);
  largest.push_back(1);
  sum.slack = SumSlack(terms.data(), largest.data(),
                       static_cast<int>(terms.size()), all_exact);
  sum.offset = static_cast<float>(offset);
  sum.addends = std::move(addends);
  sum.scale = scale;
  sum.range = range;
  return sum;
}
template CodeSum CodeSum::Of<uint8_t>(std::vector<CodeScale>, float,
                                      const CodeRange&);
template CodeSum CodeSum::Of<uint16_t>(std::vector<CodeScale>, float,
                                       const CodeRange&);

namespace reference {

template <typename T>
void AddCodes(const CodeSum& sum, const T* const* src, int64_t first,
              int64_t count, T* dst) {
  for (int64_t i = 0; i < count; ++i) {
    double numerator = 0;
    for (std::size_t k = 0; k < sum.addends.size(); ++k) {
      const CodeScale& addend = sum.addends[k];
      numerator += double{addend.scale} *
                   (int32_t{src[k][first + i]} - addend.zero_point);
    }
    dst[i] =
        static_cast<T>(RoundedCode(numerator / double{sum.scale}, sum.range));
  }
}
template void AddCodes(const CodeSum&, const uint8_t* const*, int64_t, int64_t,
                       uint8_t*);
template void AddCodes(const CodeSum&, const uint16_t* const*, int64_t, int64_t,
                       uint16_t*);

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
