// NetRecord: what is recorded of one net, its operators' records and its runs,
// and how it is written.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_NET_RECORD_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_NET_RECORD_H_

#include <memory>
#include <string>

#include "caffe2/core/net.h"
#include "observers/output_min_max_observer.h"

namespace caffe2_quantization {

// A NetMeasurement with the calls by which the net's observer feeds it. Thread
// rule: that of output_min_max_observer.h.
class NetRecord : public NetMeasurement {
 public:
  // Attaches an operator observer to each operator that the options admit, and
  // to every other operator an observer that sees only whether it runs.
  static std::shared_ptr<NetRecord> Make(caffe2::NetBase* net,
                                         OutputMinMaxNetObserver* observer,
                                         OutputMinMaxOptions options);

  // The file that dumps go to.
  virtual const std::string& path() const = 0;

  // A run of the net begins.
  virtual void RunStarts() = 0;
  // A run of the net ends. A net that runs its operators asynchronously calls
  // its observers after a failure too, and its events then tell of the failure;
  // a simple net does not call them.
  virtual void RunFinished(const caffe2::NetBase& net) = 0;
  // The net is being deleted. What is unsaved is written, if there is a path.
  virtual void NetGone() = 0;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_NET_RECORD_H_
