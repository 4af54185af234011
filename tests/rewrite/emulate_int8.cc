#include "tests/rewrite/emulate_int8.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "netdef/given_weights.h"
#include "rewrite/int8_forms.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

using caffe2::int8::Int8TensorCPU;

bool IsInt8(const caffe2::Workspace& workspace, const std::string& name) {
  const caffe2::Blob* const blob = workspace.GetBlob(name);
  return blob != nullptr && blob->IsType<Int8TensorCPU>();
}

// The real numbers of codes.
void FeedReal(const Int8Values& codes, const std::string& name,
              caffe2::Workspace* workspace) {
  std::vector<float> values;
  for (const int code : codes.codes) {
    values.push_back(static_cast<float>(static_cast<double>(codes.scale) *
                                        (code - codes.zero_point)));
  }
  FeedFloats(workspace, name, values, codes.sizes);
}

void FeedWeights(const caffe2::OperatorDef& fill,
                 caffe2::Workspace* workspace) {
  GivenWeights weights;
  const Status status = ReadGivenWeights(fill, &weights);
  CAFFE_ENFORCE(status.ok(), status.message());
  const std::size_t rows = static_cast<std::size_t>(weights.shape[0]);
  const std::size_t columns = weights.values.size() / rows;
  const std::size_t per_set = rows / weights.scales.size();
  std::vector<float> values;
  for (std::size_t i = 0; i < weights.values.size(); ++i) {
    const std::size_t set = i / columns / per_set;
    const int code = static_cast<int8_t>(weights.values[i]);
    values.push_back(
        static_cast<float>(static_cast<double>(weights.scales[set]) *
                           (code - weights.zero_points[set])));
  }
  FeedFloats(workspace, fill.output(0), values, weights.shape);
}

// The float operator of an int8 operator, and whether a Relu follows it.
std::string FloatType(const std::string& int8_type, bool* has_relu) {
  *has_relu = false;
  for (const Int8Form& form : Int8Forms()) {
    if (int8_type == form.int8_type) return form.float_type;
    if (int8_type == form.with_relu) {
      *has_relu = true;
      return form.float_type;
    }
  }
  return "";
}

class Emulator {
 public:
  Emulator(const caffe2::NetDef& init, caffe2::Workspace* workspace)
      : workspace_(workspace) {
    for (const caffe2::OperatorDef& op : init.op()) {
      if (op.type() == kGivenWeightsType) fills_[op.output(0)] = &op;
    }
  }

  // Runs an operator, and compares it if it is int8.
  std::string Run(const caffe2::OperatorDef& op, bool* compared) {
    *compared = false;
    const bool quantizes = op.type() == "Int8Quantize";
    bool has_relu = false;
    const std::string type = FloatType(op.type(), &has_relu);
    if (op.type().compare(0, 4, "Int8") != 0 || op.type() == "Int8Dequantize" ||
        (type.empty() && !quantizes)) {
      CAFFE_ENFORCE(workspace_->RunOperatorOnce(op));
      return "";
    }
    *compared = true;
    caffe2::Workspace floats;
    for (const std::string& input : op.input()) {
      const auto fill = fills_.find(input);
      if (fill != fills_.end()) {
        FeedWeights(*fill->second, &floats);
      } else if (IsInt8(*workspace_, input)) {
        FeedReal(FetchCodes(*workspace_, input), input, &floats);
      } else {
        floats.CreateBlob(input)->Reset(new caffe2::Tensor(
            workspace_->GetBlob(input)->Get<caffe2::Tensor>().Clone()));
      }
    }
    const std::string& y = op.output(0);
    const caffe2::ArgumentHelper arguments(op);
    if (op.input_size() > 2 && fills_.count(op.input(1)) != 0 &&
        workspace_->GetBlob(op.input(2))->IsType<caffe2::Tensor>()) {
      RoundBias(op, &floats);
    }
    if (quantizes) {
      const bool swaps = arguments.GetSingleArgument<std::string>(
                             "input_order", "NHWC") == "NCHW";
      Float(&floats, swaps ? "NCHW2NHWC" : "Copy", {op.input(0)}, "real", op);
    } else if (type == "ConvSum") {
      std::vector<std::string> inputs(op.input().begin(), op.input().end());
      const std::string addend = inputs.back();
      inputs.pop_back();
      Float(&floats, "Conv", inputs, "product", op);
      Float(&floats, "Sum", {"product", addend}, "real", op);
    } else if (type == "ResizeNearest") {
      // The host's float operator has NCHW alone.
      Float(&floats, "NHWC2NCHW", {op.input(0)}, "first", op);
      caffe2::OperatorDef resize = op;
      OpBuilder(&resize).String("order", "NCHW");
      for (caffe2::Argument& argument : *resize.mutable_arg()) {
        if (argument.name() == "order") argument.set_s("NCHW");
      }
      Float(&floats, "ResizeNearest", {"first"}, "resized", resize);
      Float(&floats, "NCHW2NHWC", {"resized"}, "real", op);
    } else {
      caffe2::OperatorDef same = op;
      same.set_type(type);
      same.clear_engine();
      std::vector<std::string> outputs;
      for (int i = 0; i < op.output_size(); ++i) {
        same.set_output(i, i == 0 ? "real" : "real" + std::to_string(i));
      }
      if ((type == "Concat" || type == "Reshape") && op.output_size() == 1) {
        same.add_output("aside");
      }
      CAFFE_ENFORCE(floats.RunOperatorOnce(same), same.DebugString());
    }
    CAFFE_ENFORCE(workspace_->RunOperatorOnce(op), op.DebugString());
    const bool moves =
        !quantizes && FindInt8Form(type)->parameters == Parameters::kKept;
    const int outputs = type == "Split" ? op.output_size() : 1;
    for (int i = 0; i < outputs; ++i) {
      const std::string finding =
          Compare(floats, i == 0 ? "real" : "real" + std::to_string(i),
                  op.output(i), has_relu, moves,
                  arguments.GetSingleArgument<int>("activation_precision", 8));
      if (!finding.empty()) {
        return op.type() + " of '" + y + "': " + finding + "\n" +
               op.ShortDebugString();
      }
    }
    return "";
  }

 private:
  // Biases are whole numbers of the products' units, if they fit into 32 bits.
  void RoundBias(const caffe2::OperatorDef& op,
                 caffe2::Workspace* floats) const {
    GivenWeights weights;
    CAFFE_ENFORCE(ReadGivenWeights(*fills_.at(op.input(1)), &weights).ok());
    const double scale = FetchCodes(*workspace_, op.input(0)).scale;
    std::vector<float> bias = Fetch<float>(*floats, op.input(2));
    const std::size_t per_set = bias.size() / weights.scales.size();
    for (std::size_t i = 0; i < bias.size(); ++i) {
      const double unit = scale * weights.scales[i / per_set];
      const double units = std::nearbyint(bias[i] / unit);
      if (std::abs(units) < 2147483648.0) {
        bias[i] = static_cast<float>(units * unit);
      }
    }
    FeedFloats(floats, op.input(2), bias);
  }

  static void Float(caffe2::Workspace* floats, const std::string& type,
                    const std::vector<std::string>& inputs,
                    const std::string& output, const caffe2::OperatorDef& op) {
    caffe2::OperatorDef same;
    OpBuilder(&same, type, inputs, {output});
    *same.mutable_arg() = op.arg();
    CAFFE_ENFORCE(floats->RunOperatorOnce(same), same.DebugString());
  }

  std::string Compare(const caffe2::Workspace& floats, const std::string& real,
                      const std::string& name, bool has_relu, bool moves,
                      int bits) const {
    const Int8Values codes = FetchCodes(*workspace_, name);
    const auto& tensor = floats.GetBlob(real)->Get<caffe2::Tensor>();
    if (tensor.sizes().vec() != codes.sizes) return "other sizes";
    const std::vector<float> values = Fetch<float>(floats, real);
    for (std::size_t i = 0; i < values.size(); ++i) {
      double value = values[i];
      if (has_relu) value = std::max(value, 0.0);
      const double code =
          std::min(std::max(value / codes.scale + codes.zero_point, 0.0),
                   static_cast<double>((1 << bits) - 1));
      const double error = std::abs(code - codes.codes[i]);
      // A moved code is the real number's own, but for its last bits.
      if (!(error <= (moves ? 0.01 : 1.0))) {
        return "value " + std::to_string(i) + " has the code " +
               std::to_string(codes.codes[i]) + ", expected " +
               std::to_string(code);
      }
    }
    return "";
  }

  caffe2::Workspace* const workspace_;
  std::map<std::string, const caffe2::OperatorDef*> fills_;
};

}  // namespace

std::string RunAndCompare(const caffe2::NetDef& init,
                          const caffe2::NetDef& predict,
                          caffe2::Workspace* workspace,
                          std::map<std::string, int>* operators) {
  CAFFE_ENFORCE(workspace->RunNetOnce(init));
  Emulator emulator(init, workspace);
  for (const caffe2::OperatorDef& op : predict.op()) {
    bool compared = false;
    const std::string finding = emulator.Run(op, &compared);
    if (!finding.empty()) return finding;
    if (compared) ++(*operators)[op.type()];
  }
  return "";
}

}  // namespace rewrite
}  // namespace caffe2_quantization
