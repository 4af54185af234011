#include "observers/attachment.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "base/process.h"
#include "base/return_if_error.h"
#include "observers/dump.h"
#include "observers/inner_nets.h"
#include "observers/later_nets.h"
#include "observers/net_record.h"
#include "observers/selection.h"
#include "observers/step_observer.h"
#include "observers/unshared.h"
#include "profiles/profile.h"

namespace caffe2_quantization {
namespace {

using MeasurementPtr = std::shared_ptr<NetMeasurement>;

class Table {
 public:
  // Of this process: what was attached before a fork is the parent's.
  static Table& Get() {
    static PerProcess<Table> table;
    return table.Get();
  }

  void Add(MeasurementPtr measurement) {
    std::lock_guard<std::mutex> lock(mutex_);
    // A process that ends in order without ending its nets writes them too. A
    // child inherits the call, and finds its own table.
    static std::atomic<bool> registered{false};
    if (!registered.exchange(true)) std::atexit([] { Get().SaveAll(); });
    // A finished measurement makes way for a new one of its name.
    MakeWay(measurement->net_name(), measurement->label());
    LetGoBeyondTheCap();
    measurements_.push_back(std::move(measurement));
  }

  void Remove(const MeasurementPtr& measurement) {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found =
        std::find(measurements_.begin(), measurements_.end(), measurement);
    if (found != measurements_.end()) measurements_.erase(found);
  }

  MeasurementPtr FindNet(const caffe2::NetBase* net, const std::string& label) {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const MeasurementPtr& each : measurements_) {
      if (each->net() == net && each->label() == label) return each;
    }
    return nullptr;
  }

  std::vector<MeasurementPtr> FindNet(const caffe2::NetBase* net) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<MeasurementPtr> found;
    for (const MeasurementPtr& each : measurements_) {
      if (each->net() == net) found.push_back(each);
    }
    return found;
  }

  // The latest ones of that name, one a label.
  std::vector<MeasurementPtr> FindGone(const std::string& net_name) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::map<std::string, MeasurementPtr> latest;
    for (const MeasurementPtr& each : measurements_) {
      if (!IsGone(*each, net_name)) continue;
      MeasurementPtr& found = latest[each->label()];
      if (found == nullptr || each->gone_order() > found->gone_order()) {
        found = each;
      }
    }
    std::vector<MeasurementPtr> all;
    for (auto& [label, each] : latest) all.push_back(std::move(each));
    return all;
  }

  bool ForgetGone(const std::string& net_name, const std::string* label) {
    std::lock_guard<std::mutex> lock(mutex_);
    return Erase([&](const MeasurementPtr& each) {
      return IsGone(*each, net_name) &&
             (label == nullptr || each->label() == *label);
    });
  }

  std::vector<MeasurementPtr> All() {
    std::lock_guard<std::mutex> lock(mutex_);
    return measurements_;
  }

  void SaveAll() {
    for (const MeasurementPtr& each : All()) {
      if (!each->unsaved()) continue;
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

  // Drops finished measurements, but for the latest one when it could not be
  // written: the process's end tries again.
  void MakeWay(const std::string& net_name, const std::string& label) {
    uint64_t unsaved = 0;
    for (const MeasurementPtr& each : measurements_) {
      if (IsGone(*each, net_name) && each->label() == label &&
          each->unsaved()) {
        unsaved = std::max(unsaved, each->gone_order());
      }
    }
    Erase([&](const MeasurementPtr& each) {
      return IsGone(*each, net_name) && each->label() == label &&
             each->gone_order() != unsaved;
    });
  }

  // Of what nets that are gone left: first what is in a file, then the rest.
  void LetGoBeyondTheCap() {
    std::size_t count = 0, bytes = 0;
    for (const MeasurementPtr& each : measurements_) {
      if (each->net() != nullptr) continue;
      ++count;
      bytes += each->bytes();
    }
    for (const bool saved : {true, false}) {
      Erase([&](const MeasurementPtr& each) {
        if (count <= kMostGone && bytes <= kMostGoneBytes) return false;
        if (each->net() != nullptr || each->saved() != saved) return false;
        --count;
        bytes -= std::min(bytes, each->bytes());
        if (!saved && !std::exchange(warned_, true)) {
          LOG(WARNING) << "Observers: of nets that are gone, more than "
                       << kMostGone << " measurements or "
                       << (kMostGoneBytes >> 20)
                       << " MiB are kept; the oldest are forgotten from now "
                          "on, first that of net '"
                       << each->net_name()
                       << "'; attach with a path, or detach in time";
        }
        return true;
      });
    }
  }

  template <typename Predicate>
  bool Erase(const Predicate& predicate) {
    const auto first =
        std::remove_if(measurements_.begin(), measurements_.end(), predicate);
    const bool any = first != measurements_.end();
    measurements_.erase(first, measurements_.end());
    return any;
  }

  std::mutex mutex_;
  std::vector<MeasurementPtr> measurements_;
  bool warned_ = false;
};

std::unique_ptr<OutputMinMaxNetObserver> MakeObserver(
    caffe2::NetBase* net, OutputMinMaxOptions options) {
  auto observer =
      std::make_unique<OutputMinMaxNetObserver>(net, std::move(options));
  Table::Get().Add(observer->measurement());
  return observer;
}

// Attaches observers to every later net. A child observes none: the nets to
// observe are the parent's.
class ObserversOfLaterNets final : public LaterNets {
 public:
  static ObserversOfLaterNets& Get() {
    static PerProcess<ObserversOfLaterNets> observers;
    return observers.Get();
  }

  ObserversOfLaterNets() : LaterNets(AfterFork::kBeginsAnew) {}

  void Enable(OutputMinMaxOptions options, LaterNetsPaths paths) {
    std::lock_guard<std::mutex> lock(mutex());
    const std::string label = Unshared(options.label);
    plans_[label] = Plan{std::move(options), std::move(paths), 0};
    Listen();
  }

  void Disable(const std::string* label) {
    std::lock_guard<std::mutex> lock(mutex());
    label == nullptr ? plans_.clear() : void(plans_.erase(*label));
  }

 private:
  struct Plan {
    OutputMinMaxOptions options;
    LaterNetsPaths paths;
    uint64_t nets = 0;
  };

  std::unique_ptr<caffe2::NetObserver> OnNet(caffe2::NetBase* net) override {
    // Its operators are those of the net that makes it.
    if (IsMadeInAnObservedRun(*net)) return NoObserver(net);
    std::vector<OutputMinMaxOptions> all;
    {
      std::lock_guard<std::mutex> lock(mutex());
      LeaveInnerNets(*net);
      for (auto& [label, plan] : plans_) {
        all.push_back(plan.options);
        Unshare(&all.back());
        all.back().path = NextPath(net->Name(), &plan);
      }
    }
    std::unique_ptr<caffe2::NetObserver> last = NoObserver(net);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i > 0) net->AttachObserver(std::move(last));
      last = MakeObserver(net, std::move(all[i]));
    }
    return last;
  }

  // The host makes the nets of an If or a While before the net that they are
  // in, and shows them first. Takes the observers off again that they got as
  // nets of their own, the last one first, and their paths back.
  void LeaveInnerNets(const caffe2::NetBase& net) {
    std::vector<caffe2::NetBase*> inner = AllInnerNetsOf(net);
    for (auto each = inner.rbegin(); each != inner.rend(); ++each) {
      for (auto& [label, plan] : plans_) {
        const MeasurementPtr measurement = Table::Get().FindNet(*each, label);
        if (measurement == nullptr) continue;
        TakeBack(static_cast<NetRecord*>(measurement.get())->path(),
                 (*each)->Name(), &plan);
        OutputMinMaxNetObserver* observer = measurement->observer();
        observer->detach_from_operators();
        Table::Get().Remove(measurement);
        (*each)->DetachObserver(observer);
      }
    }
  }

  // Undoes NextPath(), if nobody asked for another path meanwhile.
  void TakeBack(const std::string& path, const std::string& net_name,
                Plan* plan) {
    const OutputMinMaxOptions& options = plan->options;
    if (plan->paths.folder.empty()) {
      if (plan->nets > 0 &&
          (!plan->paths.unique ||
           path == options.path + '.' + std::to_string(plan->nets))) {
        --plan->nets;
      }
      return;
    }
    const std::string stem = StemOf(net_name, *plan);
    const std::string extension = ExtensionOf(*plan);
    const auto used = used_paths_.find(stem + '.' + extension);
    if (used == used_paths_.end() ||
        path != CountedPath(stem, extension, used->second)) {
      return;
    }
    --plan->nets;
    if (--used->second == 0) used_paths_.erase(used);
  }

  // "folder/<net name>"
  static std::string StemOf(std::string net_name, const Plan& plan) {
    if (!plan.options.label.empty()) net_name += '.' + plan.options.label;
    std::replace(net_name.begin(), net_name.end(), '/', '_');
    return plan.paths.folder + '/' + net_name;
  }
  static std::string ExtensionOf(const Plan& plan) {
    return caffe2_quantization::ExtensionOf(
        FormatOf(plan.options.format, plan.options.recording));
  }
  // That of the count-th net of its name.
  static std::string CountedPath(const std::string& stem,
                                 const std::string& extension, int count) {
    return stem + (count > 1 ? "_" + std::to_string(count) : "") + '.' +
           extension;
  }

  // A file of its own for each net in a folder, also when names repeat.
  std::string NextPath(const std::string& net_name, Plan* plan) {
    const OutputMinMaxOptions& options = plan->options;
    ++plan->nets;
    if (plan->paths.folder.empty()) {
      if (options.path.empty() || !plan->paths.unique) return options.path;
      return options.path + '.' + std::to_string(plan->nets);
    }
    const std::string stem = StemOf(net_name, *plan);
    const std::string extension = ExtensionOf(*plan);
    return CountedPath(stem, extension, ++used_paths_[stem + '.' + extension]);
  }

  std::map<std::string, Plan> plans_;  // by label
  std::map<std::string, int> used_paths_;
};

// Held while a net's observer comes or goes, so that two threads do not both
// find it there, or not there.
std::mutex& AttachMutex() {
  static PerProcess<std::mutex> mutex;
  return mutex.Get();
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
  OutputMinMaxOptions normal;
  RETURN_IF_ERROR(NormalizeOptions(options, &normal));
  RETURN_IF_ERROR(CheckSelection(normal.recording, net));
  NetInfo profile;
  if (!normal.resume_path.empty()) {
    RETURN_IF_ERROR(ReadProfile(normal.resume_path, &profile));
  }
  std::lock_guard<std::mutex> lock(AttachMutex());
  if (Table::Get().FindNet(net, normal.label) != nullptr) {
    return Status::InvalidArgument(
        "net '" + net->Name() + "' has an OutputMinMaxNetObserver already" +
        (normal.label.empty() ? "" : ", labelled '" + normal.label + "'") +
        "; detach it first, or give this one another label");
  }
  RETURN_IF_ERROR(CheckIsNotRunning(*net, "attach an observer"));
  auto observer = std::make_unique<OutputMinMaxNetObserver>(net, normal);
  if (!normal.resume_path.empty()) {
    const Status status = observer->measurement()->go_on_from(profile);
    if (!status.ok()) {
      observer->detach_from_operators();
      return Status::InvalidArgument("cannot go on from '" +
                                     normal.resume_path +
                                     "': " + status.message());
    }
  }
  Table::Get().Add(observer->measurement());
  if (measurement != nullptr) *measurement = observer->measurement();
  net->AttachObserver(std::move(observer));
  return Status::Ok();
}

Status DetachOutputMinMaxObserver(caffe2::NetBase* net,
                                  const std::string& label) {
  if (net == nullptr) return NoNet("DetachOutputMinMaxObserver");
  std::lock_guard<std::mutex> lock(AttachMutex());
  const MeasurementPtr measurement = Table::Get().FindNet(net, label);
  if (measurement == nullptr) {
    return Status::InvalidArgument(
        "net '" + net->Name() + "' has no OutputMinMaxNetObserver" +
        (label.empty() ? "" : " labelled '" + label + "'"));
  }
  RETURN_IF_ERROR(CheckIsNotRunning(*net, "detach an observer"));
  if (measurement->unsaved()) {
    RETURN_IF_ERROR(measurement->dump());
  }
  OutputMinMaxNetObserver* observer = measurement->observer();
  observer->detach_from_operators();
  Table::Get().Remove(measurement);
  net->DetachObserver(observer);  // and destroys it
  return Status::Ok();
}

Status AttachOutputMinMaxObserverToLaterNets(OutputMinMaxOptions options,
                                             LaterNetsPaths paths) {
  if (!options.resume_path.empty()) {
    return Status::InvalidArgument(
        "observers of later nets cannot go on from a profile, which is of one "
        "net: '" +
        options.resume_path + "'");
  }
  OutputMinMaxOptions normal;
  RETURN_IF_ERROR(NormalizeOptions(options, &normal));
  RETURN_IF_ERROR(CheckOperatorTypes(normal.recording));
  ObserversOfLaterNets::Get().Enable(std::move(normal), std::move(paths));
  return Status::Ok();
}

void StopAttachingToLaterNets(const std::string* label) {
  ObserversOfLaterNets::Get().Disable(label);
}

std::shared_ptr<NetMeasurement> FindNetMeasurement(const std::string& net_name,
                                                   caffe2::Workspace* workspace,
                                                   const std::string& label) {
  caffe2::NetBase* net =
      workspace == nullptr ? nullptr : workspace->GetNet(net_name);
  if (net != nullptr) {
    MeasurementPtr measurement = Table::Get().FindNet(net, label);
    if (measurement != nullptr) return measurement;
  }
  for (MeasurementPtr& each : Table::Get().FindGone(net_name)) {
    if (each->label() == label) return each;
  }
  return nullptr;
}

std::vector<std::shared_ptr<NetMeasurement>> FindNetMeasurements(
    const std::string& net_name, caffe2::Workspace* workspace) {
  caffe2::NetBase* net =
      workspace == nullptr ? nullptr : workspace->GetNet(net_name);
  std::vector<MeasurementPtr> found;
  if (net != nullptr) found = Table::Get().FindNet(net);
  if (found.empty()) found = Table::Get().FindGone(net_name);
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a->label() < b->label();
  });
  return found;
}

Status CheckIsNotRunning(const caffe2::NetBase& net, const char* what) {
  for (const MeasurementPtr& each : Table::Get().FindNet(&net)) {
    if (!each->running()) continue;
    return Status::InvalidArgument(
        std::string("cannot ") + what + ": net '" + net.Name() +
        "' is running, expected one that is not; wait for its run to end");
  }
  return Status::Ok();
}

std::vector<std::shared_ptr<NetMeasurement>> AllNetMeasurements() {
  return Table::Get().All();
}

bool ForgetNetMeasurement(const std::string& net_name,
                          const std::string* label) {
  return Table::Get().ForgetGone(net_name, label);
}

}  // namespace caffe2_quantization
