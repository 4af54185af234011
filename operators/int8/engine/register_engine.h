// Registers an operator with the host under the engine ONEDNN: by its name and
// the engine's suffixes, which tell the type of its codes and its granularity.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_REGISTER_ENGINE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_REGISTER_ENGINE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// What the suffix of an engine's name says. An operator's definition does not
// tell it, since its engine is empty if a preference chose the engine.
struct EngineSuffix {
  explicit EngineSuffix(const std::string& suffix)
      : is_wide(suffix.size() >= 3 &&
                suffix.compare(suffix.size() - 3, 3, "_16") == 0),
        per_row(suffix.find("_ROWWISE") != std::string::npos) {}

  bool is_wide;  // codes of 16 bits
  bool per_row;  // weights have one parameter set per row
};

using EngineSuffixes = std::vector<std::string>;

// Op is constructed from (definition, workspace) or (definition, workspace,
// suffix).
template <typename Op>
void RegisterEngineKey(const std::string& name, const std::string& suffix) {
  const EngineSuffix kind(suffix);
  caffe2::CPUOperatorRegistry()->Register(
      name + "_ENGINE_ONEDNN" + suffix,
      [kind](const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace) {
        std::unique_ptr<caffe2::OperatorBase> op;
        if constexpr (std::is_constructible_v<Op, const caffe2::OperatorDef&,
                                              caffe2::Workspace*,
                                              EngineSuffix>) {
          op.reset(new Op(definition, workspace, kind));
        } else {
          op.reset(new Op(definition, workspace));
        }
        return op;
      },
      c10::REGISTRY_PREFERRED);
}

// Registers Op<uint16_t> under the suffixes that end in _16, and Op<uint8_t>
// under the others.
template <template <typename> class Op>
void RegisterEngine(const std::string& name, const EngineSuffixes& suffixes) {
  for (const std::string& suffix : suffixes) {
    if (EngineSuffix(suffix).is_wide) {
      RegisterEngineKey<Op<uint16_t>>(name, suffix);
    } else {
      RegisterEngineKey<Op<uint8_t>>(name, suffix);
    }
  }
}

// Registers an operator that has no codes of 16 bits.
template <typename Op>
void RegisterEngine(const std::string& name, const EngineSuffixes& suffixes) {
  for (const std::string& suffix : suffixes) {
    RegisterEngineKey<Op>(name, suffix);
  }
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_REGISTER_ENGINE_H_
