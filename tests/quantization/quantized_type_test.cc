#include "quantization/quantized_type.h"

#include <gtest/gtest.h>

#include <limits>

namespace caffe2_quantization {
namespace {

TEST(QuantizedTypeTest, NamedOnesAreCsTypes) {
  EXPECT_EQ(QuantizedType::Int8().qmin(), std::numeric_limits<int8_t>::min());
  EXPECT_EQ(QuantizedType::Int8().qmax(), std::numeric_limits<int8_t>::max());
  EXPECT_EQ(QuantizedType::UInt8().qmin(), 0);
  EXPECT_EQ(QuantizedType::UInt8().qmax(), 255);
  EXPECT_EQ(QuantizedType::Int4().qmin(), -8);
  EXPECT_EQ(QuantizedType::UInt4().qmax(), 15);
  EXPECT_EQ(QuantizedType::UInt16().qmax(), 65535);
  EXPECT_EQ(QuantizedType::Int32().qmin(), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(QuantizedType::Int32().qmax(), std::numeric_limits<int32_t>::max());
}

TEST(QuantizedTypeTest, NamesReadBackAsThemselves) {
  for (const bool is_signed : {false, true}) {
    for (int precision = -1; precision <= 33; ++precision) {
      const QuantizedType type{precision, is_signed};
      const bool is_one =
          (precision >= 1 && precision <= 16) || (precision == 32 && is_signed);
      EXPECT_EQ(type.Validate().ok(), is_one) << type.Name();
      QuantizedType read{5, true};
      EXPECT_EQ(QuantizedType::FromName(type.Name(), &read).ok(), is_one)
          << type.Name();
      EXPECT_EQ(read, is_one ? type : (QuantizedType{5, true}));
    }
  }
}

TEST(QuantizedTypeTest, RefusesOtherNames) {
  for (const char* name : {"", "int", "uint", "Int8", "int08", "int 8", "int8 ",
                           "int8_t", "float", "uint32", "int99999999999"}) {
    QuantizedType type;
    const Status status = QuantizedType::FromName(name, &type);
    ASSERT_FALSE(status.ok()) << name;
    EXPECT_NE(status.message().find("'" + std::string(name) + "'"),
              std::string::npos)
        << status.message();
  }
}

}  // namespace
}  // namespace caffe2_quantization
