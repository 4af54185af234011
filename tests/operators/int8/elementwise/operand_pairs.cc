#include "tests/operators/int8/elementwise/operand_pairs.h"

#include <algorithm>
#include <string>

namespace caffe2_quantization {
namespace {

// The element of a tensor at an index of the output, of which it has the
// dimensions from `begin` on; a size of 1 is repeated.
int64_t ElementAt(const Shape& index, const Shape& shape, std::size_t begin) {
  int64_t element = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    element = element * shape[i] + (shape[i] == 1 ? 0 : index[begin + i]);
  }
  return element;
}

OperandPairs Pairs(const Shape& shape, const Shape& a, std::size_t a_begin,
                   const Shape& b, std::size_t b_begin) {
  OperandPairs pairs;
  pairs.shape = shape;
  Shape index(shape.size());
  for (int64_t i = 0; i < NumValues(shape); ++i) {
    int64_t rest = i;
    for (std::size_t k = shape.size(); k-- > 0; rest /= shape[k]) {
      index[k] = rest % shape[k];
    }
    pairs.a.push_back(ElementAt(index, a, a_begin));
    pairs.b.push_back(ElementAt(index, b, b_begin));
  }
  return pairs;
}

}  // namespace

OperandPairs PairsOfEnds(const Shape& a, const Shape& b) {
  Shape shape = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  const std::size_t begin = shape.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    if (shape[begin + i] == 1) shape[begin + i] = shorter[i];
  }
  return Pairs(shape, a, shape.size() - a.size(), b, shape.size() - b.size());
}

OperandPairs PairsOfAxis(const Shape& a, const Shape& b, int64_t axis) {
  if (NumValues(b) == 1) return Pairs(a, a, 0, {}, 0);
  return Pairs(a, a, 0, b, axis == -1 ? a.size() - b.size() : axis);
}

OperandPairs PairsOf(const OperatorCase& c) {
  const Shape& a = c.Input(0).shape;
  const Shape& b = c.Input(1).shape;
  if (c.Argument("broadcast", 0) == 0) return PairsOfEnds(a, b);
  int64_t axis = c.Argument("axis", -1);
  const auto axis_str = c.Argument<std::string>("axis_str", "");
  if (!axis_str.empty()) {
    axis = c.Argument<std::string>("order", "NCHW").find(axis_str);
  }
  return PairsOfAxis(a, b, axis);
}

void DrawEnds(TestRandom* random, Shape* a, Shape* b) {
  const Shape shape = RandomShape(random);
  *a = *b = shape;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (random->OneIn(3)) (random->OneIn(2) ? *a : *b)[i] = 1;
  }
  Shape* const shorter = random->OneIn(2) ? a : b;
  if (random->OneIn(2)) {
    shorter->erase(shorter->begin(),
                   shorter->begin() + random->Integer(0, shape.size()));
  }
}

bool SixteenBitsShow(const OperatorCase& c, const TestTensor& y) {
  double widest = 0;
  for (int i = 0; i < c.activations; ++i) {
    widest = std::max(widest, double{c.Input(i).scale} * c.largest_code);
  }
  const double step = std::max(2 * widest / 65535, 6.2e-5);
  // Each input is rounded to it.
  return y.is_codes() && c.activations * step > 0.5 * y.scale;
}

void VaryShapes(TestRandom* random, OperatorCase* c) {
  if (c->Argument("broadcast", 0) == 0) {
    if (random->OneIn(2)) return;
    Shape a, b;
    DrawEnds(random, &a, &b);
    c->Input(0) = c->RandomInput(random, a);
    c->Input(1) = c->RandomInput(random, b);
    return;
  }
  if (random->OneIn(2)) return;
  const std::string order = random->OneIn(2) ? "NCHW" : "NHWC";
  for (caffe2::Argument& argument : *c->definition.mutable_arg()) {
    if (argument.name() != "axis") continue;
    argument.set_name("axis_str");
    argument.set_s(order.substr(argument.i(), 1));
    argument.clear_i();
    c->Arguments().String("order", order);
    return;
  }
}

}  // namespace caffe2_quantization
