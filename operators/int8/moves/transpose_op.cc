// Int8Transpose under the engine ONEDNN: a tensor with its dimensions in
// another order.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8 or uint16, with its scale and zero point
//   Y   its codes, with the same scale and zero point. Not X
//
// The argument axes has each dimension of X once: dimension i of Y is dimension
// axes[i] of X. Without it the order is reversed. Y_scale and Y_zero_point are
// not read; the host's operator ends the process unless they are X's.
//
// How: dimensions that stay neighbours count as one. If the last one stays
// where it is, runs of it are copied; else what is moved are matrices, of the
// last dimensions of X and of Y (kernels/transpose.h).
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "netdef/read_argument.h"
#include "operators/enforce.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/moves/move_operator.h"
#include "quantization/kernels/transpose.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;
using Sizes = std::vector<int64_t>;

// A transposition without dimensions of size 1, in which no two neighbours
// stay neighbours.
struct Order {
  Sizes sizes;  // of X
  Sizes axes;   // of Y's dimensions, in X
};

Order Simplify(const Sizes& sizes, const Sizes& axes) {
  // Where dimensions of X begin a group that stays together, in Y's order.
  std::vector<std::pair<int64_t, int64_t>> groups;  // first dimension, size
  int64_t next = -1;
  for (const int64_t axis : axes) {
    if (sizes[axis] == 1) continue;
    // Between them there are only dimensions of size 1.
    bool follows = next >= 0 && axis >= next;
    for (int64_t i = next; follows && i < axis; ++i) follows = sizes[i] == 1;
    if (follows) {
      groups.back().second *= sizes[axis];
    } else {
      groups.emplace_back(axis, sizes[axis]);
    }
    next = axis + 1;
  }
  auto in_x = groups;
  std::sort(in_x.begin(), in_x.end());
  Order order;
  for (const auto& group : in_x) order.sizes.push_back(group.second);
  for (const auto& group : groups) {
    order.axes.push_back(std::find(in_x.begin(), in_x.end(), group) -
                         in_x.begin());
  }
  return order;
}

// How many values dimension i of these sizes is apart.
Sizes StridesOf(const Sizes& sizes) {
  Sizes strides(sizes.size(), 1);
  for (int64_t i = static_cast<int64_t>(sizes.size()) - 2; i >= 0; --i) {
    strides[i] = strides[i + 1] * sizes[i + 1];
  }
  return strides;
}

template <typename E>
class Transposition {
 public:
  explicit Transposition(const Order& order) {
    const int rank = static_cast<int>(order.axes.size());
    const Sizes x_strides = StridesOf(order.sizes);
    Sizes y_sizes;
    for (const int64_t axis : order.axes) y_sizes.push_back(order.sizes[axis]);
    const Sizes y_strides = StridesOf(y_sizes);
    columns_ = rank == 0 ? 1 : order.sizes.back();
    for (int i = 0; i < rank; ++i) {
      const int64_t axis = order.axes[i];
      if (axis == rank - 1) {
        y_stride_ = y_strides[i];
      } else if (i == rank - 1) {
        rows_ = y_sizes[i];
        x_stride_ = x_strides[axis];
      } else {
        outer_.push_back({y_sizes[i], x_strides[axis], y_strides[i]});
        matrices_ *= y_sizes[i];
      }
    }
  }

  void Run(const E* x, E* y) const {
    // Strips of the columns, so that one large matrix is divided too.
    constexpr int64_t kStrip = 256;
    const bool copies = y_stride_ == 1;
    const int64_t width = copies ? columns_ : std::min(columns_, kStrip);
    const int64_t strips = (columns_ + width - 1) / width;
    ForEachItem(matrices_ * strips, rows_ * width * int64_t{sizeof(E)},
                kLeastMovedBytes, [&](int64_t begin, int64_t end) {
                  Place place(outer_, begin / strips);
                  int64_t first = begin % strips * width;
                  for (int64_t i = begin; i < end; ++i, first += width) {
                    if (first >= columns_) {
                      first = 0;
                      place.Advance();
                    }
                    const int64_t from = place.x, to = place.y;
                    const int64_t columns = std::min(width, columns_ - first);
                    if (copies) {
                      std::memcpy(y + to + first, x + from + first,
                                  columns * sizeof(E));
                    } else {
                      kernels::Transpose(x + from + first, rows_, columns,
                                         x_stride_, y + to + first * y_stride_,
                                         y_stride_);
                    }
                  }
                });
  }

 private:
  struct Outer {
    int64_t size, x_stride, y_stride;
  };

  // Where a matrix begins in X and in Y.
  struct Place {
    Place(const std::vector<Outer>& dims, int64_t matrix)
        : outer(dims), at(dims.size()) {
      for (std::size_t i = outer.size(); i-- > 0; matrix /= outer[i].size) {
        at[i] = matrix % outer[i].size;
        x += at[i] * outer[i].x_stride;
        y += at[i] * outer[i].y_stride;
      }
    }
    void Advance() {
      for (std::size_t i = outer.size(); i-- > 0;) {
        x += outer[i].x_stride;
        y += outer[i].y_stride;
        if (++at[i] < outer[i].size) return;
        x -= outer[i].size * outer[i].x_stride;
        y -= outer[i].size * outer[i].y_stride;
        at[i] = 0;
      }
    }

    const std::vector<Outer>& outer;
    Sizes at;
    int64_t x = 0, y = 0;
  };

  std::vector<Outer> outer_;  // in Y's order
  int64_t matrices_ = 1;
  // Of a matrix: Y's last dimension, then X's. y_stride_ 1: there is one row,
  // which is a run that stays together.
  int64_t rows_ = 1, columns_ = 1;
  int64_t x_stride_ = 1, y_stride_ = 1;
};

class TransposeOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  TransposeOp(const caffe2::OperatorDef& definition,
              caffe2::Workspace* workspace)
      : Operator(definition, workspace) {}

  bool RunOnDevice() override {
    const std::string& name = debug_def().input(0);
    const Int8TensorCPU& x = CodesToMove(this);
    const Sizes sizes = x.t.sizes().vec();
    Sizes axes;
    EnforceOk(*this, ReadAxes(sizes, &axes), "tensor '", name, "' has sizes ",
              x.t.sizes(), ": ");
    Sizes y_sizes;
    for (const int64_t axis : axes) y_sizes.push_back(sizes[axis]);
    auto* const y = OperatorBase::Output<Int8TensorCPU>(0);
    CAFFE_ENFORCE(y != &x, type(), ": output 0 is blob '", name,
                  "' too, expected another one");
    y->scale = x.scale;
    y->zero_point = x.zero_point;
    y->t.Resize(y_sizes);
    const auto move = [&](const auto* from, auto* to) {
      if (x.t.numel() == 0) return;
      const Order order = Simplify(sizes, axes);
      Transposition<std::remove_pointer_t<decltype(to)>>(order).Run(from, to);
    };
    if (x.t.IsType<uint16_t>()) {
      move(x.t.data<uint16_t>(), y->t.mutable_data<uint16_t>());
    } else {
      move(x.t.data<uint8_t>(), y->t.mutable_data<uint8_t>());
    }
    return true;
  }

 private:
  Status ReadAxes(const Sizes& sizes, Sizes* axes) const {
    if (!HasArgument("axes")) {
      axes->resize(sizes.size());
      std::iota(axes->rbegin(), axes->rend(), 0);
      return Status::Ok();
    }
    RETURN_IF_ERROR(ReadIntegers(debug_def(), "axes", axes));
    Sizes sorted = *axes;
    std::sort(sorted.begin(), sorted.end());
    bool is_permutation = axes->size() == sizes.size();
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      is_permutation = is_permutation && sorted[i] == static_cast<int64_t>(i);
    }
    if (is_permutation) return Status::Ok();
    return Refuse("axes are ", at::IntArrayRef(*axes),
                  ", expected each of its dimensions once");
  }
};

}  // namespace

void RegisterOnednnTranspose(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<TransposeOp>(name, suffixes);
}

}  // namespace caffe2_quantization
