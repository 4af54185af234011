// What a blob of a test holds, as values: floats, codes with their parameters,
// integers, or parameters alone.
#ifndef CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_TEST_TENSOR_H_
#define CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_TEST_TENSOR_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "tests/support/random.h"

namespace caffe2_quantization {

// The number of values of a tensor of this shape.
int64_t NumValues(const std::vector<int64_t>& shape);

struct TestTensor {
  enum Form {
    kFloats,   // a Tensor of float
    kUint8,    // an Int8TensorCPU of uint8
    kUint16,   // an Int8TensorCPU of uint16
    kBias,     // an Int8TensorCPU of int32
    kInt32,    // a Tensor of int32
    kInt64,    // a Tensor of int64
    kParams,   // an Int8QuantParamsBlob
    kNothing,  // a blob that was never filled
    kText,     // a std::string
  };

  Form form = kFloats;
  std::vector<int64_t> shape;
  std::vector<float> floats;  // of the form kFloats
  std::vector<int> codes;     // of the five forms of integers
  float scale = 0;            // of Int8TensorCPU and kParams
  int32_t zero_point = 0;

  bool is_float() const { return form == kFloats; }
  // An Int8TensorCPU of activations.
  bool is_codes() const { return form == kUint8 || form == kUint16; }
  int64_t count() const { return NumValues(shape); }
  // What value i stands for.
  double Real(int64_t i) const;

  // Every bit of both is the same; a NaN is equal to itself.
  friend bool operator==(const TestTensor& a, const TestTensor& b);
  friend std::ostream& operator<<(std::ostream& stream, const TestTensor& x);
};

TestTensor FloatTensor(std::vector<float> values, std::vector<int64_t> shape);
TestTensor CodeTensor(TestTensor::Form form, std::vector<int> codes,
                      std::vector<int64_t> shape, float scale,
                      int32_t zero_point);
// A tensor of int32 or int64.
TestTensor IntegerTensor(TestTensor::Form form, std::vector<int> values,
                         std::vector<int64_t> shape);
TestTensor ParamsBlob(float scale, int32_t zero_point);

void FeedTensor(caffe2::Workspace* workspace, const std::string& name,
                const TestTensor& x);
TestTensor FetchTensor(const caffe2::Workspace& workspace,
                       const std::string& name);

// Integers from low to high, both included, and floats.
std::vector<int> RandomCodes(TestRandom* random, int64_t count, int64_t low,
                             int64_t high);
std::vector<float> RandomFloats(TestRandom* random, int64_t count, float low,
                                float high);
// No, one, few or many values, in low_rank to high_rank dimensions.
std::vector<int64_t> RandomShape(TestRandom* random, int low_rank = 0,
                                 int high_rank = 4);

// How far apart two floats are: 0 for the same, 1 for neighbours.
int64_t UlpsApart(float a, float b);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_TEST_TENSOR_H_
