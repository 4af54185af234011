// What is recorded of one net: its operators' records, its runs, and how they
// are written.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_NET_RECORD_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_NET_RECORD_H_

#include <memory>

#include "caffe2/core/net.h"
#include "observers/output_min_max_observer.h"

namespace caffe2_quantization {

// A NetMeasurement, and what the net's observer tells it. Thread rule: that of
// output_min_max_observer.h.
class NetRecord : public NetMeasurement {
 public:
  // Attaches an operator observer to each operator that the options admit, and
  // to each other one an observer that sees only whether it runs.
  static std::shared_ptr<NetRecord> Make(caffe2::NetBase* net,
                                         OutputMinMaxNetObserver* observer,
                                         OutputMinMaxOptions options);

  // A run of the net begins.
  virtual void RunStarts() = 0;
  // A run of the net ends. A net that runs its operators asynchronously calls
  // its observers after a failure too, which its events then tell; a simple net
  // does not.
  virtual void RunFinished(const caffe2::NetBase& net) = 0;
  // The net ends. What is unsaved is written, if there is a path.
  virtual void NetGone() = 0;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_NET_RECORD_H_
