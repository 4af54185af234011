// Small nets and blobs for tests, with as little ceremony as possible.
//   NetBuilder net("n", "simple");
//   net.Op("Split", {"x"}, {"a", "b"}).Int("axis", 0);
//   workspace.CreateNet(net.Build());
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_NET_BUILDER_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_NET_BUILDER_H_

#include <algorithm>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/workspace.h"
#include "caffe2/utils/proto_utils.h"

namespace caffe2_quantization {

// Adds arguments to one operator. Holds on to it for one statement only.
class OpBuilder {
 public:
  explicit OpBuilder(caffe2::OperatorDef* op) : op_(op) {}
  OpBuilder(caffe2::OperatorDef* op, const std::string& type,
            const std::vector<std::string>& inputs,
            const std::vector<std::string>& outputs)
      : op_(op) {
    op_->set_type(type);
    for (const auto& name : inputs) op_->add_input(name);
    for (const auto& name : outputs) op_->add_output(name);
  }

  OpBuilder& Int(const std::string& name, int64_t value) {
    return Set(name, value);
  }
  OpBuilder& Float(const std::string& name, float value) {
    return Set(name, value);
  }
  OpBuilder& String(const std::string& name, const std::string& value) {
    return Set(name, value);
  }
  OpBuilder& Ints(const std::string& name, const std::vector<int64_t>& values) {
    return Set(name, values);
  }
  OpBuilder& Floats(const std::string& name, const std::vector<float>& values) {
    return Set(name, values);
  }
  OpBuilder& Strings(const std::string& name,
                     const std::vector<std::string>& values) {
    return Set(name, values);
  }

 private:
  template <typename T>
  OpBuilder& Set(const std::string& name, const T& value) {
    *op_->add_arg() = caffe2::MakeArgument(name, value);
    return *this;
  }

  caffe2::OperatorDef* op_;
};

class NetBuilder {
 public:
  NetBuilder(const std::string& name, const std::string& type) {
    net_.set_name(name);
    net_.set_type(type);
    net_.set_num_workers(2);
  }
  OpBuilder Op(const std::string& type, const std::vector<std::string>& inputs,
               const std::vector<std::string>& outputs) {
    return OpBuilder(net_.add_op(), type, inputs, outputs);
  }
  NetBuilder& Input(const std::string& name) {
    net_.add_external_input(name);
    return *this;
  }
  const caffe2::NetDef& Build() const { return net_; }
  // The operator that was added last.
  caffe2::OperatorDef* LastOp() { return net_.mutable_op(net_.op_size() - 1); }

 private:
  caffe2::NetDef net_;
};

// Puts a tensor into the workspace: one dimension unless `shape` says more.
template <typename T>
void Feed(caffe2::Workspace* workspace, const std::string& name,
          const std::vector<T>& values, std::vector<int64_t> shape = {}) {
  if (shape.empty()) shape = {static_cast<int64_t>(values.size())};
  auto* tensor = caffe2::BlobGetMutableTensor(workspace->CreateBlob(name),
                                              shape, at::dtype<T>());
  std::copy(values.begin(), values.end(), tensor->template mutable_data<T>());
}

inline void FeedFloats(caffe2::Workspace* workspace, const std::string& name,
                       const std::vector<float>& values,
                       std::vector<int64_t> shape = {}) {
  Feed<float>(workspace, name, values, std::move(shape));
}

// The elements of a tensor blob.
template <typename T>
std::vector<T> Fetch(const caffe2::Workspace& workspace,
                     const std::string& name) {
  const auto& tensor = workspace.GetBlob(name)->Get<caffe2::Tensor>();
  const T* data = tensor.data<T>();
  return std::vector<T>(data, data + tensor.numel());
}

// The message of the exception that `call` throws; "" when it throws none.
template <typename Call>
std::string ErrorOf(const Call& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_NET_BUILDER_H_
