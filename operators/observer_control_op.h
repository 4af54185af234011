// Operators that control the observers, so that any front end that can run an
// operator can measure a net without a compiled binding.
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
// op_names, outputs, input_names, every, run_limit. How to dump: dump_freq,
// format, delimiter.
//
// `net` is the name of a net in the workspace that runs the operator. All
// operators but Attach also know nets that are gone. `observer` is a label;
// without it the net's only observer is meant.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_OBSERVER_CONTROL_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_OBSERVER_CONTROL_OP_H_

#include <memory>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "observers/attachment.h"

namespace caffe2_quantization {

// What the control operators share: the workspace, and the net that they name.
class ObserverControlOp : public caffe2::Operator<caffe2::CPUContext> {
 public:
  ObserverControlOp(const caffe2::OperatorDef& definition,
                    caffe2::Workspace* workspace);

 protected:
  // Returns the argument `net`; throws an enforce error if it is missing.
  std::string NetName() const;
  // Returns the net itself; an enforce error lists the nets that exist.
  caffe2::NetBase* Net() const;
  // Returns the net's measurement; throws an enforce error if no observer is
  // attached, or if several are and none is named.
  std::shared_ptr<NetMeasurement> Measurement() const;
  // Returns the argument `format`; kDefault if it is missing.
  OutputMinMaxOptions::Format Format() const;
  // Returns the options that both attaching operators take.
  OutputMinMaxOptions Options() const;

  caffe2::Workspace* const workspace_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_OBSERVER_CONTROL_OP_H_
