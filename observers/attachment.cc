#include "observers/attachment.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

namespace caffe2_quantization {
namespace {

using MeasurementPtr = std::shared_ptr<NetMeasurement>;

class Table {
 public:
  // Never destroyed: nets that end while the process exits still find it.
  static Table& Get() {
    static Table* table = new Table;
    return *table;
  }

  void Add(MeasurementPtr measurement) {
    std::lock_guard<std::mutex> lock(mutex_);
    // A process that ends in order without ending its nets writes them too.
    static const int registered = std::atexit([] { Get().SaveAll(); });
    (void)registered;
    // A finished measurement makes way for a new one of its name.
    EraseGone(measurement->net_name());
    measurements_.push_back(std::move(measurement));
  }

  void Remove(const MeasurementPtr& measurement) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found =
        std::find(measurements_.begin(), measurements_.end(), measurement);
    if (found != measurements_.end()) measurements_.erase(found);
  }

  MeasurementPtr FindNet(const caffe2::NetBase* net) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(
        measurements_.begin(), measurements_.end(),
        [&](const MeasurementPtr& each) { return each->net() == net; });
    return found == measurements_.end() ? nullptr : *found;
  }

  // The latest one of that name.
  MeasurementPtr FindGone(const std::string& net_name) {
    std::lock_guard<std::mutex> lock(mutex_);
    MeasurementPtr latest;
    for (const MeasurementPtr& each : measurements_) {
      if (IsGone(*each, net_name) &&
          (latest == nullptr || each->gone_order() > latest->gone_order())) {
        latest = each;
      }
    }
    return latest;
  }

  bool ForgetGone(const std::string& net_name) {
    std::lock_guard<std::mutex> lock(mutex_);
    return EraseGone(net_name);
  }

  std::vector<MeasurementPtr> All() {
    std::lock_guard<std::mutex> lock(mutex_);
    return measurements_;
  }

  void SaveAll() {
    for (const MeasurementPtr& each : All()) {
      if (each->net() == nullptr || !each->unsaved()) continue;
      const Status status = each->dump();
      if (!status.ok()) {
        LOG(ERROR) << "Observer of net '" << each->net_name()
                   << "': " << status.message();
      }
    }
  }

 private:
  static bool IsGone(const NetMeasurement& measurement,
                     const std::string& net_name) {
    return measurement.net() == nullptr && measurement.net_name() == net_name;
  }

  bool EraseGone(const std::string& net_name) {
    const auto first = std::remove_if(
        measurements_.begin(), measurements_.end(),
        [&](const MeasurementPtr& each) { return IsGone(*each, net_name); });
    const bool any = first != measurements_.end();
    measurements_.erase(first, measurements_.end());
    return any;
  }

  std::mutex mutex_;
  std::vector<MeasurementPtr> measurements_;
};

std::unique_ptr<OutputMinMaxNetObserver> MakeObserver(
    caffe2::NetBase* net, OutputMinMaxOptions options) {
  auto observer =
      std::make_unique<OutputMinMaxNetObserver>(net, std::move(options));
  Table::Get().Add(observer->measurement());
  return observer;
}

// What the host asks for every later net, until it is told to stop.
class LaterNets {
 public:
  static LaterNets& Get() {
    static LaterNets* later_nets = new LaterNets;
    return *later_nets;
  }

  void Enable(OutputMinMaxOptions options, std::string folder) {
    std::lock_guard<std::mutex> lock(mutex_);
    options_ = std::move(options);
    folder_ = std::move(folder);
    enabled_ = true;
    // The host may have been told to clear its creators, and does not say so;
    // but then what ours holds on to is gone.
    if (!creator_alive_.expired()) return;
    const auto alive = std::make_shared<bool>(true);
    creator_alive_ = alive;
    caffe2::AddGlobalNetObserverCreator(
        [alive](caffe2::NetBase* net) { return Get().Observe(net); });
  }

  void Disable() {
    std::lock_guard<std::mutex> lock(mutex_);
    enabled_ = false;
  }

 private:
  std::unique_ptr<caffe2::NetObserver> Observe(caffe2::NetBase* net) {
    OutputMinMaxOptions options;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!enabled_) {
        // The host attaches whatever it gets: this one observes nothing.
        return std::make_unique<caffe2::NetObserver>(net);
      }
      options = options_;
      if (!folder_.empty()) options.path = NextPath(net->Name());
    }
    return MakeObserver(net, std::move(options));
  }

  // A file of its own for each net, also when names repeat.
  std::string NextPath(std::string net_name) {
    std::replace(net_name.begin(), net_name.end(), '/', '_');
    const std::string path = folder_ + '/' + net_name;
    const int count = ++used_paths_[path];
    return path + (count > 1 ? "_" + std::to_string(count) : "") + ".minmax";
  }

  std::mutex mutex_;
  bool enabled_ = false;
  std::weak_ptr<bool> creator_alive_;
  OutputMinMaxOptions options_;
  std::string folder_;
  std::map<std::string, int> used_paths_;
};

// Held while a net's observer comes or goes, so that two threads do not both
// find it there, or not there.
std::mutex& AttachMutex() {
  static std::mutex* mutex = new std::mutex;
  return *mutex;
}

Status NoNet(const char* function) {
  return Status::InvalidArgument(std::string(function) +
                                 ": the net is null, expected one that a "
                                 "workspace made");
}

}  // namespace

Status AttachOutputMinMaxObserver(
    caffe2::NetBase* net, OutputMinMaxOptions options,
    std::shared_ptr<NetMeasurement>* measurement) {
  if (net == nullptr) return NoNet("AttachOutputMinMaxObserver");
  std::lock_guard<std::mutex> lock(AttachMutex());
  if (Table::Get().FindNet(net) != nullptr) {
    return Status::InvalidArgument("net '" + net->Name() +
                                   "' has an OutputMinMaxNetObserver already; "
                                   "detach it first");
  }
  auto observer = MakeObserver(net, std::move(options));
  if (measurement != nullptr) *measurement = observer->measurement();
  net->AttachObserver(std::move(observer));
  return Status::Ok();
}

Status DetachOutputMinMaxObserver(caffe2::NetBase* net) {
  if (net == nullptr) return NoNet("DetachOutputMinMaxObserver");
  std::lock_guard<std::mutex> lock(AttachMutex());
  const MeasurementPtr measurement = Table::Get().FindNet(net);
  if (measurement == nullptr) {
    return Status::InvalidArgument("net '" + net->Name() +
                                   "' has no OutputMinMaxNetObserver");
  }
  if (measurement->unsaved()) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(measurement->dump());
  }
  OutputMinMaxNetObserver* observer = measurement->observer();
  observer->detach_from_operators();
  Table::Get().Remove(measurement);
  net->DetachObserver(observer);  // and destroys it
  return Status::Ok();
}

void AttachOutputMinMaxObserverToLaterNets(OutputMinMaxOptions options,
                                           std::string folder) {
  LaterNets::Get().Enable(std::move(options), std::move(folder));
}

void StopAttachingToLaterNets() { LaterNets::Get().Disable(); }

std::shared_ptr<NetMeasurement> FindNetMeasurement(
    const std::string& net_name, caffe2::Workspace* workspace) {
  if (workspace != nullptr) {
    caffe2::NetBase* net = workspace->GetNet(net_name);
    if (net != nullptr) {
      MeasurementPtr measurement = Table::Get().FindNet(net);
      if (measurement != nullptr) return measurement;
    }
  }
  return Table::Get().FindGone(net_name);
}

std::vector<std::shared_ptr<NetMeasurement>> AllNetMeasurements() {
  return Table::Get().All();
}

bool ForgetNetMeasurement(const std::string& net_name) {
  return Table::Get().ForgetGone(net_name);
}

}  // namespace caffe2_quantization
