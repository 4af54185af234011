// Operators that drive the observers, so that any front end that can run an
// operator can measure a net: no binding is compiled.
//
//   OutputMinMaxObserverAttach             net, observer, path, resume_from,
//                                          and how to record and dump (below)
//   OutputMinMaxObserverAttachToLaterNets  observer, folder or path and
//                                          unique_paths, enable (1), and how to
//                                          record and dump
//   OutputMinMaxObserverInfo               net (default: all), observer,
//                                          histograms (0)
//                                          -> JSON, one string
//   OutputMinMaxObserverDump               net, observer, path, reset (0),
//                                          format, delimiter, samples,
//                                          checkpoint_settings,
//                                          checkpoint_batches
//   OutputMinMaxObserverReset              net, observer
//   OutputMinMaxObserverStop               net, observer
//   OutputMinMaxObserverResume             net, observer
//   OutputMinMaxObserverDetach             net, observer
//
// How to record: histogram_bins, column_max_bins, column_max_blobs, op_types,
// op_names, outputs, every, run_limit. How to dump: dump_freq, format,
// delimiter.
//
// `net` is the name of a net of the workspace that runs the operator. All but
// Attach also know nets that are gone by now. `observer` is a label; without
// one the net's only observer is meant.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_OBSERVER_CONTROL_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_OBSERVER_CONTROL_OP_H_

#include <memory>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "observers/attachment.h"

namespace caffe2_quantization {

// What the control operators share: the workspace, and the net they name.
class ObserverControlOp : public caffe2::Operator<caffe2::CPUContext> {
 public:
  ObserverControlOp(const caffe2::OperatorDef& definition,
                    caffe2::Workspace* workspace);

 protected:
  // The argument `net`; an enforce error when it is missing.
  std::string NetName() const;
  // The net itself; an enforce error lists the nets there are.
  caffe2::NetBase* Net() const;
  // What was measured of it; an enforce error when nothing is attached, or
  // several observers are and none is named.
  std::shared_ptr<NetMeasurement> Measurement() const;
  // The argument `format`; kDefault when it is missing.
  OutputMinMaxOptions::Format Format() const;
  // The options that both attaching operators take.
  OutputMinMaxOptions Options() const;

  caffe2::Workspace* const workspace_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_OBSERVER_CONTROL_OP_H_
