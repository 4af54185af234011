// Int8Flatten, Int8Reshape and Int8Slice under the engine ONEDNN: the host's
// own operators, which are right, but end the process unless Y_scale and
// Y_zero_point are the input's. Here they are what the input has.
//
//   X, … -> Y, …
//
//   X   Int8TensorCPU of uint8 or uint16, with its scale and zero point
//   Y   its codes, with the same scale and zero point
//
// Other inputs, outputs and arguments are the host's: axis of Int8Flatten;
// shape of Int8Reshape, or its second input; starts and ends of Int8Slice, or
// its second and third input. Y_scale and Y_zero_point are not read. They are
// checked before the host's operator runs: it writes to the output before it
// refuses, and takes a shape of negative sizes, or one whose product overflows,
// if that happens to be the number of codes. A slice that is too large for the
// cache is moved here, past it.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "netdef/read_argument.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"
#include "operators/int8/engine/input.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/moves/move_operator.h"
#include "quantization/kernels/move_rows.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

// What an operator's arguments say is checked for a tensor of these sizes. An
// error is told after the tensor's name and sizes.
Status CheckAxis(int64_t axis, at::IntArrayRef sizes) {
  const auto rank = static_cast<int64_t>(sizes.size());
  if (axis >= 0 && axis <= rank) return Status::Ok();
  return Refuse("argument axis is ", axis, ", expected 0 to ", rank);
}

// A size of -1 is found from the others, one of 0 is the tensor's.
Status CheckShape(std::vector<int64_t> shape, at::IntArrayRef sizes) {
  const int64_t count = c10::multiply_integers(sizes);
  const auto refuse = [&, given = shape](const char* expected) {
    return Refuse("shape is ", at::IntArrayRef(given), ", expected ", expected);
  };
  int64_t product = 1, unknown = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    int64_t size = shape[i];
    if (size == 0 && count > 0 && i < sizes.size()) size = sizes[i];
    if (size < -1) return refuse("sizes that are not below -1");
    if (size == -1) {
      ++unknown;
    } else if (__builtin_mul_overflow(product, size, &product)) {
      return refuse("a product that 64 bits hold");
    }
  }
  if (unknown > 1) return refuse("at most one -1");
  const bool fits =
      count == 0 ? unknown == 1 || product == 0
                 : product > 0 &&
                       (unknown == 1 ? count % product == 0 : count == product);
  return fits ? Status::Ok() : refuse("as many codes");
}

// Where a position lies in a dimension: those from the end are -1, which is the
// end itself, and below.
int64_t PlaceIn(int64_t size, int64_t at) {
  return std::min(at < 0 ? size + 1 + at : at, size);
}

Status CheckSlice(const std::vector<int64_t>& starts,
                  const std::vector<int64_t>& ends, at::IntArrayRef sizes) {
  const auto refuse = [&](const auto&... expected) {
    return Refuse("starts are ", at::IntArrayRef(starts), ", ends ",
                  at::IntArrayRef(ends), ", expected ", expected...);
  };
  if (starts.size() != ends.size() || starts.size() > sizes.size()) {
    return refuse("one of each for some of its dimensions");
  }
  int cut = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const int64_t size = sizes[i];
    if (size == 0) continue;
    const int64_t start = PlaceIn(size, starts[i]);
    const int64_t end = PlaceIn(size, ends[i]);
    if (start < 0 || end < start) {
      return refuse("starts from ", -size - 1, " on, and ends not before them");
    }
    cut += start > 0 || end < size ? 1 : 0;
  }
  if (cut > 1 && c10::multiply_integers(sizes) > 0) {
    return refuse("a slice of one dimension");
  }
  return Status::Ok();
}

class HostMoveOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  HostMoveOp(const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace)
      : Operator(definition, workspace), workspace_(workspace) {}

  bool RunOnDevice() override {
    const std::string& name = debug_def().input(0);
    const Int8TensorCPU& x = CodesToMove(this);
    CAFFE_ENFORCE(OutputSize() < 2 || Outputs()[0] != Outputs()[1], type(),
                  ": outputs 0 and 1 are blob '", debug_def().output(0),
                  "', expected a blob for each");
    EnforceOk(*this, Check(x.t.sizes()), "tensor '", name, "' has sizes ",
              x.t.sizes(), ": ");
    if (type() == "Int8Slice" && MoveLargeSlice(x)) return true;
    if (host_ == nullptr || x.scale != scale_ || x.zero_point != zero_point_) {
      MakeHost(x.scale, x.zero_point);
    }
    return host_->Run();
  }

 private:
  Status Check(at::IntArrayRef sizes) {
    if (type() == "Int8Flatten") {
      int64_t axis = 1;
      RETURN_IF_ERROR(ReadIntArgument(debug_def(), "axis", &axis));
      return CheckAxis(axis, sizes);
    }
    std::vector<int64_t> values, ends;
    if (type() == "Int8Reshape") {
      if (InputSize() > 1 && HasArgument("shape")) {
        return Refuse("there are an input and an argument shape, expected one");
      }
      RETURN_IF_ERROR(ReadList("shape", 1, &values));
      return CheckShape(std::move(values), sizes);
    }
    if (InputSize() == 2) return Refuse("2 inputs, expected 1 or 3");
    RETURN_IF_ERROR(ReadList("starts", 1, &values));
    RETURN_IF_ERROR(ReadList("ends", 2, &ends));
    starts_ = values;
    ends_ = ends;
    if (InputSize() > 2 &&
        OperatorBase::Input<caffe2::Tensor>(1, caffe2::CPU).dtype() !=
            OperatorBase::Input<caffe2::Tensor>(2, caffe2::CPU).dtype()) {
      return Refuse("tensors '", debug_def().input(1), "' and '",
                    debug_def().input(2),
                    "' are of unlike types, expected one");
    }
    return CheckSlice(values, ends, sizes);
  }

  // Reads a list from the input, if there are several, or from the argument.
  Status ReadList(const char* argument, int input,
                  std::vector<int64_t>* values) {
    if (InputSize() == 1) {
      if (!HasArgument(argument)) {
        return Refuse("there is no argument ", argument,
                      ", expected a list of integers");
      }
      return ReadIntegers(debug_def(), argument, values);
    }
    const std::string& name = debug_def().input(input);
    if (!InputIsTensorType(input, caffe2::CPU)) {
      return Refuse("blob '", name, "' holds a ", InputBlob(input).TypeName(),
                    ", expected an int32 or int64 tensor");
    }
    const auto& x = OperatorBase::Input<caffe2::Tensor>(input, caffe2::CPU);
    if (x.dim() != 1) {
      return Refuse("tensor '", name, "' has sizes ", x.sizes(),
                    ", expected one dimension");
    }
    if (x.IsType<int32_t>()) {
      values->assign(x.data<int32_t>(), x.data<int32_t>() + x.numel());
    } else if (x.IsType<int64_t>()) {
      values->assign(x.data<int64_t>(), x.data<int64_t>() + x.numel());
    } else {
      return Refuse("tensor '", name, "' is of type ", x.dtype().name(),
                    ", expected int32 or int64");
    }
    return Status::Ok();
  }

  // Writes a slice, which has been checked, of starts_ to ends_. Returns false
  // if it is not large.
  bool MoveLargeSlice(const Int8TensorCPU& x) {
    std::vector<int64_t> sizes = x.t.sizes().vec();
    std::size_t axis = 0;
    int64_t first = 0;
    for (std::size_t i = 0; i < starts_.size(); ++i) {
      const int64_t size = sizes[i];
      const int64_t start = PlaceIn(size, starts_[i]);
      const int64_t end = PlaceIn(size, ends_[i]);
      if (start == 0 && end == size) continue;
      axis = i;
      first = start;
      sizes[i] = end - start;
    }
    const auto item = static_cast<int64_t>(x.t.itemsize());
    auto* const y = OperatorBase::Output<Int8TensorCPU>(0);
    if (y == &x || sizes.empty() ||
        !kernels::StreamsOutput(c10::multiply_integers(sizes) * item)) {
      return false;
    }
    const at::IntArrayRef shape = sizes;
    const int64_t lines = c10::multiply_integers(shape.slice(0, axis));
    const int64_t inner = c10::multiply_integers(shape.slice(axis + 1)) * item;
    const int64_t row = sizes[axis] * inner, step = x.t.size(axis) * inner;
    y->scale = x.scale;
    y->zero_point = x.zero_point;
    y->t.Resize(sizes);
    auto* const to = static_cast<uint8_t*>(y->t.raw_mutable_data(x.t.dtype()));
    const auto* const from =
        static_cast<const uint8_t*>(x.t.raw_data()) + first * inner;
    ForEachItem(lines, row, kLeastMovedBytes, [&](int64_t begin, int64_t end) {
      kernels::MoveSpacedRows(from + begin * step, row, step, end - begin,
                              /*streams=*/true, to + begin * row);
    });
    return true;
  }

  // Makes the host's operator for these parameters, which it reads when it is
  // made. It is taken by its name: engine preferences would lead back here.
  void MakeHost(float scale, int32_t zero_point) {
    caffe2::OperatorDef definition = debug_def();
    definition.clear_engine();
    definition.clear_arg();
    for (const caffe2::Argument& argument : debug_def().arg()) {
      if (argument.name() == "Y_scale" || argument.name() == "Y_zero_point") {
        continue;
      }
      *definition.add_arg() = argument;
    }
    *definition.add_arg() = caffe2::MakeArgument("Y_scale", scale);
    *definition.add_arg() = caffe2::MakeArgument("Y_zero_point", zero_point);
    host_ =
        caffe2::CPUOperatorRegistry()->Create(type(), definition, workspace_);
    scale_ = scale;
    zero_point_ = zero_point;
  }

  caffe2::Workspace* const workspace_;
  std::unique_ptr<caffe2::OperatorBase> host_;
  float scale_ = 0;
  int32_t zero_point_ = 0;
  std::vector<int64_t> starts_, ends_;  // of this run's slice
};

}  // namespace

void RegisterOnednnHostMove(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<HostMoveOp>(name, suffixes);
}

}  // namespace caffe2_quantization
