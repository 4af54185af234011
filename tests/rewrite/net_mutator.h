// Random changes of what nets and measurements say, which are such still:
// other types, blobs, arguments, sizes, values, orders.
#ifndef CAFFE2_QUANTIZATION_TESTS_REWRITE_NET_MUTATOR_H_
#define CAFFE2_QUANTIZATION_TESTS_REWRITE_NET_MUTATOR_H_

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "rewrite/measurements.h"

namespace caffe2_quantization {
namespace rewrite {

class NetMutator {
 public:
  explicit NetMutator(uint64_t seed) : random_(seed) {}

  void Mutate(caffe2::NetDef* init, caffe2::NetDef* predict) {
    for (int64_t i = Below(4); i >= 0; --i) {
      if (Below(3) == 0) {
        MutateFill(init);
      } else {
        MutateNet(predict);
      }
    }
  }

  // Sizes, types and parameters that no run has.
  void Mutate(const caffe2::NetDef& predict, Measurements* measurements) {
    const int op = static_cast<int>(Below(predict.op_size()));
    const Measured* const before = measurements->Output(op, 0);
    Measured measured = before == nullptr ? Measured() : *before;
    switch (Below(5)) {
      case 0:
        measured.shape.assign(static_cast<std::size_t>(Below(8)), Number());
        measured.has_shape = true;
        break;
      case 1:
        if (!measured.shape.empty()) measured.shape.back() = Number();
        break;
      case 2:
        measured.type = Below(2) == 0 ? "int" : "float";
        break;
      case 3:
        measured.has_shape = false;
        measured.shape.clear();
        break;
      default:
        measured = Measured();
        measured.type = "float";
        measured.range =
            ValueRange::OfFloats(-std::numeric_limits<float>::max(),
                                 std::numeric_limits<float>::max());
        break;
    }
    measurements->SetOutput(op, 0, measured);
  }

 private:
  int64_t Below(int64_t n) {
    return n <= 0 ? 0
                  : static_cast<int64_t>(random_() % static_cast<uint64_t>(n));
  }

  int64_t Number() {
    constexpr int64_t kNumbers[] = {0,
                                    1,
                                    -1,
                                    2,
                                    3,
                                    7,
                                    -2,
                                    64,
                                    127,
                                    255,
                                    4294967295,
                                    2147483647,
                                    -2147483648,
                                    std::numeric_limits<int64_t>::max(),
                                    std::numeric_limits<int64_t>::min()};
    return kNumbers[Below(std::size(kNumbers))];
  }

  std::string Type() {
    const auto& forms = Int8FormTypes();
    switch (Below(4)) {
      case 0:
        return "NobodyKnowsThis";
      case 1:
        return "";
      default:
        return forms[static_cast<std::size_t>(
            Below(static_cast<int64_t>(forms.size())))];
    }
  }
  static const std::vector<std::string>& Int8FormTypes() {
    static const auto* const types =
        new std::vector<std::string>{"Conv",
                                     "ConvTranspose",
                                     "FC",
                                     "BatchMatMul",
                                     "Sum",
                                     "Add",
                                     "Mul",
                                     "SpatialBN",
                                     "GroupNorm",
                                     "ElementwiseLinear",
                                     "Clip",
                                     "LeakyRelu",
                                     "PRelu",
                                     "AveragePool",
                                     "Sigmoid",
                                     "Tanh",
                                     "Softmax",
                                     "Concat",
                                     "Relu",
                                     "MaxPool",
                                     "ChannelShuffle",
                                     "ResizeNearest",
                                     "Split",
                                     "Slice",
                                     "Flatten",
                                     "Reshape",
                                     "Squeeze",
                                     "Transpose",
                                     "Gather",
                                     "BatchPermutation",
                                     "NCHW2NHWC",
                                     "NHWC2NCHW",
                                     "ConvSum",
                                     "MatMul",
                                     "FCTransposed",
                                     "AffineChannel",
                                     "Dropout",
                                     "Copy",
                                     "ConstantFill",
                                     "GivenTensorFill",
                                     "RecurrentNetwork",
                                     "If",
                                     "Int8Conv"};
    return *types;
  }

  std::string Blob(const caffe2::NetDef& net) {
    const auto& op = net.op(static_cast<int>(Below(net.op_size())));
    if (Below(12) == 0) return "";
    if (Below(12) == 0) return "no such blob";
    if (op.input_size() > 0 && Below(2) == 0) {
      return op.input(static_cast<int>(Below(op.input_size())));
    }
    if (op.output_size() == 0) return "x";
    return op.output(static_cast<int>(Below(op.output_size())));
  }

  void MutateArgument(caffe2::OperatorDef* op) {
    static const char* const kNames[] = {
        "axis",    "kernel",  "group",  "order",   "broadcast", "shape",
        "values",  "is_test", "min",    "max",     "starts",    "ends",
        "split",   "axes",    "dims",   "epsilon", "then_net",  "step_net",
        "Y_scale", "engine",  "kernels"};
    caffe2::Argument* const argument =
        op->arg_size() > 0 && Below(2) == 0
            ? op->mutable_arg(static_cast<int>(Below(op->arg_size())))
            : op->add_arg();
    if (Below(2) == 0 || argument->name().empty()) {
      argument->set_name(
          kNames[Below(static_cast<int64_t>(std::size(kNames)))]);
    }
    switch (Below(7)) {
      case 0:
        argument->set_i(Number());
        break;
      case 1:
        argument->set_f(Below(2) == 0 ? std::nanf("") : -1e38f);
        break;
      case 2:
        argument->set_s(Below(2) == 0 ? "NHWC" : std::string("\0\xff{", 3));
        break;
      case 3:
        for (int64_t i = Below(6); i >= 0; --i) argument->add_ints(Number());
        break;
      case 4:
        argument->clear_i();
        argument->clear_ints();
        break;
      case 5:
        argument->add_floats(std::numeric_limits<float>::infinity());
        break;
      default:
        caffe2::OperatorDef* const inner = argument->mutable_n()->add_op();
        inner->set_type("Relu");
        inner->add_input("data");
        inner->add_output("y");
        break;
    }
  }

  void MutateNet(caffe2::NetDef* net) {
    if (net->op_size() == 0) return;
    caffe2::OperatorDef* const op =
        net->mutable_op(static_cast<int>(Below(net->op_size())));
    switch (Below(16)) {
      case 0:
        op->set_type(Type());
        break;
      case 1:
        if (op->input_size() > 0) {
          op->set_input(static_cast<int>(Below(op->input_size())), Blob(*net));
        }
        break;
      case 2:
        if (op->output_size() > 0) {
          op->set_output(static_cast<int>(Below(op->output_size())),
                         Blob(*net));
        }
        break;
      case 3:
        op->add_input(Blob(*net));
        break;
      case 4:
        op->add_output(Blob(*net));
        break;
      case 5:
        if (op->input_size() > 0) op->mutable_input()->RemoveLast();
        break;
      case 6:
        if (op->output_size() > 0) op->mutable_output()->RemoveLast();
        break;
      case 7:
        net->mutable_op()->SwapElements(
            static_cast<int>(Below(net->op_size())),
            static_cast<int>(Below(net->op_size())));
        break;
      case 8: {
        const caffe2::OperatorDef copy = *op;
        *net->add_op() = copy;
        break;
      }
      case 9:
        net->mutable_op()->DeleteSubrange(
            static_cast<int>(Below(net->op_size())), 1);
        break;
      case 10:
        op->set_engine(Below(2) == 0 ? "DNNLOWP" : "no, such");
        op->mutable_device_option()->set_device_type(
            static_cast<int>(Number()));
        break;
      case 11:
        net->add_external_output(Blob(*net));
        break;
      case 12:
        net->add_external_input(Blob(*net));
        break;
      case 13:
        if (Below(2) == 0) {
          net->clear_external_output();
        } else {
          net->clear_external_input();
        }
        break;
      default:
        MutateArgument(op);
        break;
    }
  }

  void MutateFill(caffe2::NetDef* init) {
    if (init->op_size() == 0) return;
    caffe2::OperatorDef* const op =
        init->mutable_op(static_cast<int>(Below(init->op_size())));
    switch (Below(6)) {
      case 0:
        for (caffe2::Argument& argument : *op->mutable_arg()) {
          if (argument.floats_size() == 0) continue;
          argument.set_floats(static_cast<int>(Below(argument.floats_size())),
                              Below(2) == 0
                                  ? std::nanf("")
                                  : std::numeric_limits<float>::infinity());
        }
        break;
      case 1:
        for (caffe2::Argument& argument : *op->mutable_arg()) {
          if (argument.name() != "shape" || argument.ints_size() == 0) continue;
          argument.set_ints(static_cast<int>(Below(argument.ints_size())),
                            Number());
        }
        break;
      case 2:
        // Other dimensions of as many values.
        for (caffe2::Argument& argument : *op->mutable_arg()) {
          if (argument.name() != "shape") continue;
          int64_t count = 1;
          for (const int64_t dim : argument.ints()) count *= dim;
          argument.clear_ints();
          for (int64_t i = Below(4); i > 0; --i) argument.add_ints(1);
          argument.add_ints(count);
        }
        break;
      case 3: {
        // Without values: any size is a few bytes.
        const std::string name = op->output_size() > 0 ? op->output(0) : "w";
        op->Clear();
        op->set_type("ConstantFill");
        op->add_output(name);
        caffe2::Argument* const shape = op->add_arg();
        shape->set_name("shape");
        for (int64_t i = 1 + Below(4); i > 0; --i) {
          shape->add_ints(int64_t{1} << Below(14));
        }
        break;
      }
      case 4:
        MutateArgument(op);
        break;
      default:
        op->set_type(Type());
        break;
    }
  }

  std::mt19937_64 random_;
};

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_REWRITE_NET_MUTATOR_H_
