#include "tests/rewrite/run_passes.h"

#include <set>

namespace caffe2_quantization {
namespace rewrite {

std::string RunPasses(const std::string& last, const caffe2::NetDef& init,
                      const caffe2::NetDef& predict,
                      const Measurements& measurements,
                      const QuantizeOptions& options,
                      const std::function<bool(const std::string&)>& has_key,
                      Rewrite* rewrite) {
  rewrite->init = &init;
  rewrite->predict = &predict;
  rewrite->measurements = &measurements;
  rewrite->options = options;
  rewrite->has_key = has_key;
  std::set<std::string> made;
  for (const caffe2::OperatorDef& op : init.op()) {
    std::optional<Constant> constant;
    const Status status = ReadConstant(op, &constant);
    if (!status.ok()) return status.message();
    if (constant.has_value()) rewrite->weights[op.output(0)] = *constant;
    made.insert(op.output().begin(), op.output().end());
  }
  Status status = rewrite->graph.Read(predict, rewrite->weights, made);
  if (!status.ok()) return status.message();
  rewrite->decisions.resize(static_cast<std::size_t>(predict.op_size()));
  for (int id = 0; id < rewrite->graph.num_values(); ++id) {
    Value& value = rewrite->graph.value(id);
    if (value.constant.has_value() || value.slot == kNone) continue;
    const Measured* const measured =
        value.origin == kNone
            ? measurements.Input(value.name)
            : measurements.Output(value.origin, value.origin_slot);
    if (measured == nullptr) continue;
    value.type = measured->type;
    value.has_shape = measured->has_shape;
    value.shape = measured->shape;
  }
  for (const Pass& pass : Passes()) {
    status = pass.run(rewrite);
    if (status.ok()) status = rewrite->graph.Check();
    if (!status.ok()) {
      return std::string(pass.name) + ": " + status.message();
    }
    if (pass.name == last) return "";
  }
  return "there is no pass '" + last + "'";
}

caffe2::NetDef InitOf(const caffe2::NetDef& init, const Graph& graph) {
  caffe2::NetDef result = init;
  std::set<std::string> made;
  for (const caffe2::OperatorDef& op : init.op()) {
    made.insert(op.output().begin(), op.output().end());
  }
  for (const int id : graph.outside()) {
    const Value& value = graph.value(id);
    if (value.constant.has_value() && made.insert(value.name).second) {
      *result.add_op() = FillOf(*value.constant, value.name);
    }
  }
  return result;
}

}  // namespace rewrite
}  // namespace caffe2_quantization
