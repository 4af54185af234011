#include "observers/later_nets.h"

#include "base/process.h"

namespace caffe2_quantization {

LaterNets::LaterNets(AfterFork after_fork) : after_fork_(after_fork) {
  if (after_fork == AfterFork::kGoesOn) HoldAcrossForks(&mutex_);
}

void LaterNets::Listen() {
  // The host may have been told to clear its creators, and does not say so; but
  // then what ours holds on to is gone.
  if (!creator_alive_.expired()) return;
  const auto alive = std::make_shared<bool>(true);
  creator_alive_ = alive;
  caffe2::AddGlobalNetObserverCreator([this, alive, forks = ForkCount()](
                                          caffe2::NetBase* net) {
    // A child inherits the creator.
    const bool ours = after_fork_ == AfterFork::kGoesOn || forks == ForkCount();
    return ours ? OnNet(net) : NoObserver(net);
  });
}

std::unique_ptr<caffe2::NetObserver> LaterNets::NoObserver(
    caffe2::NetBase* net) {
  return std::make_unique<caffe2::NetObserver>(net);
}

}  // namespace caffe2_quantization
