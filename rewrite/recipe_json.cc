#include "rewrite/recipe_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "base/nearest_name.h"
#include "base/return_if_error.h"
#include "base/text.h"
#include "base/utf8_text.h"
#include "profiles/message_json.h"
#include "proto/recipe.pb.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

namespace pb = google::protobuf;

constexpr uint32_t kFormatVersion = 1;
constexpr char kInt8Decision[] = "int8";
constexpr char kFloatDecision[] = "float";

// ---- JSON -------------------------------------------------------------------

Status ToJson(const pb::Message& message, std::string* json) {
  std::string made;
  RETURN_IF_ERROR(MessageToJson(message.GetDescriptor(),
                                message.SerializeAsString(), /*pretty=*/true,
                                &made));
  if (made.size() > kMostRecipeBytes) {
    return Status::OutOfRange(
        "a recipe or report of " + std::to_string(made.size()) +
        " bytes, expected " + std::to_string(kMostRecipeBytes) + " at most");
  }
  *json = std::move(made);
  return Status::Ok();
}

Status FromJson(const std::string& json, bool ignore_unknown,
                RecipeProto* recipe) {
  std::string bytes;
  const Status status =
      JsonToMessage(RecipeProto::descriptor(), json, ignore_unknown, &bytes);
  if (!status.ok()) return Status::Corruption("recipe: " + status.message());
  return recipe->ParseFromString(bytes)
             ? Status::Ok()
             : Status::Corruption(
                   "recipe: JSON of no message that protobuf "
                   "can read");
}

// ---- To messages ------------------------------------------------------------

void Fill(const QuantizeOptions& options, QuantizeOptionsProto* proto) {
  proto->set_engine(options.engine);
  proto->set_per_channel(options.per_channel);
  proto->set_activation_method(Name(options.activation_method));
  proto->set_activation_percentile(options.activation_percentile);
  proto->set_activation_bits(static_cast<uint32_t>(options.activation_bits));
  proto->set_weight_method(Name(options.weight_method));
  proto->set_weight_percentile(options.weight_percentile);
  proto->set_weight_bits(static_cast<uint32_t>(options.weight_bits));
  for (const std::string& each : options.keep_float) {
    proto->add_keep_float(ValidUtf8(each));
  }
  for (const std::string& each : options.only) proto->add_only(ValidUtf8(each));
  proto->set_int8_io(options.int8_io);
}

void Fill(const OperatorChoice& choice, OperatorDecisionProto* proto) {
  proto->set_op_index(static_cast<uint32_t>(choice.op_index));
  proto->set_op_type(ValidUtf8(choice.type));
  if (!choice.name.empty()) proto->set_name(ValidUtf8(choice.name));
  if (!choice.output.empty()) proto->set_output(ValidUtf8(choice.output));
  proto->set_decision(choice.is_int8 ? kInt8Decision : kFloatDecision);
  proto->set_reason(Name(choice.decision.reason));
  if (!choice.decision.detail.empty()) {
    proto->set_detail(ValidUtf8(choice.decision.detail));
  }
  if (choice.folded_into >= 0) {
    proto->set_folded_into(static_cast<uint32_t>(choice.folded_into));
  }
  if (!choice.decision.made.empty()) proto->set_made(choice.decision.made);
}

void Fill(const TensorChoice8& tensor, TensorParametersProto* proto) {
  if (tensor.op_index >= 0) {
    proto->set_op_index(static_cast<uint32_t>(tensor.op_index));
    proto->set_output_index(static_cast<uint32_t>(tensor.output_index));
  }
  proto->set_name(ValidUtf8(tensor.name));
  if (!tensor.type.empty()) proto->set_type(ValidUtf8(tensor.type));
  if (tensor.has_shape) {
    TensorSizesProto* const shape = proto->mutable_shape();
    for (const int64_t dim : tensor.shape) shape->add_dims(dim);
  }
  if (!tensor.is_int8) return;
  proto->set_scale(static_cast<double>(tensor.parameters.scale));
  proto->set_zero_point(tensor.parameters.zero_point);
}

// ---- From messages ----------------------------------------------------------

Status Wrong(const std::string& what) {
  return Status::Corruption("recipe: " + what);
}

Status CheckVersion(const RecipeProto& proto) {
  if (!proto.has_format_version()) {
    return Wrong("no format_version, expected a recipe");
  }
  if (proto.format_version() != kFormatVersion) {
    return Wrong("format version " + std::to_string(proto.format_version()) +
                 ", this program reads " + std::to_string(kFormatVersion));
  }
  return Status::Ok();
}

// All singular fields of a message that are not among `optional` are there.
Status CheckFields(const pb::Message& message, const std::string& where,
                   const std::set<std::string>& optional) {
  const pb::Descriptor* const type = message.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const pb::FieldDescriptor* const field = type->field(i);
    if (field->is_repeated() || optional.count(field->name()) != 0) continue;
    if (!message.GetReflection()->HasField(message, field)) {
      return Wrong("no " + field->name() + (where.empty() ? "" : " of ") +
                   where);
    }
  }
  return Status::Ok();
}

Status ReadMethod(const std::string& field, const std::string& name,
                  double percentile, ChooseMethod* method, double* into) {
  const Status status = ChooseMethodFromName(name, method, nullptr);
  if (!status.ok()) return Wrong("options: " + field + ": " + status.message());
  if (!(percentile > 0) || !(percentile <= 1)) {
    return Wrong("options: the percentile of " + field + " is " +
                 ShortestText(percentile) + ", expected one above 0, up to 1");
  }
  *into = percentile;
  return Status::Ok();
}

Status Read(const QuantizeOptionsProto& proto, QuantizeOptions* options) {
  RETURN_IF_ERROR(CheckFields(proto, "options", {}));
  options->engine = proto.engine();
  options->per_channel = proto.per_channel();
  RETURN_IF_ERROR(ReadMethod("activation_method", proto.activation_method(),
                             proto.activation_percentile(),
                             &options->activation_method,
                             &options->activation_percentile));
  RETURN_IF_ERROR(ReadMethod("weight_method", proto.weight_method(),
                             proto.weight_percentile(), &options->weight_method,
                             &options->weight_percentile));
  for (const auto& [field, bits] :
       {std::pair<const char*, uint32_t>("activation_bits",
                                         proto.activation_bits()),
        {"weight_bits", proto.weight_bits()}}) {
    if (bits < 2 || bits > 8) {
      return Wrong("options: " + std::string(field) + " is " +
                   std::to_string(bits) + ", expected 2 to 8");
    }
  }
  options->activation_bits = static_cast<int>(proto.activation_bits());
  options->weight_bits = static_cast<int>(proto.weight_bits());
  options->keep_float.assign(proto.keep_float().begin(),
                             proto.keep_float().end());
  options->only.assign(proto.only().begin(), proto.only().end());
  options->int8_io = proto.int8_io();
  return Status::Ok();
}

Status Read(const OperatorDecisionProto& proto, int index, int count,
            OperatorChoice* choice) {
  const std::string where = "operator " + std::to_string(index);
  RETURN_IF_ERROR(CheckFields(
      proto, where, {"name", "output", "detail", "folded_into", "made"}));
  if (proto.op_index() != static_cast<uint32_t>(index)) {
    return Wrong("op_index is " + std::to_string(proto.op_index()) +
                 " where operator " + std::to_string(index) +
                 " is expected: all are there, in order");
  }
  if (proto.decision() != kInt8Decision && proto.decision() != kFloatDecision) {
    return Wrong(where + ": decision is '" + proto.decision().substr(0, 64) +
                 "', expected int8 or float");
  }
  choice->op_index = index;
  choice->type = proto.op_type();
  choice->name = proto.name();
  choice->output = proto.output();
  choice->is_int8 = proto.decision() == kInt8Decision;
  Reason& reason = choice->decision.reason;
  const Status status = ReasonFromName(proto.reason(), &reason);
  if (!status.ok()) return Wrong(where + ": " + status.message());
  choice->decision.detail = proto.detail();
  choice->decision.made = proto.made();
  if (proto.has_folded_into()) {
    if (proto.folded_into() >= static_cast<uint32_t>(count)) {
      return Wrong(where + ": folded_into is " +
                   std::to_string(proto.folded_into()) + ", expected one of " +
                   std::to_string(count) + " operators");
    }
    choice->folded_into = static_cast<int>(proto.folded_into());
  }
  // What a user has changed.
  if (choice->is_int8 && reason != Reason::kInt8 && reason != Reason::kFolded) {
    choice->decision = Decision{Reason::kInt8, "", ""};
  } else if (!choice->is_int8 && reason == Reason::kInt8) {
    choice->decision = Decision{Reason::kRecipe, "", ""};
  }
  return Status::Ok();
}

Status Read(const TensorParametersProto& proto, int index, int operators,
            TensorChoice8* tensor) {
  const std::string where = "tensor " + std::to_string(index) + " ('" +
                            proto.name().substr(0, 64) + "')";
  RETURN_IF_ERROR(CheckFields(
      proto, where,
      {"op_index", "output_index", "type", "shape", "scale", "zero_point"}));
  if (proto.has_op_index() != proto.has_output_index()) {
    return Wrong(where + ": op_index and output_index, expected both or none");
  }
  if (proto.has_op_index()) {
    if (proto.op_index() >= static_cast<uint32_t>(operators) ||
        proto.output_index() >
            static_cast<uint32_t>(std::numeric_limits<int>::max())) {
      return Wrong(where + ": output " + std::to_string(proto.output_index()) +
                   " of operator " + std::to_string(proto.op_index()) +
                   ", expected one of " + std::to_string(operators) +
                   " operators");
    }
    tensor->op_index = static_cast<int>(proto.op_index());
    tensor->output_index = static_cast<int>(proto.output_index());
  }
  tensor->name = proto.name();
  tensor->type = proto.type();
  tensor->has_shape = proto.has_shape();
  for (const int64_t dim : proto.shape().dims()) {
    if (dim < -1) {
      return Wrong(where + ": a size of " + std::to_string(dim) +
                   ", expected 0 or more, or -1 where it varies");
    }
    tensor->shape.push_back(dim);
  }
  if (proto.has_scale() != proto.has_zero_point()) {
    return Wrong(where + ": scale and zero_point, expected both or none");
  }
  if (!proto.has_scale()) return Status::Ok();
  tensor->is_int8 = true;
  tensor->parameters.scale = static_cast<float>(proto.scale());
  tensor->parameters.zero_point = proto.zero_point();
  if (!std::isnormal(tensor->parameters.scale) ||
      !(tensor->parameters.scale > 0)) {
    return Wrong(where + ": scale is " + ShortestText(proto.scale()) +
                 ", expected a normal float above 0");
  }
  if (proto.zero_point() < 0 || proto.zero_point() > 255) {
    return Wrong(where + ": zero_point is " +
                 std::to_string(proto.zero_point()) + ", expected 0 to 255");
  }
  return Status::Ok();
}

Status Read(const RecipeProto& proto, Recipe* recipe) {
  RETURN_IF_ERROR(CheckVersion(proto));
  RETURN_IF_ERROR(CheckFields(proto, "", {}));
  RETURN_IF_ERROR(Read(proto.options(), &recipe->options));
  recipe->net_hash = proto.net_hash();
  if (recipe->net_hash.size() != 32 ||
      recipe->net_hash.find_first_not_of("0123456789abcdef") !=
          std::string::npos) {
    return Wrong("net_hash is '" + recipe->net_hash.substr(0, 64) +
                 "', expected 32 hexadecimal digits");
  }
  const int count = proto.operators_size();
  for (int i = 0; i < count; ++i) {
    recipe->operators.emplace_back();
    RETURN_IF_ERROR(
        Read(proto.operators(i), i, count, &recipe->operators.back()));
  }
  std::set<std::tuple<int, int, std::string>> seen;
  for (int i = 0; i < proto.tensors_size(); ++i) {
    TensorChoice8 tensor;
    RETURN_IF_ERROR(Read(proto.tensors(i), i, count, &tensor));
    const std::string key = tensor.op_index < 0 ? tensor.name : "";
    if (!seen.emplace(tensor.op_index, tensor.output_index, key).second) {
      return Wrong("tensor '" + tensor.name.substr(0, 64) +
                   "' is there twice, expected once");
    }
    recipe->tensors.push_back(std::move(tensor));
  }
  return Status::Ok();
}

}  // namespace

Status RecipeToJson(const Recipe& recipe, std::string* json) {
  RecipeProto proto;
  proto.set_format_version(kFormatVersion);
  Fill(recipe.options, proto.mutable_options());
  proto.set_net_hash(recipe.net_hash);
  for (const OperatorChoice& choice : recipe.operators) {
    Fill(choice, proto.add_operators());
  }
  for (const TensorChoice8& tensor : recipe.tensors) {
    Fill(tensor, proto.add_tensors());
  }
  return ToJson(proto, json);
}

Status RecipeFromJson(const std::string& json, Recipe* recipe) {
  if (json.size() > kMostRecipeBytes) {
    return Status::OutOfRange("recipe: " + std::to_string(json.size()) +
                              " bytes, expected " +
                              std::to_string(kMostRecipeBytes) + " at most");
  }
  RecipeProto proto;
  const Status status = FromJson(json, false, &proto);
  if (!status.ok()) {
    // A later version may have fields that this one does not know: say that.
    RecipeProto known;
    if (FromJson(json, true, &known).ok()) RETURN_IF_ERROR(CheckVersion(known));
    return status;
  }
  Recipe made;
  RETURN_IF_ERROR(Read(proto, &made));
  *recipe = std::move(made);
  return Status::Ok();
}

Status ReportToJson(const QuantizedNets& nets,
                    const std::vector<std::string>& notes, std::string* json) {
  QuantizeReportProto proto;
  proto.set_format_version(kFormatVersion);
  proto.set_net_name(ValidUtf8(nets.predict.name()));
  proto.set_net_hash(nets.recipe.net_hash);
  Fill(nets.recipe.options, proto.mutable_options());
  std::map<Reason, uint32_t> counts;
  for (const OperatorChoice& choice : nets.recipe.operators) {
    Fill(choice, proto.add_operators());
    ++counts[choice.decision.reason];
  }
  std::vector<std::pair<Reason, uint32_t>> reasons(counts.begin(),
                                                   counts.end());
  std::stable_sort(
      reasons.begin(), reasons.end(),
      [](const auto& a, const auto& b) { return a.second > b.second; });
  for (const auto& [reason, operators] : reasons) {
    ReasonCountProto* const row = proto.add_reasons();
    row->set_reason(Name(reason));
    row->set_explanation(Explanation(reason));
    row->set_operators(operators);
  }
  for (const TensorChoice8& tensor : nets.recipe.tensors) {
    if (!tensor.is_int8) continue;
    TensorReportProto* const row = proto.add_tensors();
    Fill(tensor, row->mutable_tensor());
    if (tensor.has_range) {
      row->set_min(tensor.min);
      row->set_max(tensor.max);
      row->set_clipped_share(tensor.clipped_share);
    }
    if (!tensor.warning.empty()) row->set_warning(ValidUtf8(tensor.warning));
  }
  for (const auto& [name, count] : nets.operator_counts) {
    OperatorCountProto* const row = proto.add_operator_counts();
    // "Type (ENGINE)"
    const std::size_t space = name.rfind(" (");
    row->set_op_type(ValidUtf8(name.substr(0, space)));
    if (space != std::string::npos) {
      row->set_engine(
          ValidUtf8(name.substr(space + 2, name.size() - space - 3)));
    }
    row->set_operators(static_cast<uint32_t>(count));
  }
  proto.set_float_bytes(nets.float_bytes);
  proto.set_int8_bytes(nets.int8_bytes);
  for (const std::string& warning : nets.warnings) {
    proto.add_warnings(ValidUtf8(warning));
  }
  for (const std::string& note : notes) proto.add_notes(ValidUtf8(note));
  return ToJson(proto, json);
}

}  // namespace rewrite
}  // namespace caffe2_quantization
