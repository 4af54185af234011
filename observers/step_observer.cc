#include "observers/step_observer.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/process.h"
#include "observers/inner_nets.h"
#include "observers/later_nets.h"
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

// What the steps of one operator of the net share. The observers of its steps
// own it: it lives as long as they.
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
  bool has_steps() {
    std::lock_guard<std::mutex> lock(HubsMutex());
    return !steps_.empty();
  }

  // The index that an operator has in the NetDef of a step net, from its order
  // there as the host runs it: without the links. The host makes the operators
  // of a step in order. `inner` leads to the operator that runs the step net.
  int IndexOf(const std::vector<InnerStep>& inner, int order, bool is_link) {
    std::lock_guard<std::mutex> lock(HubsMutex());
    std::set<int>& links = links_[inner];
    if (is_link) links.insert(order);
    return order - static_cast<int>(
                       std::distance(links.begin(), links.lower_bound(order)));
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
  std::map<std::vector<InnerStep>, std::set<int>> links_;
};

// An operator that runs on this thread, and makes nets or steps meanwhile.
struct RunningOwner {
  const void* owner;
  const caffe2::OperatorBase* network;
  std::shared_ptr<StepHub> hub;
  std::vector<InnerStep> inner;  // from the hub's operator to this one
};

std::vector<RunningOwner>& RunningOwners() {
  thread_local std::vector<RunningOwner> owners;
  return owners;
}

// Takes what StepsBegin() put there, and what was left above it.
std::shared_ptr<StepHub> TakeRunningOwner(const void* owner) {
  std::vector<RunningOwner>& owners = RunningOwners();
  for (std::size_t i = owners.size(); i-- > 0;) {
    if (owners[i].owner != owner) continue;
    std::shared_ptr<StepHub> hub = owners[i].hub;
    owners.resize(i);
    return hub;
  }
  return nullptr;
}

std::vector<InnerStep> Joined(std::vector<InnerStep> inner,
                              const char* argument, int op_index) {
  inner.push_back({argument, op_index});
  return inner;
}

class StepObserver final : public caffe2::ObserverBase<caffe2::OperatorBase> {
 public:
  // Makes one, and observes what the operator holds; null if it has one.
  static std::unique_ptr<StepObserver> Make(caffe2::OperatorBase* step,
                                            std::vector<InnerStep> inner,
                                            std::shared_ptr<StepHub> hub,
                                            bool is_recorded) {
    if (!hub->Enter(step)) return nullptr;
    for (const InnerNet& net : InnerNetsOf(step)) {
      Attach(*net.net, net.argument, inner, hub, is_recorded);
    }
    return std::make_unique<StepObserver>(step, std::move(inner),
                                          std::move(hub), is_recorded);
  }

  // Observes the operators of a net that the operator at `inner` runs.
  static void Attach(const caffe2::NetBase& net, const char* argument,
                     const std::vector<InnerStep>& inner,
                     const std::shared_ptr<StepHub>& hub, bool is_recorded,
                     int size = std::numeric_limits<int>::max()) {
    int index = 0;
    for (caffe2::OperatorBase* op : net.GetOperators()) {
      const bool is_link = IsLink(op->type());
      auto observer = Make(op, Joined(inner, argument, index), hub,
                           is_recorded && !is_link && index < size);
      if (observer != nullptr) op->AttachObserver(std::move(observer));
      if (!is_link) ++index;
    }
  }

  // `is_recorded`: false for an operator that the host added. A link makes
  // tensors point into others, which other time steps write meanwhile.
  StepObserver(caffe2::OperatorBase* step, std::vector<InnerStep> inner,
               std::shared_ptr<StepHub> hub, bool is_recorded)
      : ObserverBase(step),
        inner_(std::move(inner)),
        makes_nets_(NetMadeInRuns(step->type()) != nullptr),
        is_recorded_(is_recorded),
        hub_(std::move(hub)),
        run_(step) {}
  ~StepObserver() override { hub_->Leave(subject_); }

  void Start() override {
    hub_->StepStarts();
    run_.Start(is_recorded_ && !hub_->Open().empty());
    if (makes_nets_) RunningOwners().push_back({this, subject_, hub_, inner_});
  }

  void Stop() override {
    if (makes_nets_) TakeRunningOwner(this);
    if (run_.Succeeded()) {
      for (const RecordPtr& network : hub_->Open()) {
        const RecordPtr record = network->Within(*subject_, inner_);
        if (record != nullptr && record->open()) record->Record(subject_);
      }
    }
    run_.Stop();
    hub_->StepEnded();
  }

  std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>> rnnCopy(
      caffe2::OperatorBase* subject, int rnn_order) const override {
    return MakeOfStep(*subject_, subject, rnn_order, inner_, hub_,
                      is_recorded_);
  }

  // Of an operator of a time step of the RecurrentNetwork at `inner`.
  static std::unique_ptr<StepObserver> MakeOfStep(
      const caffe2::OperatorBase& network, caffe2::OperatorBase* step,
      int order, const std::vector<InnerStep>& inner,
      const std::shared_ptr<StepHub>& hub, bool is_recorded) {
    const char* argument = NetMadeInRuns(network.type());
    if (argument == nullptr) return nullptr;
    const bool is_link = IsLink(step->type());
    const int index = hub->IndexOf(inner, order, is_link);
    return Make(
        step, Joined(inner, argument, index), hub,
        is_recorded && !is_link && index < SizeOfNetMadeInRuns(network));
  }

 private:
  const std::vector<InnerStep> inner_;  // from the hub's operator to this one
  const bool makes_nets_;
  const bool is_recorded_;
  const std::shared_ptr<StepHub> hub_;
  OperatorRun run_;
};

// Observes the nets that operators make while they run.
class NetsMadeInRuns final : public LaterNets {
 public:
  static NetsMadeInRuns& Get() {
    static PerProcess<NetsMadeInRuns> nets;
    return nets.Get();
  }

  NetsMadeInRuns() : LaterNets(AfterFork::kBeginsAnew) {}

  void Enable() {
    std::lock_guard<std::mutex> lock(mutex());
    Listen();
  }

 private:
  std::unique_ptr<caffe2::NetObserver> OnNet(caffe2::NetBase* net) override {
    if (IsMadeInAnObservedRun(*net)) {
      const RunningOwner& running = RunningOwners().back();
      StepObserver::Attach(*net, NetMadeInRuns(running.network->type()),
                           running.inner, running.hub, /*is_recorded=*/true,
                           SizeOfNetMadeInRuns(*running.network));
    }
    return NoObserver(net);
  }
};

}  // namespace

std::unique_ptr<caffe2::ObserverBase<caffe2::OperatorBase>> MakeStepObserver(
    const caffe2::OperatorBase* network, caffe2::OperatorBase* step, int order,
    const RecordPtr& record) {
  const std::shared_ptr<StepHub> hub = StepHub::Of(network, /*make=*/true);
  hub->Join(record);
  return StepObserver::MakeOfStep(*network, step, order, {}, hub,
                                  /*is_recorded=*/true);
}

void JoinSteps(const caffe2::OperatorBase* network, const RecordPtr& record) {
  const std::shared_ptr<StepHub> hub = StepHub::Of(network, /*make=*/false);
  if (hub != nullptr) hub->Join(record);
  if (network->has_debug_def() && MakesNetsInRuns(network->debug_def())) {
    NetsMadeInRuns::Get().Enable();
  }
}

void StepsBegin(const void* owner, caffe2::OperatorBase* network,
                const RecordPtr& record) {
  if (!record->context()->is_ours()) return;
  TakeRunningOwner(owner);  // of a run that never ended
  const std::shared_ptr<StepHub> hub = StepHub::Of(network, /*make=*/true);
  hub->Join(record);
  RunningOwners().push_back({owner, network, hub, {}});
}

bool StepsEnd(const void* owner) {
  const std::shared_ptr<StepHub> hub = TakeRunningOwner(owner);
  return hub == nullptr || hub->has_steps();
}

bool IsMadeInAnObservedRun(const caffe2::NetBase& net) {
  const std::vector<RunningOwner>& owners = RunningOwners();
  return !owners.empty() && IsNetMadeBy(*owners.back().network, net);
}

}  // namespace caffe2_quantization
