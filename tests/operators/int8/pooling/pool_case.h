// Random pools, and what they give by the host's own geometry: every window's
// values, one after the other.
#ifndef CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_POOLING_POOL_CASE_H_
#define CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_POOLING_POOL_CASE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/operators/conv_pool_op_base.h"
#include "tests/operators/int8/engine/operator_case.h"

namespace caffe2_quantization {

inline bool IsGlobal(const OperatorCase& c) {
  return c.Argument("global_pooling", 0) == 1;
}
inline bool IsNhwc(const OperatorCase& c) {
  return c.Argument<std::string>("order", "NCHW") == "NHWC";
}

// Adds a number for each dimension in one of the forms that the host takes.
inline void AddForm(TestRandom* random, OpBuilder builder,
                    const std::string& name,
                    const std::vector<int64_t>& values) {
  if (values.size() != 2 || random->OneIn(3)) {
    builder.Ints(name + "s", values);
  } else if (values[0] == values[1] && random->OneIn(2)) {
    builder.Int(name, values[0]);
  } else {
    builder.Int(name + "_h", values[0]).Int(name + "_w", values[1]);
  }
}

// Draws arguments that the host takes, and input 0 of a shape for them.
inline void DrawPool(TestRandom* random, OperatorCase* c, int low_dims = 1) {
  const auto dims = random->Integer(low_dims, 3);
  const int64_t largest = dims == 1 ? 40 : dims == 2 ? 12 : 6;
  std::vector<int64_t> sizes(dims), kernel(dims), stride(dims), pads(2 * dims);
  for (int64_t& size : sizes) size = random->Integer(1, largest);
  const bool nhwc = random->OneIn(2);
  if (nhwc || random->OneIn(3)) {
    c->Arguments().String("order", nhwc ? "NHWC" : "NCHW");
  }
  std::vector<int64_t> shape = sizes;
  const int64_t channels =
      random->Integer(1, int64_t{1} << random->Integer(0, 6));
  shape.insert(nhwc ? shape.end() : shape.begin(), channels);
  shape.insert(shape.begin(), random->OneIn(15) ? 0 : random->Integer(1, 3));
  c->Input(0) = c->RandomInput(random, shape);
  if (random->OneIn(5)) {
    c->Arguments().Int("global_pooling", 1);
    return;
  }
  const int64_t legacy = random->OneIn(3) ? random->Integer(0, 3) : 0;
  const bool pads_are_given = legacy != 1 && legacy != 2 && random->OneIn(2);
  for (int64_t dim = 0; dim < dims; ++dim) {
    kernel[dim] = random->Integer(1, random->OneIn(5) ? sizes[dim] : 4);
    if (pads_are_given) {
      pads[dim] = random->Integer(0, kernel[dim] - 1);
      pads[dims + dim] = random->Integer(0, kernel[dim] - 1);
    }
    stride[dim] = random->Integer(1, legacy == 3 ? kernel[dim] : 4);
    // A window fits into what it may reach; legacy_pad 3 rounds up.
    const int64_t room = legacy == 2 ? 4
                         : legacy == 3
                             ? sizes[dim] + 2 * pads[dim] + stride[dim] - 1
                             : sizes[dim] + pads[dim] + pads[dims + dim];
    if (kernel[dim] <= room) continue;
    --dim;  // again
  }
  AddForm(random, c->Arguments(), "kernel", kernel);
  if (std::count(stride.begin(), stride.end(), 1) < dims) {
    AddForm(random, c->Arguments(), "stride", stride);
  }
  if (legacy != 0) c->Arguments().Int("legacy_pad", legacy);
  if (pads_are_given) c->Arguments().Ints("pads", pads);
}

// What the host's base class makes of a definition.
class HostWindows final : public caffe2::ConvPoolOpBase<caffe2::CPUContext> {
 public:
  using ConvPoolOpBase::ConvPoolOpBase;
  std::vector<int64_t> Place(std::vector<int64_t> sizes, int channels) {
    sizes[0] = 1;  // it computes no sizes of an empty tensor
    return GetOutputSize(caffe2::Tensor(sizes, caffe2::CPU), channels);
  }
  int64_t kernel(int dim) const { return kernel_[dim]; }
  int64_t stride(int dim) const { return stride_[dim]; }
  int64_t pad(int dim) const { return pads_[dim]; }
};

// Returns what `fold` gives for each window: it gets the values inside of the
// input, and how many the kernel has.
template <class Fold>
Expected PoolReference(const OperatorCase& c, const Fold& fold) {
  using Sizes = std::array<int64_t, 3>;
  const TestTensor& x = c.Input(0);
  const bool nhwc = IsNhwc(c);
  const auto dims = static_cast<int>(x.shape.size()) - 2;
  const int64_t channels = x.shape[nhwc ? dims + 1 : 1];
  Sizes input{1, 1, 1}, output{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1};
  Sizes pad{0, 0, 0};
  Expected expected;
  expected.shape = x.shape;
  caffe2::Workspace workspace;
  for (const auto& [name, tensor] : c.blobs) workspace.CreateBlob(name);
  HostWindows host(c.definition, &workspace);
  if (!IsGlobal(c)) {
    expected.shape = host.Place(x.shape, static_cast<int>(channels));
    expected.shape[0] = x.shape[0];
  }
  for (int dim = 0; dim < dims; ++dim) {
    const int to = 3 - dims + dim, place = dim + (nhwc ? 1 : 2);
    input[to] = kernel[to] = x.shape[place];
    if (IsGlobal(c)) {
      expected.shape[place] = 1;
    } else {
      kernel[to] = host.kernel(dim);
      stride[to] = host.stride(dim);
      pad[to] = host.pad(dim);
    }
    output[to] = expected.shape[place];
  }
  const auto place = [&](int64_t n, int64_t channel, const Sizes& at,
                         const Sizes& sizes) {
    const int64_t pixel = (at[0] * sizes[1] + at[1]) * sizes[2] + at[2];
    const int64_t pixels = sizes[0] * sizes[1] * sizes[2];
    return nhwc ? (n * pixels + pixel) * channels + channel
                : (n * channels + channel) * pixels + pixel;
  };
  const auto each = [](const Sizes& sizes, const auto& body) {
    for (int64_t t = 0; t < sizes[0]; ++t) {
      for (int64_t h = 0; h < sizes[1]; ++h) {
        for (int64_t w = 0; w < sizes[2]; ++w) body(Sizes{t, h, w});
      }
    }
  };
  expected.values.resize(NumValues(expected.shape));
  for (int64_t n = 0; n < x.shape[0]; ++n) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      each(output, [&](const Sizes& o) {
        std::vector<double> values;
        each(kernel, [&](const Sizes& k) {
          Sizes at;
          for (int dim = 0; dim < 3; ++dim) {
            at[dim] = o[dim] * stride[dim] - pad[dim] + k[dim];
            if (at[dim] < 0 || at[dim] >= input[dim]) return;
          }
          values.push_back(x.Real(place(n, channel, at, input)));
        });
        expected.values[place(n, channel, o, output)] =
            fold(values, kernel[0] * kernel[1] * kernel[2]);
      });
    }
  }
  return expected;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_POOLING_POOL_CASE_H_
