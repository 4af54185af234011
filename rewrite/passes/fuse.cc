// Takes what follows an int8 operator into it: a Relu or a Clip from 0, which
// then cost nothing, and the Sum of a convolution and another tensor.
#include <limits>

#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

class Fuser {
 public:
  explicit Fuser(Rewrite* rewrite)
      : rewrite_(rewrite), graph_(&rewrite->graph) {}

  void Run() {
    for (const int id : graph_->Order()) {
      if (graph_->node(id).is_removed || !Plan(id).is_int8) continue;
      if (IsSum(graph_->node(id))) FuseSum(id);
      FuseRelu(id);
    }
  }

 private:
  NodePlan& Plan(int id) {
    return rewrite_->nodes[static_cast<std::size_t>(id)];
  }

  // Merges node `from` into `into`, which stands later, and keeps its plan.
  void Merge(int from, int into, const std::string& type) {
    caffe2::OperatorDef op = graph_->node(from).op;
    op.set_type(type);
    const NodePlan plan = Plan(from);
    graph_->Merge(from, into, op);
    Plan(into) = plan;
    Plan(from) = NodePlan();
    rewrite_->Decide(graph_->node(into), Reason::kInt8);
  }

  // A Sum, or an Add that repeats neither of its inputs.
  bool IsSum(const Node& node) const {
    if (node.type() == "Sum") return true;
    if (node.type() != "Add" || node.inputs.size() != 2) return false;
    const Value& a = graph_->value(node.inputs[0]);
    const Value& b = graph_->value(node.inputs[1]);
    return a.has_shape && b.has_shape && a.shape == b.shape;
  }

  // A Sum of two, of which one comes of a convolution that does nothing else:
  // of two such, the one that runs last.
  void FuseSum(int id) {
    const Node& node = graph_->node(id);
    // DNNLOWP's writes its output over the addend.
    if (rewrite_->options.engine != "ONEDNN" || node.inputs.size() != 2 ||
        node.inputs[0] == node.inputs[1] || !rewrite_->Has("Int8ConvSum") ||
        !rewrite_->Has("Int8ConvSumRelu")) {
      return;
    }
    int conv = kNone, addend = kNone;
    for (int slot = 0; slot < 2; ++slot) {
      const int value = node.inputs[static_cast<std::size_t>(slot)];
      const int producer = graph_->value(value).producer;
      if (producer == kNone || producer < conv || !Plan(producer).is_int8 ||
          graph_->node(producer).type() != "Conv" ||
          graph_->node(producer).outputs.size() != 1 ||
          Plan(producer).has_relu || !graph_->IsUsedByAlone(value, id) ||
          !graph_->MayMoveTo(producer, id)) {
        continue;
      }
      conv = producer;
      addend = node.inputs[static_cast<std::size_t>(1 - slot)];
    }
    if (conv == kNone) return;
    Merge(conv, id, "ConvSum");
    graph_->AddInput(id, addend);
  }

  void FuseRelu(int id) {
    const Node& node = graph_->node(id);
    const Int8Form* const form = FindInt8Form(node.type());
    if (*form->with_relu == '\0' || Plan(id).has_relu ||
        node.outputs.size() != 1 || !rewrite_->Has(form->with_relu)) {
      return;
    }
    const int y = node.outputs[0];
    if (graph_->value(y).uses.size() != 1) return;
    const int next = graph_->value(y).uses[0].node;
    const Node& after = graph_->node(next);
    if (!Plan(next).is_int8 || !graph_->IsUsedByAlone(y, next) ||
        !graph_->MayMoveTo(id, next)) {
      return;
    }
    float top = 0;
    if (after.type() == "Clip") {
      top = FloatArgument(after.op, "max", std::numeric_limits<float>::max());
      if (FloatArgument(after.op, "min", -1) != 0 || !(top > 0)) return;
    } else if (after.type() != "Relu") {
      return;
    }
    Merge(id, next, std::string(node.type()));
    Plan(next).has_relu = true;
    Plan(next).clip_top = top;
  }

  Rewrite* const rewrite_;
  Graph* const graph_;
};

}  // namespace

Status Fuse(Rewrite* rewrite) {
  rewrite->nodes.resize(static_cast<std::size_t>(rewrite->graph.num_nodes()));
  Fuser(rewrite).Run();
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
