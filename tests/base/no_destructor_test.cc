#include "base/no_destructor.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace caffe2_quantization {
namespace {

TEST(NoDestructor, HoldsWhatItWasMadeOf) {
  static NoDestructor<std::string> text(3, 'a');
  EXPECT_EQ(*text, "aaa");
  text->append("b");
  EXPECT_EQ(*text, "aaab");
}

TEST(NoDestructor, DestroysNothing) {
  struct Counted {
    explicit Counted(int* destroyed) : destroyed(destroyed) {}
    ~Counted() { ++*destroyed; }
    int* destroyed;
  };
  int destroyed = 0;
  { NoDestructor<Counted> kept(&destroyed); }
  EXPECT_EQ(destroyed, 0);
  { Counted counted(&destroyed); }
  EXPECT_EQ(destroyed, 1);
}

TEST(NoDestructor, IsAligned) {
  struct alignas(64) Line {
    char bytes[64];
  };
  static NoDestructor<Line> line;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*line) % 64, 0u);
}

}  // namespace
}  // namespace caffe2_quantization
