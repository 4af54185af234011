// Convolutions against loops over their definition: the same codes, on every
// instruction set (CTest runs this program once a cap).
#include "quantization/onednn/convolution.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <thread>

#include "quantization/onednn/column_offsets.h"
#include "quantization/onednn/parallel.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

using Filter = std::shared_ptr<const PackedFilter>;

std::string Text(const ConvolutionShape& shape) {
  const auto list = [&](const std::array<int64_t, 3>& sizes) {
    std::string text;
    for (int i = 0; i < shape.dims; ++i) {
      text += (i == 0 ? "" : "x") + std::to_string(sizes[i]);
    }
    return text;
  };
  return "batch " + std::to_string(shape.batch) + ", channels " +
         std::to_string(shape.in_channels) + " to " +
         std::to_string(shape.out_channels) + " in " +
         std::to_string(shape.groups) + " groups, input " + list(shape.input) +
         ", kernel " + list(shape.kernel) + ", stride " + list(shape.stride) +
         ", dilation " + list(shape.dilation) + ", pads " +
         list(shape.pad_begin) + " and " + list(shape.pad_end) +
         (shape.channels_first ? ", channels first" : "");
}

int64_t Product(const ConvolutionShape& shape,
                const std::array<int64_t, 3>& sizes) {
  int64_t product = 1;
  for (int i = 0; i < shape.dims; ++i) product *= sizes[i];
  return product;
}

std::array<int64_t, 3> Outputs(const ConvolutionShape& shape) {
  std::array<int64_t, 3> outputs = {1, 1, 1};
  for (int i = 0; i < shape.dims; ++i) outputs[i] = shape.Output(i);
  return outputs;
}

// Index i of an array of these sizes, as places.
std::array<int64_t, 3> PlacesOf(int64_t i, const ConvolutionShape& shape,
                                const std::array<int64_t, 3>& sizes) {
  std::array<int64_t, 3> places = {0, 0, 0};
  for (int d = shape.dims - 1; d >= 0; --d) {
    places[d] = i % sizes[d];
    i /= sizes[d];
  }
  return places;
}

// Operands, and what is expected of them.
struct Case {
  ConvolutionShape shape;
  std::vector<uint8_t> x;
  std::vector<int8_t> w;
  int32_t x_zero_point;
  std::vector<int32_t> w_zero_points;  // 1, groups or out_channels
  std::vector<int32_t> bias;

  Case(TestRandom* random, const ConvolutionShape& shape,
       bool symmetric = false)
      : shape(shape),
        x(shape.batch * shape.in_channels * Product(shape, shape.input)),
        w(shape.out_channels * shape.in_channels / shape.groups *
          Product(shape, shape.kernel)),
        bias(shape.out_channels) {
    const bool extremes = random->OneIn(3);
    for (uint8_t& value : x) {
      value = !extremes ? random->Byte() : random->OneIn(4) ? 0 : 255;
    }
    for (int8_t& value : w) {
      value = static_cast<int8_t>(random->Byte());
      if (extremes) value = value < 0 ? -128 : 127;
    }
    const int32_t zero_points[] = {
        0, 255, static_cast<int32_t>(random->Integer(1, 254))};
    x_zero_point = zero_points[random->Integer(0, 2)];
    const int64_t sets[] = {1, shape.groups, shape.out_channels};
    w_zero_points.resize(sets[random->Integer(0, 2)]);
    for (int32_t& zero_point : w_zero_points) {
      zero_point = symmetric           ? 0
                   : random->OneIn(10) ? -128
                                       : random->Integer(-128, 127);
    }
    for (int32_t& value : bias) value = random->Integer(-1000, 1000);
  }

  int64_t pixels() const { return Product(shape, Outputs(shape)); }
  int64_t k() const {
    return shape.in_channels / shape.groups * Product(shape, shape.kernel);
  }
  int32_t WZeroPoint(int64_t n) const {
    return w_zero_points[n * static_cast<int64_t>(w_zero_points.size()) /
                         shape.out_channels];
  }
  // Where an output is in dst.
  int64_t PlaceOf(int64_t b, int64_t pixel, int64_t n) const {
    return shape.channels_first
               ? (b * shape.out_channels + n) * pixels() + pixel
               : (b * pixels() + pixel) * shape.out_channels + n;
  }

  // By the definition; in the order of dst.
  std::vector<int64_t> Accumulators() const {
    const int64_t channels = shape.in_channels / shape.groups;
    const int64_t taps = Product(shape, shape.kernel);
    const int64_t in_pixels = Product(shape, shape.input);
    const auto outputs = Outputs(shape);
    std::vector<int64_t> result(shape.batch * pixels() * shape.out_channels);
    for (int64_t b = 0; b < shape.batch; ++b) {
      for (int64_t pixel = 0; pixel < pixels(); ++pixel) {
        const auto o = PlacesOf(pixel, shape, outputs);
        for (int64_t n = 0; n < shape.out_channels; ++n) {
          int64_t sum = bias[n];
          for (int64_t tap = 0; tap < taps; ++tap) {
            const auto t = PlacesOf(tap, shape, shape.kernel);
            int64_t from = 0;
            bool inside = true;
            for (int d = 0; d < shape.dims; ++d) {
              const int64_t at = o[d] * shape.stride[d] +
                                 t[d] * shape.dilation[d] - shape.pad_begin[d];
              inside = inside && at >= 0 && at < shape.input[d];
              from = from * shape.input[d] + at;
            }
            if (!inside) continue;  // real zeros
            for (int64_t c = 0; c < channels; ++c) {
              const int64_t in =
                  n / (shape.out_channels / shape.groups) * channels + c;
              const int64_t x_at =
                  shape.channels_first
                      ? (b * shape.in_channels + in) * in_pixels + from
                      : (b * in_pixels + from) * shape.in_channels + in;
              const int64_t w_at = shape.channels_first
                                       ? (n * channels + c) * taps + tap
                                       : (n * taps + tap) * channels + c;
              sum +=
                  int64_t{x[x_at] - x_zero_point} * (w[w_at] - WZeroPoint(n));
            }
          }
          result[PlaceOf(b, pixel, n)] = sum;
        }
      }
    }
    return result;
  }

  Filter Pack() const {
    Filter filter;
    const Status status =
        PackedFilter::Pack(w.data(), shape, w_zero_points, &filter);
    EXPECT_TRUE(status.ok()) << status.message();
    return filter;
  }

  ColumnOffsets Offsets(const PackedFilter& filter) const {
    std::vector<int32_t> zero_points;
    for (int64_t n = 0; n < shape.out_channels; ++n) {
      zero_points.push_back(WZeroPoint(n));
    }
    ColumnOffsets offsets;
    offsets.Set(shape.out_channels, filter.k(), x_zero_point,
                filter.column_sums().data(), zero_points.data(), bias.data());
    return offsets;
  }
};

// Runs it with guards around dst.
std::vector<uint8_t> RunIt(const PackedFilter& filter, const Case& test,
                           const kernels::OutputStage& stage,
                           const std::vector<uint8_t>& before) {
  constexpr std::size_t kGuard = 64;
  std::vector<uint8_t> dst(before.size() + 2 * kGuard, 0xa5);
  std::copy(before.begin(), before.end(), dst.begin() + kGuard);
  kernels::OutputStage in_place = stage;
  // An addend is what was there.
  if (stage.addend != nullptr) in_place.addend = dst.data() + kGuard;
  const Status status =
      Convolve(filter, test.shape, test.x.data(), test.x_zero_point, in_place,
               dst.data() + kGuard);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(std::all_of(dst.begin(), dst.begin() + kGuard,
                          [](uint8_t byte) { return byte == 0xa5; }));
  EXPECT_TRUE(std::all_of(dst.end() - kGuard, dst.end(),
                          [](uint8_t byte) { return byte == 0xa5; }));
  return {dst.begin() + kGuard, dst.end() - kGuard};
}

// Every code. Multipliers of 1, with a bias that brings one pixel of each
// output channel to the middle of the codes, show single quanta of sums;
// others spread the sums over the codes.
void ExpectExact(TestRandom* random, Case test) {
  SCOPED_TRACE(Text(test.shape));
  const Filter filter = test.Pack();
  ASSERT_NE(filter, nullptr);
  ASSERT_EQ(filter->k(), test.k());
  std::vector<int64_t> accumulators = test.Accumulators();
  const int64_t outputs = test.shape.out_channels;
  int64_t largest = 1;
  for (const int64_t acc : accumulators) {
    largest = std::max(largest, std::abs(acc));
  }
  const bool is_large = largest > (1 << 30);
  const bool shows_quanta = !is_large && random->OneIn(2);
  kernels::OutputStage stage;
  stage.columns = outputs;
  stage.zero_point = random->Integer(0, 255);
  if (shows_quanta && test.shape.batch > 0) {
    for (int64_t n = 0; n < outputs; ++n) {
      const int64_t shift =
          100 -
          accumulators[test.PlaceOf(random->Integer(0, test.shape.batch - 1),
                                    random->Integer(0, test.pixels() - 1), n)];
      const int64_t bias = test.bias[n] + shift;
      if (bias != static_cast<int32_t>(bias)) continue;  // one more of 32 bits
      test.bias[n] = static_cast<int32_t>(bias);
      for (int64_t b = 0; b < test.shape.batch; ++b) {
        for (int64_t pixel = 0; pixel < test.pixels(); ++pixel) {
          accumulators[test.PlaceOf(b, pixel, n)] += shift;
        }
      }
    }
    stage.zero_point = 0;
  }
  stage.low = random->OneIn(3) ? stage.zero_point : 0;
  stage.high = random->OneIn(3) ? static_cast<int32_t>(random->Integer(
                                      std::max(stage.zero_point, 1), 255))
                                : 255;
  std::vector<float> multipliers(outputs, 1);
  if (!shows_quanta) {
    for (float& value : multipliers) {
      value = is_large
                  ? random->Float(0.2F, 128.F) / static_cast<float>(largest)
                  : random->Float(0.2F, 2.F) / (80 * std::sqrt(test.k()));
    }
  }
  stage.multipliers = multipliers.data();
  const auto offsets = test.Offsets(*filter);
  offsets.Lend(&stage);
  std::vector<uint8_t> before(accumulators.size(), 0x5a);
  if (random->OneIn(3)) {
    for (uint8_t& code : before) code = random->Byte();
    stage.addend = before.data();
    stage.addend_zero_point = random->Byte();
    stage.addend_multiplier = random->Float(0, 2);
  }
  const std::vector<uint8_t> codes = RunIt(*filter, test, stage, before);
  for (int64_t b = 0; b < test.shape.batch; ++b) {
    for (int64_t pixel = 0; pixel < test.pixels(); ++pixel) {
      for (int64_t n = 0; n < outputs; ++n) {
        const int64_t at = test.PlaceOf(b, pixel, n);
        float y = static_cast<float>(accumulators[at]) * multipliers[n];
        if (stage.addend != nullptr) {
          const float addend =
              static_cast<float>(before[at] - stage.addend_zero_point) *
              stage.addend_multiplier;
          y += addend;
        }
        const double code = std::nearbyint(y) + double{1} * stage.zero_point;
        const double expected =
            std::min<double>(std::max<double>(code, stage.low), stage.high);
        ASSERT_EQ(codes[at], expected)
            << "image " << b << ", pixel " << pixel << ", output " << n;
      }
    }
  }
}

ConvolutionShape RandomShape(TestRandom* random) {
  ConvolutionShape shape;
  shape.batch = random->Integer(1, 3);
  shape.dims = static_cast<int>(random->Integer(1, 3));
  shape.channels_first = random->OneIn(2);
  const int64_t largest = shape.dims == 1 ? 40 : shape.dims == 2 ? 14 : 6;
  for (int i = 0; i < shape.dims; ++i) {
    shape.kernel[i] = random->OneIn(3) ? 1 : random->Integer(1, 5);
    shape.stride[i] = random->Integer(1, 3);
    shape.dilation[i] = random->OneIn(3) ? random->Integer(2, 3) : 1;
    shape.pad_begin[i] = random->OneIn(3) ? 0 : random->Integer(0, 4);
    shape.pad_end[i] = random->OneIn(3) ? 0 : random->Integer(0, 4);
    const int64_t window = shape.dilation[i] * (shape.kernel[i] - 1) + 1;
    shape.input[i] = random->Integer(1, largest);
    shape.input[i] = std::max(shape.input[i],
                              window - shape.pad_begin[i] - shape.pad_end[i]);
  }
  const auto channels = [&](int64_t most) {
    return random->OneIn(2) ? int64_t{1} << random->Integer(0, 4)
                            : random->Integer(1, most);
  };
  switch (random->Integer(0, 3)) {
    case 0:  // depthwise
      shape.groups = random->OneIn(3) ? 16 * random->Integer(1, 6)
                                      : random->Integer(1, 80);
      shape.in_channels = shape.groups;
      shape.out_channels =
          shape.groups * (random->OneIn(3) ? random->Integer(2, 5) : 1);
      break;
    case 1:  // groups
      shape.groups = random->Integer(1, 12);
      shape.in_channels = shape.groups * channels(9);
      shape.out_channels = shape.groups * channels(9);
      break;
    default:
      shape.in_channels = channels(40);
      shape.out_channels = channels(70);
  }
  return shape;
}

TEST(Convolution, ExactOverRandomShapes) {
  TestRandom random;
  for (int i = 0; i < 2000; ++i) {
    ExpectExact(&random, Case(&random, RandomShape(&random), random.OneIn(5)));
    if (testing::Test::HasFatalFailure() || testing::Test::HasFailure()) return;
  }
}

// Windows below, at and beyond where sums leave 32 bits, in each of the ways
// that convolutions are computed; and biases that alone reach the limits.
TEST(Convolution, ExactForEveryWindow) {
  TestRandom random;
  struct Form {
    int dims;
    std::array<int64_t, 3> kernel;
    int64_t in_channels, out_channels, groups;
  };
  const Form forms[] = {
      {1, {33025, 1, 1}, 1, 3, 1},
      {1, {33026, 1, 1}, 1, 3, 1},
      {2, {182, 182, 1}, 1, 17, 1},
      {2, {3, 3, 1}, 3700, 5, 1},
      {2, {1, 1, 1}, 66000, 3, 1},
      {2, {92, 91, 1}, 8, 4, 2},
      {3, {5, 7, 300}, 7, 2, 1},
      {2, {200, 200, 1}, 2, 2, 1},
      // Depthwise, and what is not any more; some outputs for each channel.
      {2, {181, 182, 1}, 18, 18, 18},
      {2, {182, 182, 1}, 4, 4, 4},
      {1, {33025, 1, 1}, 16, 32, 16},
      {1, {33026, 1, 1}, 3, 6, 3},
      {3, {4, 91, 92}, 2, 4, 2},
      {1, {9000, 1, 1}, 32, 32, 16},
      // Biases are what is large.
      {2, {1, 1, 1}, 3, 40, 1},
      {2, {3, 3, 1}, 33, 33, 33},
      {2, {3, 3, 1}, 16, 24, 4},
  };
  for (const Form& form : forms) {
    for (int64_t i = CaseCount(3, 30); i > 0; --i) {
      ConvolutionShape shape;
      shape.dims = form.dims;
      shape.kernel = form.kernel;
      shape.in_channels = form.in_channels;
      shape.out_channels = form.out_channels;
      shape.groups = form.groups;
      shape.channels_first = random.OneIn(2);
      for (int d = 0; d < form.dims; ++d) {
        shape.pad_begin[d] = random.Integer(0, 1);
        shape.pad_end[d] = random.Integer(0, 1);
        shape.input[d] =
            std::max<int64_t>(1, shape.kernel[d] - random.Integer(0, 1));
        shape.input[d] =
            std::max(shape.input[d],
                     shape.kernel[d] - shape.pad_begin[d] - shape.pad_end[d]);
      }
      Case test(&random, shape);
      // Half of the cases: all sums of one sign, as large as codes allow.
      if (random.OneIn(2)) {
        const bool up = random.OneIn(2);
        std::fill(test.x.begin(), test.x.end(), 255);
        test.x_zero_point = 0;
        std::fill(test.w.begin(), test.w.end(), up ? 127 : -128);
        std::fill(test.w_zero_points.begin(), test.w_zero_points.end(),
                  up ? -128 : 127);
      }
      for (int32_t& value : test.bias) {
        if (random.OneIn(2)) continue;
        value = random.OneIn(2) ? std::numeric_limits<int32_t>::max()
                                : std::numeric_limits<int32_t>::min();
      }
      ExpectExact(&random, test);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Shapes whose images take several chunks, and lines of several kinds.
TEST(Convolution, ExactOverLargeImages) {
  TestRandom random;
  for (const bool channels_first : {false, true}) {
    ConvolutionShape shape;
    shape.channels_first = channels_first;
    shape.input = {61, 67, 1};
    shape.kernel = {3, 3, 1};
    shape.pad_begin = shape.pad_end = {1, 1, 0};
    shape.in_channels = 19;
    shape.out_channels = 37;
    ExpectExact(&random, Case(&random, shape));
    shape.kernel = {1, 1, 1};
    shape.pad_begin = shape.pad_end = {0, 0, 0};
    shape.batch = 3;
    ExpectExact(&random, Case(&random, shape));
    shape.kernel = {5, 5, 1};
    shape.pad_begin = shape.pad_end = {2, 2, 0};
    shape.batch = 2;
    shape.in_channels = shape.out_channels = shape.groups = 80;
    ExpectExact(&random, Case(&random, shape));
    shape.stride = {2, 2, 1};
    ExpectExact(&random, Case(&random, shape));
  }
}

TEST(Convolution, AnEmptyBatchIsNothing) {
  ConvolutionShape shape;
  shape.in_channels = 4;
  shape.out_channels = 5;
  shape.input = {3, 3, 1};
  shape.kernel = {2, 2, 1};
  TestRandom random;
  shape.batch = 0;
  ExpectExact(&random, Case(&random, shape));
}

// A filter serves other batches, inputs, strides, dilations and paddings.
TEST(Convolution, OneFilterForAnyInput) {
  TestRandom random;
  for (int i = 0; i < 20; ++i) {
    Case first(&random, RandomShape(&random));
    const Filter filter = first.Pack();
    Case second = first;
    ConvolutionShape& shape = second.shape;
    shape.batch = 2;
    for (int d = 0; d < shape.dims; ++d) {
      shape.stride[d] = shape.dilation[d] = 2;
      shape.pad_begin[d] = 1;
      shape.pad_end[d] = 0;
      shape.input[d] = 2 * shape.kernel[d] + 1;
    }
    second.x.resize(shape.batch * shape.in_channels *
                    Product(shape, shape.input));
    for (uint8_t& code : second.x) code = random.Byte();
    const auto offsets = second.Offsets(*filter);
    const std::vector<float> multipliers(shape.out_channels, 0.01F);
    kernels::OutputStage stage;
    stage.columns = shape.out_channels;
    offsets.Lend(&stage);
    stage.multipliers = multipliers.data();
    stage.zero_point = 99;
    const std::vector<uint8_t> before(shape.batch * second.pixels() *
                                      shape.out_channels);
    EXPECT_EQ(RunIt(*filter, second, stage, before),
              RunIt(*second.Pack(), second, stage, before))
        << Text(shape);
  }
}

// Every number of threads, within a parallel region, and from several threads
// that share a filter: the same codes.
TEST(Convolution, ThreadsDoNotShow) {
  TestRandom random;
  const int before_threads = omp_get_max_threads();
  for (int i = 0; i < 30; ++i) {
    const Case test(&random, RandomShape(&random));
    SCOPED_TRACE(Text(test.shape));
    const Filter filter = test.Pack();
    const auto offsets = test.Offsets(*filter);
    const std::vector<float> multipliers(test.shape.out_channels, 0.003F);
    kernels::OutputStage stage;
    stage.columns = test.shape.out_channels;
    offsets.Lend(&stage);
    stage.multipliers = multipliers.data();
    stage.zero_point = 128;
    const std::vector<uint8_t> before(test.shape.batch * test.pixels() *
                                      test.shape.out_channels);
    omp_set_num_threads(1);
    const auto expected = RunIt(*filter, test, stage, before);
    for (const int threads : {2, 3}) {
      omp_set_num_threads(threads);
      ASSERT_EQ(RunIt(*filter, test, stage, before), expected);
    }
    std::vector<std::vector<uint8_t>> results(2);
    ASSERT_TRUE(ParallelFor(2, 2, [&](int64_t t) {
                  results[t] = RunIt(*filter, test, stage, before);
                  return Status::Ok();
                }).ok());
    ASSERT_EQ(results[0], expected);
    ASSERT_EQ(results[1], expected);
    std::vector<std::thread> threads;
    for (auto& result : results) {
      threads.emplace_back(
          [&] { result = RunIt(*filter, test, stage, before); });
    }
    for (auto& thread : threads) thread.join();
    ASSERT_EQ(results[0], expected);
    ASSERT_EQ(results[1], expected);
  }
  omp_set_num_threads(before_threads);
}

constexpr int64_t kTooLarge = int64_t{1} << 31;

ConvolutionShape GoodShape() {
  ConvolutionShape shape;
  shape.in_channels = 4;
  shape.out_channels = 6;
  shape.groups = 2;
  shape.input = {5, 5, 1};
  shape.kernel = {3, 3, 1};
  return shape;
}

TEST(Convolution, BadShapesAreNamed) {
  ASSERT_TRUE(GoodShape().Validate().ok());
  const auto error = [](const std::function<void(ConvolutionShape*)>& change) {
    ConvolutionShape shape = GoodShape();
    change(&shape);
    return shape.Validate().message();
  };
  using Shape = ConvolutionShape;
  EXPECT_EQ(error([](Shape* s) { s->dims = 0; }),
            "convolution: dims is 0, expected 1 to 3");
  EXPECT_EQ(error([](Shape* s) { s->dims = 4; }),
            "convolution: dims is 4, expected 1 to 3");
  EXPECT_EQ(error([](Shape* s) { s->batch = -1; }),
            "convolution: batch is -1, expected 0 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->in_channels = 0; }),
            "convolution: in_channels is 0, expected 1 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->out_channels = kTooLarge; }),
            "convolution: out_channels is 2147483648, expected 1 to "
            "2147483647");
  EXPECT_EQ(error([](Shape* s) { s->groups = 0; }),
            "convolution: groups is 0, expected 1 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->in_channels = 5; }),
            "convolution: in_channels is 5, expected a multiple of groups (2)");
  EXPECT_EQ(error([](Shape* s) { s->out_channels = 3; }),
            "convolution: out_channels is 3, expected a multiple of groups "
            "(2)");
  EXPECT_EQ(error([](Shape* s) { s->input[1] = 0; }),
            "convolution: input[1] is 0, expected 1 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->kernel[0] = -3; }),
            "convolution: kernel[0] is -3, expected 1 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->stride[1] = 0; }),
            "convolution: stride[1] is 0, expected 1 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->dilation[0] = 0; }),
            "convolution: dilation[0] is 0, expected 1 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->pad_begin[1] = -1; }),
            "convolution: pad_begin[1] is -1, expected 0 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->pad_end[0] = kTooLarge; }),
            "convolution: pad_end[0] is 2147483648, expected 0 to 2147483647");
  EXPECT_EQ(error([](Shape* s) { s->dilation[1] = 3; }),
            "convolution: the window has 7 pixels in dimension 1, expected at "
            "most the padded input's 5");
  EXPECT_EQ(error([](Shape* s) {
              s->kernel = {1 << 20, 1 << 20, 1};
            }),
            "convolution: the window has 1048576 x 1048576 x 2 values, "
            "expected at most 2147483647");
  EXPECT_EQ(error([](Shape* s) {
              s->input = {1 << 30, 1 << 30, 1};
            }),
            "convolution: the input has 1 x 4 x 1073741824 x 1073741824 "
            "values, expected at most 1099511627776");
  EXPECT_EQ(error([](Shape* s) {
              s->pad_begin = {1 << 30, 1 << 30, 1};
            }),
            "convolution: the output has 1 x 6 x 1073741827 x 1073741827 "
            "values, expected at most 1099511627776");
  EXPECT_EQ(error([](Shape* s) {
              s->in_channels = 1 << 20;
              s->out_channels = 1 << 30;
            }),
            "convolution: the filter has 3 x 3 x 524288 x 1073741824 values, "
            "expected at most 1099511627776");
}

TEST(Convolution, BadFiltersAndCallsAreNamed) {
  const ConvolutionShape shape = GoodShape();
  const std::vector<int8_t> w(6 * 9 * 2, 1);
  Filter filter;
  const auto pack = [&](const std::vector<int32_t>& zero_points) {
    return PackedFilter::Pack(w.data(), shape, zero_points, &filter).message();
  };
  EXPECT_EQ(pack({}),
            "convolution: the filter has 0 zero points, expected 1, 2 (groups) "
            "or 6 (out_channels)");
  EXPECT_EQ(pack({1, 2, 3}),
            "convolution: the filter has 3 zero points, expected 1, 2 (groups) "
            "or 6 (out_channels)");
  EXPECT_EQ(pack({0, 128}),
            "convolution: a zero point of the filter is 128, expected -128 to "
            "127");
  EXPECT_EQ(filter, nullptr);
  ASSERT_EQ(pack({0, 1}), "");
  EXPECT_GT(filter->bytes(), 0U);
  EXPECT_EQ(filter->column_sums(), std::vector<int64_t>(6, 18));

  const std::vector<uint8_t> x(25 * 4);
  std::vector<uint8_t> y(9 * 6);
  const std::vector<float> multipliers(7, 1);
  kernels::OutputStage stage;
  stage.columns = 6;
  stage.multipliers = multipliers.data();
  const auto error = [&](const std::function<void(ConvolutionShape*)>& change,
                         int32_t x_zero_point) {
    ConvolutionShape other = shape;
    change(&other);
    return Convolve(*filter, other, x.data(), x_zero_point, stage, y.data())
        .message();
  };
  using Shape = ConvolutionShape;
  EXPECT_EQ(error([](Shape*) {}, 7), "");
  EXPECT_EQ(error([](Shape*) {}, -1),
            "convolution: the input's zero point is -1, expected 0 to 255");
  EXPECT_EQ(error([](Shape*) {}, 256),
            "convolution: the input's zero point is 256, expected 0 to 255");
  EXPECT_EQ(error([](Shape* s) { s->in_channels = 8; }, 0),
            "convolution: in_channels is 8, expected the filter's 4");
  EXPECT_EQ(error([](Shape* s) { s->out_channels = 4; }, 0),
            "convolution: out_channels is 4, expected the filter's 6");
  EXPECT_EQ(error([](Shape* s) { s->groups = 1; }, 0),
            "convolution: groups is 1, expected the filter's 2");
  EXPECT_EQ(error([](Shape* s) { s->dims = 1; }, 0),
            "convolution: dims is 1, expected the filter's 2");
  EXPECT_EQ(error([](Shape* s) { s->kernel[1] = 2; }, 0),
            "convolution: kernel[1] is 2, expected the filter's 3");
  EXPECT_EQ(error([](Shape* s) { s->channels_first = true; }, 0),
            "convolution: channels_first is 1, expected the filter's 0");
  EXPECT_EQ(error([](Shape* s) { s->stride[0] = 0; }, 0),
            "convolution: stride[0] is 0, expected 1 to 2147483647");
  stage.columns = 7;
  EXPECT_EQ(error([](Shape*) {}, 0),
            "convolution: the output stage's number of columns is 7, expected "
            "6 to 6");
}

// Windows of which nearly all is padding, and far apart: nothing is read out of
// bounds, and what would take too much memory is refused.
TEST(Convolution, HostileSizes) {
  ConvolutionShape shape;
  shape.dims = 1;
  shape.in_channels = shape.out_channels = 2;
  shape.input = {3, 1, 1};
  shape.kernel = {3, 1, 1};
  shape.dilation = {1 << 30, 1, 1};
  shape.pad_begin = shape.pad_end = {1 << 30, 0, 0};
  TestRandom random;
  ExpectExact(&random, Case(&random, shape));
  shape.stride = {std::numeric_limits<int32_t>::max(), 1, 1};
  ExpectExact(&random, Case(&random, shape));
  shape.groups = 2;
  const Case test(&random, shape);
  const Filter filter = test.Pack();
  kernels::OutputStage stage;
  stage.columns = 2;
  std::vector<uint8_t> y(2);
  EXPECT_EQ(
      Convolve(*filter, shape, test.x.data(), 0, stage, y.data()).message(),
      "convolution: bytes of a padded line is 4294967298, expected 0 to "
      "1073741824");
}

}  // namespace
}  // namespace onednn
}  // namespace caffe2_quantization
