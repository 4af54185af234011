// Reads files: a whole one, if it is not too large, or parts of one.
#ifndef CAFFE2_QUANTIZATION_BASE_READ_FILE_H_
#define CAFFE2_QUANTIZATION_BASE_READ_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Reads `path`, a file or a pipe, into *contents. An error names the path and
// what the system said, or its size when that is above max_bytes; no more than
// that is ever held.
Status ReadFile(const std::string& path, int64_t max_bytes,
                std::string* contents);

// A regular file, of which any part can be asked for. It is read, not mapped: a
// file that another process shortens meanwhile is an error here, where a mapped
// page behind its end would end the process (SIGBUS); and bytes that were
// checked cannot change before they are used.
//
// Memory: the largest part that was asked for, or 64 KiB.
// Thread rule: one thread at a time.
class InputFile {
 public:
  InputFile() = default;
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Call once. Errors name the path. What is no regular file is refused,
  // without waiting for the other end of a pipe.
  Status Open(const std::string& path);

  const std::string& path() const { return path_; }
  // In bytes, when it was opened.
  std::size_t size() const { return size_; }

  // Sets *bytes to the `count` bytes from `offset` on, until the next call.
  // Small parts that lie one after the other are read together.
  // Precondition: offset + count <= size().
  //   IoError: the file has become shorter (with the size found and expected),
  //            or what the system said.
  //   OutOfRange: no memory for `count` bytes.
  Status Read(std::size_t offset, std::size_t count, const uint8_t** bytes);

 private:
  Status Fill(std::size_t offset, std::size_t count);
  Status Shortened() const;

  std::string path_;
  int file_ = -1;
  std::size_t size_ = 0;
  // Holds the bytes from begin_ to end_.
  std::unique_ptr<uint8_t[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_READ_FILE_H_
