// Reads a minidb, the host's simplest database, which Save writes with db_type
// "minidb": from a file, or in place from memory.
//
// Form: records follow each other to the end of the file, each of them
//   int32 key_size, int32 value_size   (the machine's byte order)
//   key_size bytes, value_size bytes
// The host's own reader takes the sizes as they stand. This one compares them
// with the bytes that are there before it takes memory. It holds one record of
// a file at a time.
//
// Thread rule: a reader belongs to one thread; the bytes are only read.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_MINIDB_READER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_MINIDB_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/read_file.h"
#include "base/status.h"

namespace caffe2_quantization {

// The views point into the bytes that the reader was given. For a file they are
// valid until something else is read from it.
struct MinidbRecord {
  std::size_t offset = 0;        // of the record, from the start of the bytes
  std::size_t value_offset = 0;  // of its value
  std::size_t value_size = 0;
  std::string_view key;
  std::string_view value;  // not set by Peek()
};

class MinidbReader {
 public:
  MinidbReader(const void* data, std::size_t size);
  // Reads an opened file, which outlives the reader. Errors about the contents
  // do not name it.
  explicit MinidbReader(InputFile* file);

  bool AtEnd() const { return cursor_ == size_; }
  std::size_t offset() const { return cursor_; }

  // Reads the next record. Precondition: !AtEnd(). After an error the reader
  // must not be used again. The error names offset, field, and the sizes found
  // and expected.
  Status Next(MinidbRecord* record);
  // Skips the next record, of which only the sizes are read.
  Status Skip();
  // Reads the next record without its value; the record stays the next one.
  Status Peek(MinidbRecord* record);

 private:
  Status ReadSizes(std::size_t* key_size, MinidbRecord* record);
  Status Bytes(std::size_t offset, std::size_t count, const char** bytes);

  const char* data_;  // null: of the file
  InputFile* file_ = nullptr;
  std::size_t size_;
  std::size_t cursor_ = 0;
};

// Returns whether the bytes of a fresh reader are one or more whole records and
// nothing else. It looks at the sizes alone, and is safe and fast on any bytes.
bool IsMinidb(MinidbReader reader);

// Returns the name of the blob that a key stands for. Save cuts a large tensor
// into records with the keys "name#%0", "name#%1", …
std::string_view MinidbBlobName(std::string_view key);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_MINIDB_READER_H_
