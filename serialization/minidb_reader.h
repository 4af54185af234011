// A minidb file, read in place: the records of the host's simplest database,
// which is what Save writes with db_type "minidb".
//
// Form: records one after the other to the end of the file, each
//   int32 key_size, int32 value_size   (the machine's byte order)
//   key_size bytes, value_size bytes
// The host's own reader takes the sizes as they stand. This one compares them
// with the bytes that are there, and copies nothing.
//
// Thread rule: a reader belongs to one thread; the bytes are only read.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_MINIDB_READER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_MINIDB_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "quantization/status.h"

namespace caffe2_quantization {

// Both views point into the bytes that the reader was given.
struct MinidbRecord {
  std::size_t offset = 0;        // of the record, from the start of the bytes
  std::size_t value_offset = 0;  // of its value
  std::string_view key;
  std::string_view value;
};

class MinidbReader {
 public:
  MinidbReader(const void* data, std::size_t size);

  bool AtEnd() const { return cursor_ == size_; }
  std::size_t offset() const { return cursor_; }

  // Reads the next record. Precondition: !AtEnd(). After an error the reader is
  // of no further use; the error names offset, field, size found and expected.
  Status Next(MinidbRecord* record);

 private:
  const char* data_;
  std::size_t size_;
  std::size_t cursor_ = 0;
};

// Whether the bytes are one or more whole records and nothing else. It looks at
// the sizes alone, and is safe and fast on any bytes.
bool IsMinidb(const void* data, std::size_t size);

// The blob that a key stands for. Save cuts a large tensor into records with
// keys "name#%0", "name#%1", …
std::string_view MinidbBlobName(std::string_view key);

// A regular file in memory, by mmap: nothing is copied, and pages are read when
// they are touched. A file that another process shortens meanwhile ends this
// one (SIGBUS): writers should write beside and rename.
class MappedFile {
 public:
  MappedFile() = default;
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // Call once. Errors name the path.
  Status Open(const std::string& path);

  // Lets go of the pages that were read: they are read again when touched.
  void Forget() const;

  const uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  const uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_MINIDB_READER_H_
