// Attaching the net observers, and finding what they measured by the net's
// name.
//
// The process keeps one table of measurements. A measurement stays in it when
// its net is gone, until it is detached or a new one of the same name takes its
// place, so that nothing is lost because a workspace was reset first.
//
// Thread rule: any thread; but attach and detach while the net is not running.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_

#include <memory>
#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "observers/output_min_max_observer.h"
#include "quantization/export.h"
#include "quantization/status.h"

namespace caffe2_quantization {

// Attaches to a net. The net owns the observer. An error when the net has one
// already. *measurement, if given, receives what it fills.
CAFFE2_QUANTIZATION_API Status AttachOutputMinMaxObserver(
    caffe2::NetBase* net, OutputMinMaxOptions options,
    std::shared_ptr<NetMeasurement>* measurement = nullptr);

// Takes the observer off the net and the measurement out of the table; with a
// path and something unsaved, the totals are written first and a failure to do
// so is returned (the observer is then still there).
CAFFE2_QUANTIZATION_API Status DetachOutputMinMaxObserver(caffe2::NetBase* net);

// Attaches to every net that is made from now on, in any workspace. `options`
// apply to each; with `folder` not empty each net's path is
// "folder/<net name>.minmax" (a '/' in the name becomes '_').
CAFFE2_QUANTIZATION_API void AttachOutputMinMaxObserverToLaterNets(
    OutputMinMaxOptions options, std::string folder = "");
// Nets made from now on are left alone again.
CAFFE2_QUANTIZATION_API void StopAttachingToLaterNets();

// The measurement of a net: first of the net of that name in `workspace` (may
// be null), else the latest of that name whose net is gone. Null when there is
// none.
CAFFE2_QUANTIZATION_API std::shared_ptr<NetMeasurement> FindNetMeasurement(
    const std::string& net_name, caffe2::Workspace* workspace);

// Every measurement of the table, oldest first.
CAFFE2_QUANTIZATION_API std::vector<std::shared_ptr<NetMeasurement>>
AllNetMeasurements();

// Forgets the measurement of a net that is gone; false when there is none.
CAFFE2_QUANTIZATION_API bool ForgetNetMeasurement(const std::string& net_name);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_ATTACHMENT_H_
