#include "netdef/host_error.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "caffe2/core/logging.h"

namespace caffe2_quantization {
namespace {

template <typename Call>
std::string ReasonOfThrown(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return ReasonOf(error);
  }
  return "nothing was thrown";
}

TEST(HostErrorTest, DropsTheConditionOfAnEnforceWithAMessage) {
  EXPECT_EQ(ReasonOfThrown([] { CAFFE_ENFORCE(1 > 2, "Too small"); }),
            "Too small");
}

TEST(HostErrorTest, KeepsTheConditionThatIsTheMessage) {
  const int found = 3;
  EXPECT_EQ(ReasonOfThrown([&] { CAFFE_ENFORCE_EQ(found, 4, "sizes"); }),
            "found == 4. 3 vs 4. sizes");
}

TEST(HostErrorTest, NamesTheOutputOfTheOperator) {
  const std::runtime_error error(
      "[enforce fail at x.cc:7] ok. Bad shape\n"
      "Error from operator: \ninput: \"x\"\noutput: \"y\"\ntype: \"Reshape\"\n"
      "frame #0: main");
  EXPECT_EQ(ReasonOf(error), "Bad shape (operator making y)");
}

TEST(HostErrorTest, CutsAdviceAndDefinitions) {
  const std::runtime_error error(
      "[enforce fail at operator.cc:1] op. Cannot create operator of type 'X' "
      "on "
      "the device 'CPU'. Verify that implementation exists. Operator def: "
      "type");
  EXPECT_EQ(ReasonOf(error),
            "Cannot create operator of type 'X' on the device 'CPU'.");
}

TEST(HostErrorTest, SaysSomethingInEveryCase) {
  EXPECT_EQ(ReasonOf(std::runtime_error("")), "unknown error");
  EXPECT_EQ(ReasonOf(std::runtime_error("\n  plain \nmore")), "plain");
  EXPECT_EQ(ReasonOf(std::runtime_error("[enforce fail at x")),
            "[enforce fail at x");
  EXPECT_EQ(ReasonOf(std::bad_alloc()), "not enough memory");
}

TEST(HostErrorTest, CatchReturnsAStatusThatNamesTheSubject) {
  const Status status = CatchHostErrors(
      "a.pb", []() -> Status { throw std::runtime_error("broken"); });
  EXPECT_EQ(status.message(), "a.pb: broken");
  EXPECT_TRUE(CatchHostErrors("a.pb", [] { return Status::Ok(); }).ok());
}

}  // namespace
}  // namespace caffe2_quantization
