#include "workflow/weight_fills.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/return_if_error.h"
#include "base/text.h"
#include "caffe2/core/tensor.h"
#include "caffe2/core/workspace.h"
#include "netdef/net_inputs.h"
#include "netdef/predictor_file.h"
#include "rewrite/constants.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {
namespace {

using Names = std::set<std::string>;

bool IsRandomFill(const std::string& type) {
  static const char* const kTypes[] = {"GaussianFill",      "MSRAFill",
                                       "UniformFill",       "UniformIntFill",
                                       "UniqueUniformFill", "XavierFill"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) !=
         std::end(kTypes);
}

template <typename T, typename Add>
void FillValues(const caffe2::Tensor& tensor, Add add) {
  const T* const data = tensor.numel() == 0 ? nullptr : tensor.data<T>();
  for (int64_t i = 0; i < tensor.numel(); ++i) add(data[i]);
}

// The fill that makes a blob; none if there is no such fill of the host's.
std::optional<caffe2::OperatorDef> FillOf(const caffe2::Blob& blob,
                                          const std::string& name) {
  if (!caffe2::BlobIsTensorType(blob, caffe2::CPU)) return std::nullopt;
  const auto& tensor = blob.Get<caffe2::Tensor>();
  if (!tensor.storage_initialized() && tensor.numel() > 0) return std::nullopt;
  caffe2::OperatorDef fill;
  fill.add_output(name);
  caffe2::Argument* const shape = fill.add_arg();
  shape->set_name("shape");
  for (const int64_t dim : tensor.sizes()) shape->add_ints(dim);
  caffe2::Argument* const values = fill.add_arg();
  values->set_name("values");
  const auto add_int = [values](auto value) {
    values->add_ints(static_cast<int64_t>(value));
  };
  if (tensor.IsType<float>()) {
    fill.set_type("GivenTensorFill");
    values->mutable_floats()->Reserve(static_cast<int>(tensor.numel()));
    FillValues<float>(tensor, [&](float value) { values->add_floats(value); });
  } else if (tensor.IsType<int32_t>()) {
    fill.set_type("GivenTensorIntFill");
    FillValues<int32_t>(tensor, add_int);
  } else if (tensor.IsType<int64_t>()) {
    fill.set_type("GivenTensorInt64Fill");
    FillValues<int64_t>(tensor, add_int);
  } else if (tensor.IsType<bool>()) {
    fill.set_type("GivenTensorBoolFill");
    FillValues<bool>(tensor, add_int);
  } else if (tensor.IsType<std::string>()) {
    fill.set_type("GivenTensorStringFill");
    FillValues<std::string>(
        tensor, [&](const std::string& value) { values->add_strings(value); });
  } else {
    return std::nullopt;
  }
  return fill;
}

class Maker {
 public:
  // Run may take the net of *init.
  Maker(InitModel* init, const PredictModel& predict)
      : init_(*init), predict_(predict) {
    const std::vector<std::string> inputs = InputsOf(predict.net);
    wanted_.insert(inputs.begin(), inputs.end());
    for (int i = 0; i < init_.net.op_size(); ++i) {
      const caffe2::OperatorDef& op = init_.net.op(i);
      reads_.insert(op.input().begin(), op.input().end());
      for (const std::string& name : op.output()) makers_[name].push_back(i);
    }
  }

  Status Run(WeightFills* fills) {
    fills->init.set_name(init_.net.name());
    int run = 0;
    for (int i = 0; i < init_.net.op_size(); ++i) {
      const caffe2::OperatorDef& op = init_.net.op(i);
      if (rewrite::IsConstantFill(op)) continue;
      ++run;
      if (IsRandomFill(op.type())) {
        fills->is_random = true;
        random_.push_back(op.output_size() > 0 ? op.output(0) : op.type());
      }
    }
    const bool has_overwritten =
        std::any_of(makers_.begin(), makers_.end(),
                    [](const auto& maker) { return maker.second.size() > 1; });
    if (run == 0 && !has_overwritten && predict_.inputs.empty()) {
      fills->init = std::move(init_.net);  // it is such a net
      return Status::Ok();
    }
    RETURN_IF_ERROR(MakeWeights(init_, {}, &workspace_));
    RETURN_IF_ERROR(ChooseForms());
    for (int i = 0; i < init_.net.op_size(); ++i) {
      const caffe2::OperatorDef& op = init_.net.op(i);
      if (kept_.count(i) != 0) {
        *fills->init.add_op() = op;
        continue;
      }
      for (const std::string& name : op.output()) {
        const auto made = fills_.find(name);
        if (made == fills_.end() || makers_[name].back() != i) continue;
        *fills->init.add_op() = std::move(made->second);
        fills_.erase(made);
      }
    }
    if (run > 0) {
      fills->notes.push_back(
          std::to_string(run) + " of " + std::to_string(init_.net.op_size()) +
          " operators are no constant fills and were run once; the new init "
          "net holds what they made");
    }
    if (!random_.empty()) {
      fills->notes.push_back(
          std::to_string(random_.size()) + " operators draw random values ('" +
          random_[0] +
          "' …), which are others in every run; the int8 net has those of this "
          "one");
    }
    return Status::Ok();
  }

 private:
  // Whether the new init net has to make a blob: all but what is read within
  // the init net alone.
  bool IsWanted(const std::string& name) const {
    if (Contains(predict_.inputs, name)) return false;
    return wanted_.count(name) != 0 || reads_.count(name) == 0;
  }

  // Chooses for each blob whether its operators are kept or a fill is made.
  Status ChooseForms() {
    for (const auto& [name, ops] : makers_) {
      if (!IsWanted(name)) continue;
      if (ops.size() == 1 && rewrite::IsConstantFill(init_.net.op(ops[0]))) {
        kept_.insert(ops[0]);
        continue;
      }
      const caffe2::Blob* const blob = workspace_.GetBlob(name);
      if (blob == nullptr) continue;  // an optional output
      std::optional<caffe2::OperatorDef> fill = FillOf(*blob, name);
      if (fill.has_value()) {
        fills_.emplace(name, std::move(*fill));
        continue;
      }
      RETURN_IF_ERROR(Keep(name, blob->TypeName().data()));
    }
    return Status::Ok();
  }

  // Keeps the operators that make a blob, and those that make what they read.
  Status Keep(const std::string& name, const std::string& type) {
    std::vector<std::string> open = {name};
    Names seen(open.begin(), open.end());
    while (!open.empty()) {
      const std::string each = open.back();
      open.pop_back();
      const auto ops = makers_.find(each);
      if (ops == makers_.end()) continue;
      for (const int i : ops->second) {
        const caffe2::OperatorDef& op = init_.net.op(i);
        if (LoadsParameters(op)) {
          return Status::InvalidArgument(init_.path + ": parameter '" + name +
                                         "' is a " + type +
                                         ", expected a tensor of float, int, "
                                         "int64, bool or strings, which "
                                         "an init net can hold");
        }
        kept_.insert(i);
        for (const std::string& input : op.input()) {
          if (seen.insert(input).second) open.push_back(input);
        }
        for (const std::string& output : op.output()) fills_.erase(output);
      }
    }
    return Status::Ok();
  }

  InitModel& init_;
  const PredictModel& predict_;
  caffe2::Workspace workspace_;
  Names wanted_;  // that the predict net reads
  Names reads_;   // within the init net
  std::map<std::string, std::vector<int>> makers_;
  std::vector<std::string> random_;
  std::set<int> kept_;
  std::map<std::string, caffe2::OperatorDef> fills_;
};

}  // namespace

Status MakeWeightFills(InitModel init, const PredictModel& predict,
                       WeightFills* fills) {
  WeightFills made;
  RETURN_IF_ERROR(Maker(&init, predict).Run(&made));
  *fills = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
