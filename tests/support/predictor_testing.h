// Predictors in memory, as the host's predictor_exporter writes them to a
// minidb, for tests that break them.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_PREDICTOR_TESTING_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_PREDICTOR_TESTING_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/proto/metanet.pb.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {

inline std::string MinidbBytes(
    const std::vector<std::pair<std::string, std::string>>& records) {
  std::string bytes;
  for (const auto& [key, value] : records) {
    for (const std::size_t size : {key.size(), value.size()}) {
      for (int shift = 0; shift < 32; shift += 8) {
        bytes += static_cast<char>(static_cast<uint32_t>(size) >> shift);
      }
    }
    bytes += key + value;
  }
  return bytes;
}

// The BlobProto of a float tensor, or of the elements [begin, end) of one.
inline caffe2::BlobProto FloatBlob(const std::string& name,
                                   const std::vector<int64_t>& dims,
                                   const std::vector<float>& values,
                                   int64_t begin = -1) {
  caffe2::BlobProto blob;
  blob.set_name(name);
  blob.set_type("Tensor");
  caffe2::TensorProto* tensor = blob.mutable_tensor();
  tensor->set_name(name);
  tensor->set_data_type(caffe2::TensorProto_DataType_FLOAT);
  for (const int64_t dim : dims) tensor->add_dims(dim);
  for (const float value : values) tensor->add_float_data(value);
  if (begin >= 0) {
    tensor->mutable_segment()->set_begin(begin);
    tensor->mutable_segment()->set_end(begin +
                                       static_cast<int64_t>(values.size()));
  }
  return blob;
}

// y = w * x over rows of two, with w = (1, 2). The zeros that hold the places
// of x and y have another shape than the data.
struct PredictorParts {
  explicit PredictorParts(const std::string& suffix = "") {
    NetBuilder predict("pick", "simple");
    predict.Op("Mul", {"x", "w"}, {"y"}).Int("broadcast", 1);
    predict.Input("x").Input("w");
    caffe2::NetDef predict_net = predict.Build();
    predict_net.add_external_output("y");
    NetBuilder global("global-init", "simple");
    global.Op("Load", {"!!PREDICTOR_DBREADER"}, {"w"});
    NetBuilder init("predict-init", "simple");
    init.Op("ConstantFill", {}, {"x"}).Ints("shape", {1, 2});
    init.Op("ConstantFill", {}, {"y"}).Ints("shape", {1, 2});
    AddNet("PREDICT_INIT_NET_TYPE" + suffix, init.Build());
    AddNet("GLOBAL_INIT_NET_TYPE" + suffix, global.Build());
    AddNet("PREDICT_NET_TYPE" + suffix, predict_net);
    AddBlobs("PARAMETERS_BLOB_TYPE" + suffix, {"w"});
    AddBlobs("INPUTS_BLOB_TYPE" + suffix, {"x"});
    AddBlobs("OUTPUTS_BLOB_TYPE" + suffix, {"y"});
    records.emplace_back("w", FloatBlob("w", {2}, {1, 2}).SerializeAsString());
  }

  void AddNet(const std::string& key, const caffe2::NetDef& net) {
    auto* entry = meta.add_nets();
    entry->set_key(key);
    *entry->mutable_value() = net;
  }
  void AddBlobs(const std::string& key, const std::vector<std::string>& names) {
    auto* entry = meta.add_blobs();
    entry->set_key(key);
    for (const std::string& name : names) entry->add_value(name);
  }
  caffe2::NetDef* Net(const std::string& key) {
    for (auto& entry : *meta.mutable_nets()) {
      if (entry.key() == key) return entry.mutable_value();
    }
    return nullptr;
  }

  // The record of the MetaNetDef comes first, as Save writes it.
  std::string Bytes() const {
    caffe2::BlobProto blob;
    blob.set_name("!!META_NET_DEF");
    blob.set_type("std::string");
    blob.set_content(meta.SerializeAsString());
    auto all = records;
    all.emplace(all.begin(), "!!META_NET_DEF", blob.SerializeAsString());
    return MinidbBytes(all);
  }

  caffe2::MetaNetDef meta;
  std::vector<std::pair<std::string, std::string>> records;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_PREDICTOR_TESTING_H_
