// Attaches observers to nets, and finds their measurements by the net's name.
//
// The process keeps one table of measurements, by net and label. A measurement
// stays in it after its net is gone, until it is detached or a new one of the
// same name and label takes its place. So nothing is lost if a workspace is
// reset first.
//
// Of nets that are gone, the table keeps up to kMostGone measurements and about
// kMostGoneBytes. When the next observer is attached, it drops what exceeds
// that: first the oldest measurements whose file holds all that they recorded,
// or that recorded nothing, then the oldest of the others. The first time that
// it drops one of the latter, it logs a warning.
//
// A forked process begins with an empty table and no observers of later nets:
// what the parent attached records nothing in the child, and is never written
// there.
//
// A net's observer also records the nets within its operators: those of an If
// or a While whenever it comes, those that a RecurrentNetwork or a Do makes
// while it runs if it comes before the first run. They are no nets of their own
// to observers of later nets.
//
// Thread rule: any thread. Attach and detach only while the net itself is not
// running; other nets may run, be made and be deleted meanwhile. The first
// observer of a net that makes nets in its runs (MakesNetsInRuns) registers a
// creator of net observers with the host, as observers of later nets do: no
// other thread may make a net at that moment. If an observer
// of the net sees that it is running, attaching and detaching return errors;
// without an observer nobody can tell.
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

// Attaches an observer to a net, which owns it. Errors: the net has an observer
// of the same label; an observer of the net sees that it is running; an option
// is out of range; the profile to continue from does not fit. *measurement, if
// given, receives the measurement that the observer fills.
CAFFE2_QUANTIZATION_API Status AttachOutputMinMaxObserver(
    caffe2::NetBase* net, OutputMinMaxOptions options,
    std::shared_ptr<NetMeasurement>* measurement = nullptr);

// Takes the observer of that label off the net, and its measurement out of the
// table. If there is a path and something is unsaved, the totals are written
// first; if that fails, the error is returned and the observer stays. It is
// also an error if the net is running.
CAFFE2_QUANTIZATION_API Status
DetachOutputMinMaxObserver(caffe2::NetBase* net, const std::string& label = "");

// Where the observers of later nets write.
struct LaterNetsPaths {
  // If it is not empty, each net writes "folder/<net name>.<extension>". A '/'
  // in the name becomes '_', a label follows the name as "<net name>.<label>",
  // and a name that is used again gets "_2", "_3" ... The extension is the
  // format's: minmax, hist, col_max_hist, profile or profile.json.
  std::string folder;
  // If `folder` is empty, all nets write to the options' path, and a later one
  // overwrites an earlier one; with `unique` the n-th net writes to "path.<n>".
  bool unique = false;
};

// Attaches an observer to every net that is made from now on, in any workspace.
// After calls with several labels each net gets one observer per label; a
// second call with the same label replaces the first. Errors: an option is out
// of range; there is a profile to continue from.
CAFFE2_QUANTIZATION_API Status AttachOutputMinMaxObserverToLaterNets(
    OutputMinMaxOptions options, LaterNetsPaths paths = {});
// Ends that for nets made from now on: for all labels, or for one.
CAFFE2_QUANTIZATION_API void StopAttachingToLaterNets(
    const std::string* label = nullptr);

// Returns the measurement of a net by the observer of a label: that of the net
// of this name in `workspace` (which may be null), else the latest one of this
// name whose net is gone. Returns null if there is none.
CAFFE2_QUANTIZATION_API std::shared_ptr<NetMeasurement> FindNetMeasurement(
    const std::string& net_name, caffe2::Workspace* workspace,
    const std::string& label = "");
// Returns the measurements by all observers, sorted by label: those of the net
// in `workspace` if it has any, else the latest of each label whose net is
// gone.
std::vector<std::shared_ptr<NetMeasurement>> FindNetMeasurements(
    const std::string& net_name, caffe2::Workspace* workspace);

// Returns an error if an observer of the net sees that it is running. `what`
// says in it what the caller is about to do ("attach an observer").
Status CheckIsNotRunning(const caffe2::NetBase& net, const char* what);

// Returns every measurement of the table, oldest first.
CAFFE2_QUANTIZATION_API std::vector<std::shared_ptr<NetMeasurement>>
AllNetMeasurements();

// Forgets the measurements of a net that is gone: those of all its observers,
// or that of one label. Returns false if there is none.
CAFFE2_QUANTIZATION_API bool ForgetNetMeasurement(
    const std::string& net_name, const std::string* label = nullptr);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_
