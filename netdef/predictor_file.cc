#include "netdef/predictor_file.h"

#include <set>
#include <string_view>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/proto/metanet.pb.h"
#include "caffe2/proto/predictor_consts.pb.h"
#include "netdef/load_blobs.h"
#include "netdef/load_net.h"
#include "netdef/model_reader.h"
#include "serialization/minidb_reader.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {
namespace {

const caffe2::PredictorConsts& Names() {
  return caffe2::PredictorConsts::default_instance();
}

// "'A', 'B'", at most a few, or "none".
template <typename Entries>
std::string KeysOf(const Entries& entries) {
  constexpr int kMostShown = 8;
  std::string text;
  for (int i = 0; i < entries.size() && i < kMostShown; ++i) {
    text += (i > 0 ? ", '" : "'") + ShownKey(entries.Get(i).key()) + "'";
  }
  if (entries.size() > kMostShown) text += " …";
  return text.empty() ? "none" : text;
}

// Of several entries with one key the host takes the first.
template <typename Entries>
auto Find(const Entries& entries, const std::string& key)
    -> decltype(&entries.Get(0)) {
  for (const auto& entry : entries) {
    if (entry.key() == key) return &entry;
  }
  return nullptr;
}

// Finds the record of that key and reads its MetaNetDef. An error does not name
// the file, unless the file cannot be read.
Status ReadMetaNetDef(InputFile* file, caffe2::MetaNetDef* meta) {
  const std::string& key = MetaNetDefKey();
  const std::string place = "record '" + key + "'";
  MinidbReader reader(file);
  MinidbRecord record;
  for (;;) {
    if (reader.AtEnd()) {
      return Status::Corruption("there is no " + place +
                                ", expected the one with a predictor's nets");
    }
    RETURN_IF_ERROR(reader.Peek(&record));
    if (record.key == key) break;
    RETURN_IF_ERROR(reader.Skip());
  }
  RETURN_IF_ERROR(reader.Next(&record));
  const MessageScan scan =
      ScanMessage(schema::kBlobProto, place, record.value.data(),
                  record.value.size(), record.value_offset);
  if (scan.broken) return Status::Corruption(scan.fault.ToString());
  caffe2::BlobProto blob;
  if (record.value.size() > kMaxMessageBytes ||
      !blob.ParsePartialFromArray(record.value.data(),
                                  static_cast<int>(record.value.size())) ||
      !blob.IsInitialized()) {
    return Status::Corruption(place + ": found " +
                              std::to_string(record.value.size()) +
                              " bytes that are no BlobProto, expected one");
  }
  if (blob.type() != "std::string" || !blob.has_content()) {
    return Status::Corruption(place + ": found a blob of the type '" +
                              ShownKey(blob.type()) + "'" +
                              (blob.has_content() ? "" : " without content") +
                              ", expected a std::string with a MetaNetDef");
  }
  const std::string& content = blob.content();
  const MessageScan inner = ScanMessage(schema::kMetaNetDef, "MetaNetDef",
                                        content.data(), content.size());
  if (inner.broken) {
    return Status::Corruption(place + ": in its content " +
                              inner.fault.ToString());
  }
  // Not by ParseFromString, which prints to the terminal what is missing.
  if (!meta->ParsePartialFromString(content) || !meta->IsInitialized()) {
    return Status::Corruption(place + ": found " +
                              std::to_string(content.size()) +
                              " bytes that are no MetaNetDef, expected one");
  }
  return Status::Ok();
}

// What the exporter appends to its keys: "" or "_NAME".
Status FindSuffix(const caffe2::MetaNetDef& meta, std::string* suffix) {
  const std::string& key = Names().predict_net_type();
  std::vector<std::string> names;
  for (const auto& entry : meta.nets()) {
    if (entry.key() == key) {
      suffix->clear();
      return Status::Ok();
    }
    if (entry.key().compare(0, key.size() + 1, key + '_') == 0) {
      names.push_back(entry.key().substr(key.size()));
    }
  }
  if (names.size() == 1) {
    *suffix = names[0];
    return Status::Ok();
  }
  return Status::Corruption(
      "found " + std::to_string(names.size()) + " nets '" + key +
      "' in its MetaNetDef, expected one; its nets are: " +
      KeysOf(meta.nets()) +
      (meta.plans_size() > 0
           ? "; its plans, which are not read, are: " + KeysOf(meta.plans())
           : ""));
}

Status TakeNet(const caffe2::MetaNetDef& meta, const std::string& key,
               bool is_needed, caffe2::NetDef* net) {
  const auto* entry = Find(meta.nets(), key);
  if (entry == nullptr && !is_needed) return Status::Ok();
  const std::string subject = "net '" + ShownKey(key) + "'";
  if (entry == nullptr) {
    return Status::Corruption("there is no " + subject +
                              "; its nets are: " + KeysOf(meta.nets()));
  }
  const Status status = CheckOperators(entry->value());
  if (!status.ok()) {
    return Status::Corruption(subject + ": " + status.message());
  }
  if (is_needed && entry->value().op_size() == 0) {
    return Status::Corruption(subject + " has no operators, expected some");
  }
  *net = entry->value();
  return Status::Ok();
}

std::vector<std::string> TakeNames(const caffe2::MetaNetDef& meta,
                                   const std::string& key) {
  const auto* entry = Find(meta.blobs(), key);
  if (entry == nullptr) return {};
  return {entry->value().begin(), entry->value().end()};
}

Status Read(const std::string& path, Predictor* predictor) {
  InputFile file;
  RETURN_IF_ERROR(file.Open(path));
  caffe2::MetaNetDef meta;
  RETURN_IF_ERROR(ReadMetaNetDef(&file, &meta));
  std::string suffix;
  RETURN_IF_ERROR(FindSuffix(meta, &suffix));
  RETURN_IF_ERROR(TakeNet(meta, Names().predict_net_type() + suffix, true,
                          &predictor->predict));
  RETURN_IF_ERROR(TakeNet(meta, Names().global_init_net_type() + suffix, false,
                          &predictor->global_init));
  RETURN_IF_ERROR(TakeNet(meta, Names().predict_init_net_type() + suffix, false,
                          &predictor->predict_init));
  predictor->inputs = TakeNames(meta, Names().inputs_blob_type() + suffix);
  predictor->outputs = TakeNames(meta, Names().outputs_blob_type() + suffix);
  predictor->parameters =
      TakeNames(meta, Names().parameters_blob_type() + suffix);
  // What the net loads and the list lacks.
  std::set<std::string> known(predictor->parameters.begin(),
                              predictor->parameters.end());
  for (const caffe2::OperatorDef& op : predictor->global_init.op()) {
    if (!LoadsParameters(op)) continue;
    for (const std::string& name : op.output()) {
      if (known.insert(name).second) predictor->parameters.push_back(name);
    }
  }
  return Status::Ok();
}

}  // namespace

const std::string& MetaNetDefKey() { return Names().meta_net_def(); }

const std::string& PredictorReaderBlob() {
  return Names().predictor_dbreader();
}

bool LoadsParameters(const caffe2::OperatorDef& op) {
  return op.type() == "Load" && op.input_size() == 1 &&
         op.input(0) == PredictorReaderBlob();
}

Status ReadPredictor(const std::string& path, Predictor* predictor) {
  Predictor read;
  const Status status = Read(path, &read);
  if (!status.ok()) {
    return status.kind() == Status::Kind::kIoError
               ? status
               : Status::Corruption(path + ": " + status.message());
  }
  *predictor = std::move(read);
  return Status::Ok();
}

}  // namespace caffe2_quantization
