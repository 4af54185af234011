#include "observers/record_callback.h"

#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

namespace caffe2_quantization {
namespace {

void Count(const char*, void* calls) {
  ++*static_cast<std::atomic<int>*>(calls);
}

TEST(RecordCallback, IsCalledUntilItIsRemoved) {
  std::atomic<int> calls{0};
  EXPECT_FALSE(HasRecordCallbacks());
  const int64_t id = AddRecordCallback(Count, &calls);
  EXPECT_GT(id, 0);
  EXPECT_TRUE(HasRecordCallbacks());
  CallRecordCallbacks({});
  EXPECT_TRUE(RemoveRecordCallback(id));
  EXPECT_FALSE(RemoveRecordCallback(id));
  EXPECT_FALSE(HasRecordCallbacks());
  CallRecordCallbacks({});
  EXPECT_EQ(calls, 1);
}

TEST(RecordCallback, GetsTheRecordAsJson) {
  OutputRecord record;
  record.net_name = "n\xff";
  record.tensor_name = "y";
  record.shape = {2, 3};
  record.range = ValueRange::OfFloats(-1.5f, 2);
  record.run = 7;
  std::string json;
  const int64_t id = AddRecordCallback(
      [](const char* text, void* to) { *static_cast<std::string*>(to) = text; },
      &json);
  CallRecordCallbacks(record);
  RemoveRecordCallback(id);
  EXPECT_EQ(json.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(json);
  EXPECT_EQ(parsed["tensor_name"], "y");
  EXPECT_EQ(parsed["min"], -1.5);
  EXPECT_TRUE(parsed["raw_min"].is_null());
  EXPECT_EQ(parsed["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(parsed["run"], 7);
}

TEST(RecordCallback, MayRemoveItself) {
  struct State {
    int64_t id = 0;
    int calls = 0;
  } state;
  state.id = AddRecordCallback(
      [](const char*, void* to) {
        auto* state = static_cast<State*>(to);
        ++state->calls;
        EXPECT_TRUE(RemoveRecordCallback(state->id));
      },
      &state);
  CallRecordCallbacks({});
  CallRecordCallbacks({});
  EXPECT_EQ(state.calls, 1);
}

TEST(RecordCallback, NoCallRunsAfterTheRemoval) {
  for (int round = 0; round < 200; ++round) {
    auto alive = std::make_unique<std::atomic<int>>(0);
    const int64_t id = AddRecordCallback(Count, alive.get());
    std::atomic<bool> started{false};
    std::thread caller([&] {
      started = true;
      for (int i = 0; i < 20; ++i) CallRecordCallbacks({});
    });
    while (!started) std::this_thread::yield();
    EXPECT_TRUE(RemoveRecordCallback(id));
    alive.reset();  // a sanitizer sees a call that comes too late
    caller.join();
  }
}

}  // namespace
}  // namespace caffe2_quantization
