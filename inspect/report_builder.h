// Builds the lists and faults of an inspection's report, up to a limit.
#ifndef CAFFE2_QUANTIZATION_INSPECT_REPORT_BUILDER_H_
#define CAFFE2_QUANTIZATION_INSPECT_REPORT_BUILDER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/inspect.h"
#include "inspect/message_fields.h"
#include "netdef/model_reader.h"

namespace caffe2_quantization {

// True for a field of that number that holds bytes.
bool IsBytes(const WireField& field, uint32_t number);

// Returns "NetDef.op[3]", for example.
std::string Indexed(const std::string& field, const char* name, uint64_t index);

// Returns a name as it is listed: its first 256 bytes.
std::string Name(std::string_view text);
std::string Name(const WireField& field);

// The base of classes that walk through a file. Thread rule: one thread at a
// time.
class ReportBuilder {
 public:
  explicit ReportBuilder(InspectReport* report) : report_(report) {}

  void Fault(std::size_t offset, std::string field, std::string what);
  void FaultWithoutOffset(std::string field, std::string what);
  // From now on lists what there is, without reporting further faults: in a
  // message whose structure is broken, everything after the break would be one.
  void Mute();
  // Reports what a scan found, and returns whether the structure is whole.
  bool Whole(const MessageScan& scan);
  void Finish();

 protected:
  // Returns whether a list may grow by an entry of this many bytes and strings.
  bool Room(std::size_t bytes, std::size_t strings = 0);
  bool AddName(const WireField& field, std::vector<std::string>* names);
  // Returns false if there are too many.
  bool AddPart(const MessageBytes& part, const std::string& place,
               MessageParts* parts);
  void AddTensor(InspectedTensor tensor);
  // `name` is the tensor's name in the file outside its own message, or "".
  void Tensor(const std::string& name, const std::string& place,
              const MessageParts& parts);
  void QTensor(const std::string& name, const std::string& place,
               const MessageParts& parts, const MessageBytes& blob);

  InspectReport* const report_;

 private:
  // The memory that the lists of a report may still take, roughly.
  std::size_t list_bytes_ = std::size_t{32} << 20;
  bool muted_ = false;
  uint64_t unknown_fields_ = 0;
  std::string first_unknown_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_REPORT_BUILDER_H_
