// Attaches observers to nets, and finds what they measured by the net's name.
//
// The process keeps one table of measurements, by net and label. A measurement
// stays in it when its net is gone, until it is detached or a new one of the
// same name and label takes its place, so that nothing is lost because a
// workspace was reset first.
//
// It keeps up to kMostGone measurements, and about kMostGoneBytes, of nets that
// are gone. When the next observer is attached, it drops what exceeds that:
// first the oldest measurements whose file holds all they recorded, or that
// recorded nothing, then the oldest of the others. Dropping one of the latter
// is warned of once.
//
// A process that was forked begins with an empty table and no observers of
// later nets: what the parent attached records nothing there and is never
// written there.
//
// Thread rule: any thread. Attach and detach only while the net itself is not
// running; other nets may run, come and go meanwhile. If an observer of the net
// sees that it is running, attaching and detaching are errors; without an
// observer nobody can tell.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/export.h"
#include "base/status.h"
#include "caffe2/core/workspace.h"
#include "observers/output_min_max_observer.h"

namespace caffe2_quantization {

inline constexpr std::size_t kMostGone = 1000;
inline constexpr std::size_t kMostGoneBytes = std::size_t{256} << 20;

// Attaches to a net. The net owns the observer. An error when the net has one
// of the same label already, when an observer of the net sees that it is
// running, when an option is out of range, and when the profile to go on from
// does not fit. *measurement, if given, receives what it fills.
CAFFE2_QUANTIZATION_API Status AttachOutputMinMaxObserver(
    caffe2::NetBase* net, OutputMinMaxOptions options,
    std::shared_ptr<NetMeasurement>* measurement = nullptr);

// Takes the observer of that label off the net and the measurement out of the
// table; with a path and something unsaved, the totals are written first and a
// failure to do so is returned (the observer is then still there). An error
// while the net is running.
CAFFE2_QUANTIZATION_API Status
DetachOutputMinMaxObserver(caffe2::NetBase* net, const std::string& label = "");

// Where the observers of later nets write.
struct LaterNetsPaths {
  // Not empty: each net writes "folder/<net name>.<extension>", where a '/' in
  // the name becomes '_', a label follows as "<net name>.<label>", and a name
  // that comes again gets "_2", "_3" ... The extension is the format's: minmax,
  // hist, col_max_hist, profile or profile.json.
  std::string folder;
  // With `folder` empty all nets write to the options' path, the later one over
  // the earlier; with `unique` the n-th net writes to "path.<n>".
  bool unique = false;
};

// Attaches to every net that is made from now on, in any workspace. Of
// observers with several labels each net gets one each; a second call with one
// label replaces the first. An error when an option is out of range or there is
// a profile to go on from.
CAFFE2_QUANTIZATION_API Status AttachOutputMinMaxObserverToLaterNets(
    OutputMinMaxOptions options, LaterNetsPaths paths = {});
// Nets made from now on are left alone again: by all, or by the observer of one
// label.
CAFFE2_QUANTIZATION_API void StopAttachingToLaterNets(
    const std::string* label = nullptr);

// The measurement of a net by the observer of a label: first of the net of that
// name in `workspace` (may be null), else the latest of that name whose net is
// gone. Null when there is none.
CAFFE2_QUANTIZATION_API std::shared_ptr<NetMeasurement> FindNetMeasurement(
    const std::string& net_name, caffe2::Workspace* workspace,
    const std::string& label = "");
// By all its observers, sorted by label: of the net in `workspace` if that has
// any, else of those that are gone the latest of each label.
std::vector<std::shared_ptr<NetMeasurement>> FindNetMeasurements(
    const std::string& net_name, caffe2::Workspace* workspace);

// An error that says what it is about to be when an observer of the net sees
// that it is running: "attach an observer", say.
Status CheckIsNotRunning(const caffe2::NetBase& net, const char* what);

// Every measurement of the table, oldest first.
CAFFE2_QUANTIZATION_API std::vector<std::shared_ptr<NetMeasurement>>
AllNetMeasurements();

// Forgets the measurement of a net that is gone, by all its observers or by
// that of one label; false when there is none.
CAFFE2_QUANTIZATION_API bool ForgetNetMeasurement(
    const std::string& net_name, const std::string* label = nullptr);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_
