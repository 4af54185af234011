#include "observers/record_callback.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/exact_floating_point.h"
#include "base/no_destructor.h"
#include "base/process.h"
#include "profiles/value_json.h"

namespace caffe2_quantization {
namespace {

struct Entry {
  int64_t id;
  RecordCallback callback;
  void* user_data;
  // Under the list's mutex:
  int running = 0;
  bool removed = false;
};

class RecordCallbacks {
 public:
  // Never destroyed: nets may run while the process exits. A child has the
  // callbacks of its parent.
  static RecordCallbacks& Get() {
    static NoDestructor<RecordCallbacks> callbacks;
    return *callbacks;
  }

  RecordCallbacks() { HoldAcrossForks(&mutex_); }

  int64_t Add(RecordCallback callback, void* user_data) {
    std::lock_guard<std::mutex> lock(mutex_);
    entries_.push_back(
        std::make_shared<Entry>(Entry{++last_id_, callback, user_data}));
    count_ = entries_.size();
    return last_id_;
  }

  bool Remove(int64_t id) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto found =
        std::find_if(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return entry->id == id; });
    if (found == entries_.end()) return false;
    ForgetOtherThreads();
    const std::shared_ptr<Entry> entry = *found;
    entries_.erase(found);
    count_ = entries_.size();
    entry->removed = true;
    // One that waited inside a callback could wait for itself.
    if (Depth() == 0) idle_->wait(lock, [&] { return entry->running == 0; });
    return true;
  }

  bool any() const { return count_.load(std::memory_order_relaxed) != 0; }

  void Call(const char* json) {
    std::vector<std::shared_ptr<Entry>> entries;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      entries = entries_;
    }
    for (const auto& entry : entries) {
      {
        std::lock_guard<std::mutex> lock(mutex_);
        if (entry->removed) continue;
        ForgetOtherThreads();
        ++entry->running;
      }
      const Running running(this, entry.get());
      entry->callback(json, entry->user_data);
    }
  }

 private:
  // How many callbacks this thread is in.
  static int& Depth() {
    thread_local int depth = 0;
    return depth;
  }

  // Ends a call, also one that throws.
  class Running {
   public:
    Running(RecordCallbacks* callbacks, Entry* entry)
        : callbacks_(callbacks), entry_(entry) {
      ++Depth();
    }
    ~Running() {
      --Depth();
      std::lock_guard<std::mutex> lock(callbacks_->mutex_);
      // In a child that was forked within the callback it was forgotten.
      if (forks_ == ForkCount() && --entry_->running == 0) {
        callbacks_->idle_->notify_all();
      }
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    RecordCallbacks* const callbacks_;
    Entry* const entry_;
    const uint64_t forks_ = ForkCount();
  };

  // Under mutex_. The calls that others were in when the process was forked do
  // not end in the child.
  void ForgetOtherThreads() {
    if (forks_ == ForkCount()) return;
    forks_ = ForkCount();
    for (const auto& entry : entries_) entry->running = 0;
    (void)idle_.release();  // with who waited
    idle_ = std::make_unique<std::condition_variable>();
  }

  std::atomic<std::size_t> count_{0};
  std::mutex mutex_;
  std::unique_ptr<std::condition_variable> idle_ =
      std::make_unique<std::condition_variable>();
  uint64_t forks_ = ForkCount();
  std::vector<std::shared_ptr<Entry>> entries_;
  int64_t last_id_ = 0;
};

}  // namespace

std::string ToJson(const OutputRecord& record) {
  const ExactFloatingPoint exact;
  nlohmann::json json{
      {"net", record.net_name},
      {"observer", record.observer},
      {"path", record.path},
      {"op_index", record.op_index},
      {"step_index", record.step_index},
      {"op_type", record.op_type},
      {"op_name", record.op_name},
      {"output_index", record.output_index},
      {"tensor_name", record.tensor_name},
      {"type", record.type_name},
      {"shape", record.shape},
      {"min", LimitToJson(record.range, false)},
      {"max", LimitToJson(record.range, true)},
      {"raw_min", LimitToJson(record.raw_range, false)},
      {"raw_max", LimitToJson(record.raw_range, true)},
      {"run", record.run},
  };
  AddCounts(record, &json);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

int64_t AddRecordCallback(RecordCallback callback, void* user_data) {
  return RecordCallbacks::Get().Add(callback, user_data);
}

bool RemoveRecordCallback(int64_t id) {
  return RecordCallbacks::Get().Remove(id);
}

bool HasRecordCallbacks() { return RecordCallbacks::Get().any(); }

void CallRecordCallbacks(const OutputRecord& record) {
  RecordCallbacks::Get().Call(ToJson(record).c_str());
}

}  // namespace caffe2_quantization
