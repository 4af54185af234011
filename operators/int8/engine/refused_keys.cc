#include "operators/int8/engine/refused_keys.h"

#include <memory>
#include <sstream>
#include <vector>

#include "caffe2/core/operator.h"
#include "netdef/operator_keys.h"

namespace caffe2_quantization {
namespace {

constexpr const char* kSuffixes[] = {"", "_ACC16", "_ROWWISE", "_16",
                                     "_ROWWISE_16"};

constexpr const char* kNames[] = {
#define OPERATOR(name) #name,
#include "operators/int8/refused_list.inc"
#undef OPERATOR
};

// Written while the plugin is loaded, and never destroyed: nets are made while
// the process exits, too.
std::set<std::string>& MutableRefusedKeys() {
  static auto* const keys = new std::set<std::string>;
  return *keys;
}

std::string Key(const std::string& name, const std::string& engine) {
  return caffe2::OpRegistryKey(name, engine);
}

bool Has(const std::string& key) {
  return caffe2::CPUOperatorRegistry()->Has(key) &&
         MutableRefusedKeys().count(key) == 0;
}

// The engines of ours that have the operator: "ONEDNN, ONEDNN_ACC16".
std::string EnginesOf(const std::string& name) {
  std::string engines;
  for (const char* suffix : kSuffixes) {
    const std::string engine = std::string("ONEDNN") + suffix;
    if (!Has(Key(name, engine))) continue;
    engines += (engines.empty() ? "" : ", ") + engine;
  }
  return engines;
}

// Whether the definition's list of engines goes on, after `engine`, with one
// that has the operator.
bool GoesOn(const caffe2::OperatorDef& definition, const std::string& engine) {
  std::istringstream engines(definition.engine());
  std::string each;
  bool is_after = false;
  while (std::getline(engines, each, ',')) {
    if (is_after && Has(Key(definition.type(), each))) return true;
    is_after = is_after || each == engine;
  }
  return false;
}

void Refuse(const caffe2::OperatorDef& definition, const std::string& engine) {
  const std::string& name = definition.type();
  if (GoesOn(definition, engine)) {
    throw caffe2::UnsupportedOperatorFeature(name + " is not in " + engine);
  }
  const std::string engines = EnginesOf(name);
  if (!engines.empty()) {
    CAFFE_THROW(name, ": the engine ", engine,
                " does not have it, expected one of ", engines,
                "; or the engine DEFAULT, if the host's own operator of "
                "QNNPACK is wanted");
  }
  CAFFE_THROW(name, ": the engine ", engine,
              " does not have it, expected Int8Dequantize and the float "
              "operator in its place; or the engine DEFAULT, if the host's own "
              "operator of QNNPACK is wanted");
}

}  // namespace

void RegisterRefusedKeys() {
  for (const std::string name : kNames) {
    for (const char* suffix : kSuffixes) {
      const std::string engine = std::string("ONEDNN") + suffix;
      const std::string key = Key(name, engine);
      if (Has(key)) continue;
      caffe2::CPUOperatorRegistry()->Register(
          key,
          [engine](const caffe2::OperatorDef& definition, caffe2::Workspace*) {
            Refuse(definition, engine);
            return std::unique_ptr<caffe2::OperatorBase>();
          },
          kRefusedKey, c10::REGISTRY_PREFERRED);
      MutableRefusedKeys().insert(key);
    }
  }
}

const std::set<std::string>& RefusedKeys() { return MutableRefusedKeys(); }

}  // namespace caffe2_quantization
