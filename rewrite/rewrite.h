// What the passes share: the graph, what is known of its values, what was
// decided, and the nets that come of it.
#ifndef CAFFE2_QUANTIZATION_REWRITE_REWRITE_H_
#define CAFFE2_QUANTIZATION_REWRITE_REWRITE_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rewrite/graph.h"
#include "rewrite/int8_forms.h"
#include "rewrite/quantize_net.h"

namespace caffe2_quantization {
namespace rewrite {

// How an int8 value lies in memory, seen from the axes that the float net gives
// it: as they are, or channels last though the net has them second.
enum class Order { kNatural, kChannelsLast };

// What is planned for a value.
struct ValuePlan {
  bool is_int8 = false;  // its producer makes codes
  int set = kNone;       // values of one set share scale and zero point
  Order order = Order::kNatural;
};

// What is planned for a node.
struct NodePlan {
  bool is_int8 = false;
  bool has_relu = false;
  // Its values are cut at this, if it is above 0: a Clip(0, top) within.
  float clip_top = 0;
};

// Values that share parameters.
struct ParameterSet {
  std::vector<int> values;
  bool is_fixed = false;
  bool is_chosen = false;
  Parameters8 parameters;
  double min = 0, max = 0;
  double clipped_share = 0;
  std::string warning;
};

struct Rewrite {
  // What it was called with.
  const caffe2::NetDef* init = nullptr;
  const caffe2::NetDef* predict = nullptr;
  const Measurements* measurements = nullptr;
  const Recipe* recipe = nullptr;  // null: options and measurements decide
  QuantizeOptions options;
  std::function<bool(const std::string&)> has_key;

  Graph graph;
  std::map<std::string, Constant> weights;  // of the init net
  std::vector<Decision> decisions;          // by operator of the float net
  std::vector<ValuePlan> values;            // by value, from regions on
  std::vector<NodePlan> nodes;              // by node, from regions on
  std::vector<ParameterSet> sets;           // from parameters on
  std::vector<std::string> warnings;

  caffe2::NetDef new_init;
  caffe2::NetDef new_predict;

  // Whether the engine has an int8 operator of this type.
  bool Has(const std::string& int8_type) const {
    return has_key(int8_type + "_ENGINE_" + options.engine);
  }
  void Decide(const Node& node, Reason reason, const std::string& detail = "",
              const std::string& made = "");
};

// One step of the way from a float net to an int8 net.
struct Pass {
  const char* name;
  const char* what;  // one line
  // The net still computes the same values.
  bool keeps_values;
  Status (*run)(Rewrite* rewrite);
};

// The passes of pass_list.inc.
const std::vector<Pass>& Passes();

// All of a net but its operators. A copy that is cleared of them would have had
// the weights of an init net twice, and keeps their memory.
caffe2::NetDef WithoutOperators(const caffe2::NetDef& net);

// Reads an argument; `otherwise` if it is not there.
int64_t IntArgument(const caffe2::OperatorDef& op, const std::string& name,
                    int64_t otherwise);
float FloatArgument(const caffe2::OperatorDef& op, const std::string& name,
                    float otherwise);
std::string StringArgument(const caffe2::OperatorDef& op,
                           const std::string& name,
                           const std::string& otherwise);
bool HasArgument(const caffe2::OperatorDef& op, const std::string& name);
// Sets an argument, in place of one that is there.
void SetInt(const std::string& name, int64_t value, caffe2::OperatorDef* op);
void SetFloat(const std::string& name, float value, caffe2::OperatorDef* op);
void SetString(const std::string& name, const std::string& value,
               caffe2::OperatorDef* op);
void RemoveArgument(const std::string& name, caffe2::OperatorDef* op);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_REWRITE_H_
