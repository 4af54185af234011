#include "rewrite/constants.h"

#include <algorithm>

#include "base/text.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

constexpr int64_t kMostValues = int64_t{1} << 40;

// The product of the dimensions; -1: one is negative, or it is too large.
int64_t Product(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || (dim > 0 && product > kMostValues / dim)) return -1;
    product *= dim;
  }
  return product;
}

const caffe2::Argument* Find(const caffe2::OperatorDef& op, const char* name) {
  for (const caffe2::Argument& argument : op.arg()) {
    if (argument.name() == name) return &argument;
  }
  return nullptr;
}

}  // namespace

int64_t Constant::count() const { return Product(shape); }

Constant Constant::OfFloats(std::vector<int64_t> shape,
                            std::vector<float> values) {
  Constant constant;
  constant.shape = std::move(shape);
  constant.owned =
      std::make_shared<const std::vector<float>>(std::move(values));
  constant.floats = constant.owned->data();
  return constant;
}

bool IsConstantFill(const caffe2::OperatorDef& op) {
  return op.input_size() == 0 && op.output_size() == 1 &&
         (op.type() == "GivenTensorFill" || op.type() == "GivenTensorIntFill" ||
          op.type() == "GivenTensorInt64Fill" || op.type() == "ConstantFill");
}

Status ReadConstant(const caffe2::OperatorDef& op,
                    std::optional<Constant>* constant, int64_t* budget) {
  if (!IsConstantFill(op)) return Status::Ok();
  Constant read;
  if (const caffe2::Argument* const shape = Find(op, "shape")) {
    read.shape.assign(shape->ints().begin(), shape->ints().end());
  }
  if (Find(op, "extra_shape") != nullptr) return Status::Ok();
  const int64_t count = Product(read.shape);
  const std::string what = op.type() + " of blob '" + op.output(0) + "'";
  if (count < 0) {
    return Status::InvalidArgument(
        what + " has the shape " + DimsText(read.shape) +
        ", expected sizes of 0 or more whose product is at most 2^40");
  }
  const bool is_filled = op.type() == "ConstantFill";
  const caffe2::Argument* const values =
      Find(op, is_filled ? "value" : "values");
  if (is_filled) {
    // The host's ArgumentHelper throws at an argument that is there twice.
    const caffe2::Argument* const dtype = Find(op, "dtype");
    const int64_t type = dtype != nullptr && dtype->has_i()
                             ? dtype->i()
                             : int64_t{caffe2::TensorProto::FLOAT};
    if (count > (budget == nullptr ? kMostFilled : *budget)) {
      return Status::Ok();
    }
    if (budget != nullptr) *budget -= count;
    if (type == caffe2::TensorProto::FLOAT) {
      const float value = values == nullptr ? 0 : values->f();
      *constant = Constant::OfFloats(
          read.shape,
          std::vector<float>(static_cast<std::size_t>(count), value));
    } else if (type == caffe2::TensorProto::INT32 ||
               type == caffe2::TensorProto::INT64) {
      read.type = type == caffe2::TensorProto::INT32 ? Constant::Type::kInt32
                                                     : Constant::Type::kInt64;
      read.integers.assign(static_cast<std::size_t>(count),
                           values == nullptr ? 0 : values->i());
      *constant = read;
    }
    return Status::Ok();
  }
  const bool is_float = op.type() == "GivenTensorFill";
  const int64_t given = values == nullptr ? 0
                        : is_float        ? values->floats_size()
                                          : values->ints_size();
  if (given != count) {
    return Status::InvalidArgument(
        what + " has " + std::to_string(given) + " values, expected the " +
        std::to_string(count) + " of its shape " + DimsText(read.shape));
  }
  if (is_float) {
    read.floats = count == 0 ? nullptr : values->floats().data();
  } else {
    read.type = op.type() == "GivenTensorIntFill" ? Constant::Type::kInt32
                                                  : Constant::Type::kInt64;
    if (count > 0) {
      read.integers.assign(values->ints().begin(), values->ints().end());
    }
  }
  *constant = std::move(read);
  return Status::Ok();
}

caffe2::OperatorDef FillOf(const Constant& constant, const std::string& blob) {
  caffe2::OperatorDef op;
  op.set_type(constant.type == Constant::Type::kFloat ? "GivenTensorFill"
              : constant.type == Constant::Type::kInt32
                  ? "GivenTensorIntFill"
                  : "GivenTensorInt64Fill");
  op.add_output(blob);
  caffe2::Argument* const shape = op.add_arg();
  shape->set_name("shape");
  for (const int64_t dim : constant.shape) shape->add_ints(dim);
  caffe2::Argument* const values = op.add_arg();
  values->set_name("values");
  for (const int64_t value : constant.integers) values->add_ints(value);
  if (constant.type != Constant::Type::kFloat) return op;
  const int64_t count = constant.count();
  values->mutable_floats()->Reserve(static_cast<int>(count));
  for (int64_t i = 0; i < count; ++i) values->add_floats(constant.floats[i]);
  return op;
}

Constant Transposed(const Constant& constant, const std::vector<int>& order) {
  const std::size_t rank = constant.shape.size();
  std::vector<int64_t> strides(rank, 1);
  for (std::size_t i = rank; i-- > 1;) {
    strides[i - 1] = strides[i] * constant.shape[i];
  }
  std::vector<int64_t> shape(rank), steps(rank), index(rank, 0);
  for (std::size_t i = 0; i < rank; ++i) {
    shape[i] = constant.shape[static_cast<std::size_t>(order[i])];
    steps[i] = strides[static_cast<std::size_t>(order[i])];
  }
  std::vector<float> values(static_cast<std::size_t>(constant.count()));
  int64_t source = 0;
  for (float& value : values) {
    value = constant.floats[source];
    for (std::size_t i = rank; i-- > 0;) {
      source += steps[i];
      if (++index[i] < shape[i]) break;
      source -= steps[i] * shape[i];
      index[i] = 0;
    }
  }
  return Constant::OfFloats(std::move(shape), std::move(values));
}

}  // namespace rewrite
}  // namespace caffe2_quantization
