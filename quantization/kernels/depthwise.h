// Computes the sums of a depthwise convolution, in which each channel has its
// own window of weights.
//
//   sums[p][c] = sum over r < rows and s < columns of
//                  x[r][p * pixel_step + s * column_step + c]
//                  * (codes[c][r][s] - zero_points[c])
//
// for pixels p of one line of the output and channels c. x[r] points to where
// the window of the first pixel begins in the r-th line of the input that it
// covers; steps are in bytes. Rows are those of all dimensions but the last:
// depth times height. The caller supplies padding, by lines that contain it.
//
// Preconditions: all sizes are at least 1; sums fit into 32 bits, as they do
// for up to 33,025 taps; nothing overlaps. No alignment is needed, and nothing
// beyond the windows is read. Thread rule: pure functions; any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_DEPTHWISE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_DEPTHWISE_H_

#include <cstdint>
#include <vector>

namespace caffe2_quantization {
namespace kernels {

// The number of channels that the form for VNNI takes at once.
inline constexpr int64_t kDepthwiseBlock = 16;

// Weights minus their zero points. They are from -255 to 255, which takes nine
// bits.
struct DepthwiseFilter {
  int64_t channels = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  // Two taps of a channel side by side, with taps in the order rows, columns,
  // and 0 if there is no second: [(taps + 1) / 2][channels][2].
  std::vector<int16_t> pairs;
  // Four rows of a channel side by side, for products of four, with 0 for
  // missing rows: [parts][channels / 16][columns][(rows + 3) / 4][16][4], the
  // last block padded with 0. There is one part if all weights have eight bits,
  // else two: floor(w / 2) and w mod 2.
  int64_t parts = 1;
  std::vector<int8_t> quads;
};

// codes: [channels][rows][columns], zero_points: [channels].
DepthwiseFilter PackDepthwise(const int8_t* codes, const int32_t* zero_points,
                              int64_t channels, int64_t rows, int64_t columns);

// x: [filter.rows], sums: [pixels][filter.channels].
void DepthwiseSums(const DepthwiseFilter& filter, const uint8_t* const* x,
                   int64_t column_step, int64_t pixel_step, int64_t pixels,
                   int32_t* sums);

// The plain form that defines the result; also what the cap `scalar` runs.
namespace reference {
void DepthwiseSums(const DepthwiseFilter& filter, const uint8_t* const* x,
                   int64_t column_step, int64_t pixel_step, int64_t pixels,
                   int32_t* sums);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_DEPTHWISE_H_
