#include "netdef/operator_keys.h"

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

bool HasOperator(const std::string& key) {
  auto* const registry = caffe2::CPUOperatorRegistry();
  if (!registry->Has(key)) return false;
  const char* const help = registry->HelpMessage(key);
  return help == nullptr || std::string(help) != kRefusedKey;
}

}  // namespace caffe2_quantization
