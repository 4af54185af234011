// LaterNets: the base of classes that act on every net that the host makes from
// now on, in any workspace, until they are told to stop.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_LATER_NETS_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_LATER_NETS_H_

#include <memory>
#include <mutex>

#include "caffe2/core/net.h"

namespace caffe2_quantization {

// The base of classes that have plans for later nets. The host calls every
// observer creator that was registered with it, and has no way to unregister
// one. So one is registered for good, and does nothing while there are no
// plans.
//
// An object lives as long as the process. Thread rule: any thread.
class LaterNets {
 public:
  LaterNets(const LaterNets&) = delete;
  LaterNets& operator=(const LaterNets&) = delete;

 protected:
  // What happens to the plans in a forked child of the process.
  enum class AfterFork {
    kBeginsAnew,  // the object is a PerProcess: the child has one of its own
    kGoesOn,      // the child has the parent's plans; forks wait for mutex()
  };

  explicit LaterNets(AfterFork after_fork);
  ~LaterNets() = default;

  // Guards the plans.
  std::mutex& mutex() { return mutex_; }

  // Has the host call OnNet for every net, unless it does so already. Call it
  // with mutex() held.
  void Listen();

  // Returns an observer that observes nothing: the host attaches whatever it
  // gets.
  static std::unique_ptr<caffe2::NetObserver> NoObserver(caffe2::NetBase* net);

 private:
  // Called for a net that is being made, without mutex(), on any thread.
  // Returns the observer that the host attaches, never null.
  virtual std::unique_ptr<caffe2::NetObserver> OnNet(caffe2::NetBase* net) = 0;

  const AfterFork after_fork_;
  std::mutex mutex_;
  std::weak_ptr<bool> creator_alive_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_LATER_NETS_H_
