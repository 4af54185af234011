#include "operators/int8/products/shared_weights.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "quantization/choose.h"

namespace caffe2_quantization {
namespace {

WeightsKey KeyOf(int number) {
  WeightsKey key;
  key.Add(static_cast<int64_t>(number));
  return key;
}

Status Make(int value, std::shared_ptr<const int>* made) {
  *made = std::make_shared<int>(value);
  return Status::Ok();
}

TEST(WeightsKey, TellsContentsApart) {
  const auto digest = [](const std::vector<std::string>& contents) {
    WeightsKey key;
    for (const auto& each : contents) key.Add(each.data(), each.size());
    return key.Digest();
  };
  EXPECT_EQ(digest({"ab", "c"}), digest({"ab", "c"}));
  EXPECT_NE(digest({"ab", "c"}), digest({"a", "bc"}));
  EXPECT_NE(digest({"ab"}), digest({"ab", ""}));

  const auto of = [](const ChooseOptions& options) {
    WeightsKey key;
    key.Add(options);
    return key.Digest();
  };
  ChooseOptions symmetric;
  symmetric.preserve_sparsity = true;
  EXPECT_EQ(of({}), of({}));
  EXPECT_NE(of({}), of(symmetric));
}

TEST(SharedWeights, OneIsMadeAndKeptWhileItIsHeld) {
  SharedWeights<int> shared;
  int num_made = 0;
  const auto make = [&](std::shared_ptr<const int>* made) {
    return Make(++num_made, made);
  };
  std::shared_ptr<const int> a, b, other;
  ASSERT_TRUE(shared.GetOrMake(KeyOf(1), make, &a).ok());
  ASSERT_TRUE(shared.GetOrMake(KeyOf(1), make, &b).ok());
  EXPECT_EQ(a, b);
  ASSERT_TRUE(shared.GetOrMake(KeyOf(2), make, &other).ok());
  EXPECT_NE(a, other);
  EXPECT_EQ(num_made, 2);
  EXPECT_EQ(shared.Count(), 2);
  a.reset();
  EXPECT_EQ(shared.Count(), 2);
  b.reset();
  EXPECT_EQ(shared.Count(), 1);
  ASSERT_TRUE(shared.GetOrMake(KeyOf(1), make, &a).ok());
  EXPECT_EQ(num_made, 3);
}

TEST(SharedWeights, AfterAnErrorTheNextOneTries) {
  SharedWeights<int> shared;
  std::shared_ptr<const int> packed;
  const Status status = shared.GetOrMake(
      KeyOf(1),
      [](std::shared_ptr<const int>*) {
        return Status::InvalidArgument("no memory");
      },
      &packed);
  EXPECT_EQ(status.message(), "no memory");
  EXPECT_EQ(packed, nullptr);
  EXPECT_EQ(shared.Count(), 0);
  const auto make = [](std::shared_ptr<const int>* made) {
    return Make(7, made);
  };
  ASSERT_TRUE(shared.GetOrMake(KeyOf(1), make, &packed).ok());
  EXPECT_EQ(*packed, 7);
}

TEST(SharedWeights, ThreadsThatAskAtOnceShare) {
  SharedWeights<int> shared;
  std::atomic<int> num_made{0};
  std::vector<std::shared_ptr<const int>> packed(8);
  std::vector<std::thread> threads;
  for (auto& mine : packed) {
    threads.emplace_back([&] {
      const Status status = shared.GetOrMake(
          KeyOf(1),
          [&](std::shared_ptr<const int>* made) {
            // The others get here while it is being made.
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
            return Make(++num_made, made);
          },
          &mine);
      EXPECT_TRUE(status.ok());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(num_made, 1);
  for (const auto& mine : packed) EXPECT_EQ(mine, packed[0]);
}

}  // namespace
}  // namespace caffe2_quantization
