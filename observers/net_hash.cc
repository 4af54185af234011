#include "observers/net_hash.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "caffe2/proto/caffe2_pb.h"

static_assert(XXH_VERSION_NUMBER >= 800, "XXH3 is stable from xxHash 0.8.0 on");

namespace caffe2_quantization {
namespace {

class Hasher {
 public:
  Hasher() : state_(XXH3_createState(), XXH3_freeState) {
    XXH3_128bits_reset(state_.get());
  }

  // Sizes go before contents: no two lists of strings look alike.
  void Add(uint64_t size) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; ++i) {
      bytes[i] = static_cast<unsigned char>(size >> (8 * i));
    }
    XXH3_128bits_update(state_.get(), bytes, sizeof(bytes));
  }

  void Add(const std::string& text) {
    Add(static_cast<uint64_t>(text.size()));
    XXH3_128bits_update(state_.get(), text.data(), text.size());
  }

  template <typename Strings>
  void AddAll(const Strings& strings) {
    Add(static_cast<uint64_t>(strings.size()));
    for (const std::string& text : strings) Add(text);
  }

  std::string Hex() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state_.get()));
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : canonical.digest) {
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

void AddNet(const caffe2::NetDef& net, Hasher* hasher);

void AddArgument(const caffe2::Argument& argument, Hasher* hasher) {
  // Nets within are hashed as nets are, all else as its bytes.
  if (!argument.has_n() && argument.nets_size() == 0) {
    hasher->Add(argument.SerializeAsString());
    return;
  }
  caffe2::Argument rest = argument;
  rest.clear_n();
  rest.clear_nets();
  hasher->Add(rest.SerializeAsString());
  hasher->Add(argument.has_n() ? 1 : 0);
  if (argument.has_n()) AddNet(argument.n(), hasher);
  hasher->Add(static_cast<uint64_t>(argument.nets_size()));
  for (const caffe2::NetDef& net : argument.nets()) AddNet(net, hasher);
}

void AddOperator(const caffe2::OperatorDef& op, Hasher* hasher) {
  hasher->Add(op.type());
  hasher->AddAll(op.input());
  hasher->AddAll(op.output());
  std::vector<const caffe2::Argument*> arguments;
  for (const caffe2::Argument& argument : op.arg()) {
    arguments.push_back(&argument);
  }
  std::stable_sort(arguments.begin(), arguments.end(),
                   [](const caffe2::Argument* a, const caffe2::Argument* b) {
                     return a->name() < b->name();
                   });
  hasher->Add(static_cast<uint64_t>(arguments.size()));
  for (const caffe2::Argument* argument : arguments) {
    AddArgument(*argument, hasher);
  }
}

void AddNet(const caffe2::NetDef& net, Hasher* hasher) {
  hasher->Add(static_cast<uint64_t>(net.op_size()));
  for (const caffe2::OperatorDef& op : net.op()) AddOperator(op, hasher);
  hasher->AddAll(net.external_input());
  hasher->AddAll(net.external_output());
}

}  // namespace

std::string NetHash(const caffe2::NetDef& net) {
  Hasher hasher;
  AddNet(net, &hasher);
  return hasher.Hex();
}

}  // namespace caffe2_quantization
