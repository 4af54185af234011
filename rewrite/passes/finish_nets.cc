// What is left to do when the int8 net's operators are there: fills that nobody
// reads go, external inputs are declared, the init net gets the new weights.
#include <algorithm>
#include <set>

#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

class Finisher {
 public:
  Finisher(caffe2::NetDef net, std::vector<caffe2::OperatorDef> fills,
           Rewrite* rewrite)
      : rewrite_(rewrite),
        graph_(rewrite->graph),
        net_(std::move(net)),
        fills_(std::move(fills)) {}

  void Run() {
    DropUnreadFills();
    Declare();
    BuildInit();
    rewrite_->new_predict = std::move(net_);
  }

 private:
  // Drops the fills of weights that are codes now.
  void DropUnreadFills() {
    std::set<std::string> needed(net_.external_output().begin(),
                                 net_.external_output().end());
    for (const caffe2::OperatorDef& op : net_.op()) {
      needed.insert(op.input().begin(), op.input().end());
    }
    for (int id = 0; id < graph_.num_values(); ++id) {
      const Value& value = graph_.value(id);
      if (value.is_external_output || value.is_pinned) {
        needed.insert(value.name);
      }
    }
    std::vector<caffe2::OperatorDef> kept;
    for (caffe2::OperatorDef& op : *net_.mutable_op()) {
      if (!IsConstantFill(op) || needed.count(op.output(0)) != 0) {
        kept.push_back(std::move(op));
      }
    }
    net_.clear_op();
    for (caffe2::OperatorDef& op : kept) *net_.add_op() = std::move(op);
  }

  // Declares external inputs, and makes fills of constants that passes made.
  void Declare() {
    std::set<std::string> written, read, declared;
    for (const caffe2::OperatorDef& op : net_.op()) {
      for (const std::string& input : op.input()) {
        if (written.count(input) == 0) read.insert(input);
      }
      written.insert(op.output().begin(), op.output().end());
    }
    const auto declare = [&](const std::string& name) {
      if (declared.insert(name).second) net_.add_external_input(name);
    };
    for (const int id : graph_.outside()) {
      const Value& value = graph_.value(id);
      const bool is_data =
          !value.constant.has_value() &&
          std::find(graph_.net().external_input().begin(),
                    graph_.net().external_input().end(),
                    value.name) != graph_.net().external_input().end();
      if (is_data || value.is_pinned || value.is_external_output ||
          read.count(value.name) != 0) {
        declare(value.name);
      }
      if (read.count(value.name) != 0 && value.constant.has_value() &&
          rewrite_->weights.count(value.name) == 0) {
        fills_.push_back(FillOf(*value.constant, value.name));
      }
    }
    for (const caffe2::OperatorDef& fill : fills_) {
      if (read.count(fill.output(0)) != 0) declare(fill.output(0));
    }
    for (const std::string& name : read) declare(name);
  }

  // The init net without the fills that nothing reads any more.
  void BuildInit() {
    caffe2::NetDef init = WithoutOperators(*rewrite_->init);
    std::set<std::string> needed(net_.external_input().begin(),
                                 net_.external_input().end());
    std::vector<const caffe2::OperatorDef*> kept;
    for (int i = rewrite_->init->op_size(); i-- > 0;) {
      const caffe2::OperatorDef& op = rewrite_->init->op(i);
      const bool is_needed = !IsConstantFill(op) ||
                             needed.count(op.output(0)) != 0 ||
                             rewrite_->weights.count(op.output(0)) == 0;
      if (!is_needed) continue;
      kept.push_back(&op);
      needed.insert(op.input().begin(), op.input().end());
    }
    for (std::size_t i = kept.size(); i-- > 0;) *init.add_op() = *kept[i];
    for (caffe2::OperatorDef& fill : fills_) *init.add_op() = std::move(fill);
    if (init.external_output_size() > 0) {
      init.clear_external_output();
      std::set<std::string> made;
      for (const caffe2::OperatorDef& op : init.op()) {
        for (const std::string& output : op.output()) {
          if (made.insert(output).second) init.add_external_output(output);
        }
      }
    }
    rewrite_->new_init = std::move(init);
  }

  Rewrite* const rewrite_;
  const Graph& graph_;
  caffe2::NetDef net_;
  std::vector<caffe2::OperatorDef> fills_;
};

}  // namespace

void FinishNets(caffe2::NetDef net, std::vector<caffe2::OperatorDef> fills,
                Rewrite* rewrite) {
  Finisher(std::move(net), std::move(fills), rewrite).Run();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
