// What is known of a net's values: types, shapes, ranges, or parameters that
// were chosen before. It comes from a profile, or from a recipe.
//
// Thread rule: values.
#ifndef CAFFE2_QUANTIZATION_REWRITE_MEASUREMENTS_H_
#define CAFFE2_QUANTIZATION_REWRITE_MEASUREMENTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {
namespace rewrite {

// Scale and zero point of unsigned codes.
struct Parameters8 {
  float scale = 0;
  int32_t zero_point = 0;
};

// What is known of one tensor.
struct Measured {
  std::string type;  // "float" …; "": unknown, or not always the same
  bool has_shape = false;
  std::vector<int64_t> shape;  // -1: varies
  // Of a profile: what was seen; empty if a recipe says it.
  ValueRange range;
  Histogram histogram;
  uint64_t nan_count = 0;
  uint64_t infinity_count = 0;
  // Of a recipe.
  bool has_parameters = false;
  Parameters8 parameters;
};

class Measurements {
 public:
  // Takes what a profile says. Errors: it is of another net (net_hash), or of
  // format version 1, which has no inputs.
  static Status FromProfile(const NetInfo& profile, const caffe2::NetDef& net,
                            Measurements* measurements);

  // What is known of output `slot` of operator `op_index` of the net, or of an
  // external input; null: nothing.
  const Measured* Output(int op_index, int slot) const;
  const Measured* Input(const std::string& name) const;

  void SetOutput(int op_index, int slot, Measured measured);
  void SetInput(const std::string& name, Measured measured);

 private:
  std::map<std::pair<int, int>, Measured> outputs_;
  std::map<std::string, Measured> inputs_;
};

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_MEASUREMENTS_H_
