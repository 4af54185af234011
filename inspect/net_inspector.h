// Inspects the nets of a file: their operators, blobs and arguments, and the
// tensors that arguments hold.
#ifndef CAFFE2_QUANTIZATION_INSPECT_NET_INSPECTOR_H_
#define CAFFE2_QUANTIZATION_INSPECT_NET_INSPECTOR_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "inspect/message_fields.h"
#include "inspect/report_builder.h"

namespace caffe2_quantization {

class NetInspector : public ReportBuilder {
 public:
  using ReportBuilder::ReportBuilder;

 protected:
  // Lists a net. `label` is that of InspectedNet, `place` the name that faults
  // use.
  void Net(const std::string& label, const std::string& place,
           const MessageBytes& message);

 private:
  // What the arguments of an operator need to know about it.
  struct OperatorFacts {
    std::string type;
    std::vector<std::string> outputs;  // the first ones
  };

  // The arguments of an operator that fills a tensor.
  struct Fill {
    bool has_values = false;
    MessageBytes values;  // the Argument
    std::vector<int64_t> dims;
    bool has_dims = false;
    double scale = 1;
    double zero_point = 0;
  };

  void NetFields(const std::string& label, const std::string& place,
                 const MessageBytes& message);
  // Returns the blob of that name in the net's list; null if there is no room.
  InspectedNetBlob* FindNetBlob(std::size_t net, const std::string& name,
                                std::map<std::string, std::size_t>* blobs);
  void Operator(std::size_t net, uint64_t index, const std::string& place,
                const MessageBytes& message,
                std::map<std::string, std::size_t>* blobs);
  void Argument(const OperatorFacts& op, const std::string& place,
                const MessageBytes& message);
  static std::string OutputName(const OperatorFacts& op, uint64_t index);
  void CollectFill(const MessageBytes& argument, Fill* fill);
  void AddFill(const OperatorFacts& op, const std::string& place,
               const MessageBytes& message, const Fill& fill);

  int net_depth_ = 0;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_NET_INSPECTOR_H_
