#include "base/nearest_name.h"

#include <gtest/gtest.h>

namespace caffe2_quantization {
namespace {

const std::vector<std::string> kTypes = {"Conv", "ConvRelu", "FC", "Relu",
                                         "Softmax"};

TEST(NearestName, OneMistakeInAFewLettersIsForgiven) {
  for (const char* name : {"Konv", "Cnv", "Convv", "Covn", "conv", "CONV"}) {
    EXPECT_EQ(DidYouMean(name, kTypes), " (did you mean 'Conv'?)") << name;
  }
  EXPECT_EQ(DidYouMean("convrelu6", kTypes), " (did you mean 'ConvRelu'?)");
  EXPECT_EQ(DidYouMean("Softmx", kTypes), " (did you mean 'Softmax'?)");
  EXPECT_EQ(DidYouMean("fc", kTypes), " (did you mean 'FC'?)");
  EXPECT_EQ(DidYouMean("FD", kTypes), " (did you mean 'FC'?)");
}

TEST(NearestName, WhatIsFarIsNotMeant) {
  for (const char* name : {"", "x", "Kenv", "LSTM", "Soft", "XY"}) {
    EXPECT_EQ(DidYouMean(name, kTypes), "") << name;
  }
  EXPECT_EQ(DidYouMean("a", {"b", "c"}), "");  // all of it differs
  EXPECT_EQ(DidYouMean("Conv", {}), "");
  const std::string long_name(1 << 20, 'x');
  EXPECT_EQ(DidYouMean(long_name, {long_name + "y"}), "");
}

TEST(NearestName, TheNearestWins) {
  EXPECT_EQ(DidYouMean("weight_3", {"weight_12", "weight_31", "weight_4"}),
            " (did you mean 'weight_31'?)");
  EXPECT_EQ(DidYouMean("abcd", {"abdc", "abcd", "abce"}),
            " (did you mean 'abcd'?)");
}

TEST(NearestName, AHintListsTheFirstOnes) {
  EXPECT_EQ(NameHint("Konv", {"Conv", "FC"}),
            " (did you mean 'Conv'?); there are: Conv, FC");
  EXPECT_EQ(NameHint("x", {}), "; there are none");
  std::vector<std::string> many;
  for (int i = 0; i < 25; ++i) many.push_back("n" + std::to_string(i));
  const std::string list = ListOf(many);
  EXPECT_EQ(list.substr(0, 20), "; there are: n0, n1,");
  EXPECT_EQ(list.substr(list.size() - 16), ", n19 and 5 more");
}

}  // namespace
}  // namespace caffe2_quantization
