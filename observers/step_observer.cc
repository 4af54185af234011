#include "observers/step_observer.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/process.h"
#include "observers/operator_run.h"

namespace caffe2_quantization {
namespace {

using RecordPtr = std::shared_ptr<OperatorRecord>;

// Guards the table of hubs and what is in them. A fork waits for it, so that a
// child finds them whole: the host asks for a step's observer once, and an
// observer that the child attaches hears of the steps by the one that is there.
std::mutex& HubsMutex() {
  static std::mutex* const mutex = [] {
    auto* made = new std::mutex;
    HoldAcrossForks(made);
    return made;
  }();
  return *mutex;
}

// What the steps of one RecurrentNetwork operator share. The observers of its
// steps own it: it lives as long as they.
class StepHub {
 public:
  // The hub of an operator, made when there is none and `make` says so.
  static std::shared_ptr<StepHub> Of(const caffe2::OperatorBase* network,
                                     bool make) {
    static auto* hubs =
        new std::map<const caffe2::OperatorBase*, std::weak_ptr<StepHub>>;
    std::lock_guard<std::mutex> lock(HubsMutex());
    // Those whose operator has gone, and perhaps another is in its place.
    for (auto at = hubs->begin(); at != hubs->end();) {
      at = at->second.expired() ? hubs->erase(at) : std::next(at);
    }
    const auto found = hubs->find(network);
    std::shared_ptr<StepHub> hub;
    if (found != hubs->end()) hub = found->second.lock();
    if (hub == nullptr && make) {
      hub = std::make_shared<StepHub>();
      (*hubs)[network] = hub;
    }
    return hub;
  }

  void Join(const RecordPtr& record) {
    std::lock_guard<std::mutex> lock(HubsMutex());
    const auto gone = [](const RecordPtr& each) {
      return each->context()->gate.closed() || !each->context()->is_ours();
    };
    records_.erase(std::remove_if(records_.begin(), records_.end(), gone),
                   records_.end());
    if (std::find(records_.begin(), records_.end(), record) == records_.end()) {
      records_.push_back(record);
    }
  }

  // True when the operator has no observer yet.
  bool Enter(const caffe2::OperatorBase* step) {
    std::lock_guard<std::mutex> lock(HubsMutex());
    return steps_.insert(step).second;
  }
  void Leave(const caffe2::OperatorBase* step) {
    std::lock_guard<std::mutex> lock(HubsMutex());
    steps_.erase(step);
  }

  // Between two steps, on whichever threads: the host orders them by counters
  // that a sanitizer does not see.
  void StepStarts() { steps_run_.load(std::memory_order_acquire); }
  void StepEnded() { steps_run_.fetch_add(1, std::memory_order_acq_rel); }

  // The records that want to hear of a run now.
  std::vector<RecordPtr> Open() {
    std::lock_guard<std::mutex> lock(HubsMutex());
    std::vector<RecordPtr> open;
    for (const RecordPtr& record : records_) {
      if (record->open()) open.push_back(record);
    }
    return open;
  }

 private:
  std::atomic<uint64_t> steps_run_{0};
  std::vector<RecordPtr> records_;
  std::set<const caffe2::OperatorBase*> steps_;
};

class StepObserver final : public caffe2::ObserverBase<caffe2::OperatorBase> {
 public:
  StepObserver(caffe2::OperatorBase* step, int step_index,
               std::shared_ptr<StepHub> hub)
      : ObserverBase(step),
        step_index_(step_index),
        // It makes tensors point into others, which other time steps write
        // meanwhile: it has no output of its own.
        is_link_(step->type() == "rnn_internal_apply_link"),
        hub_(std::move(hub)),
        run_(step) {}
  ~StepObserver() override { hub_->Leave(subject_); }

  void Start() override {
    hub_->StepStarts();
    run_.Start(!is_link_ && !hub_->Open().empty());
  }

  void Stop() override {
    if (run_.Succeeded()) {
      for (const RecordPtr& network : hub_->Open()) {
        const RecordPtr record = network->Step(*subject_, step_index_);
        if (record != nullptr && record->open()) record->Record(subject_);
      }
    }
    run_.Stop();
    hub_->StepEnded();
  }

 private:
  const int step_index_;
  const bool is_link_;
  const std::shared_ptr<StepHub> hub_;
  OperatorRun run_;
};

}  // namespace

std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>> MakeStepObserver(
    const caffe2::OperatorBase* network, caffe2::OperatorBase* step,
    int step_index, const RecordPtr& record) {
  const std::shared_ptr<StepHub> hub = StepHub::Of(network, /*make=*/true);
  hub->Join(record);
  if (!hub->Enter(step)) return nullptr;
  return std::make_unique<StepObserver>(step, step_index, hub);
}

void JoinSteps(const caffe2::OperatorBase* network, const RecordPtr& record) {
  const std::shared_ptr<StepHub> hub = StepHub::Of(network, /*make=*/false);
  if (hub != nullptr) hub->Join(record);
}

}  // namespace caffe2_quantization
