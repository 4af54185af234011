#include "base/read_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

// What is read at once where less is asked for.
constexpr std::size_t kReadAhead = std::size_t{64} << 10;

Status SystemError(const std::string& path, const char* what) {
  return Status::IoError("'" + path + "': cannot " + what + ": " +
                         std::strerror(errno));
}

}  // namespace

Status ReadFile(const std::string& path, int64_t max_bytes,
                std::string* contents) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(
      std::fopen(path.c_str(), "rb"), std::fclose);
  struct stat info;
  if (file != nullptr && fstat(fileno(file.get()), &info) == 0 &&
      S_ISREG(info.st_mode) && info.st_size > max_bytes) {
    return Status::OutOfRange(
        "'" + path + "' has " + std::to_string(info.st_size) +
        " bytes, expected " + std::to_string(max_bytes) + " at most");
  }
  std::string read;
  char block[1 << 16];
  while (file != nullptr) {
    const std::size_t got = std::fread(block, 1, sizeof(block), file.get());
    if (got == 0) break;
    if (read.size() + got > static_cast<uint64_t>(max_bytes)) {
      return Status::OutOfRange("'" + path + "' has more than " +
                                std::to_string(max_bytes) +
                                " bytes, expected that many at most");
    }
    read.append(block, got);
  }
  if (file == nullptr || std::ferror(file.get()) != 0) {
    return Status::IoError("cannot read '" + path +
                           "': " + std::strerror(errno));
  }
  *contents = std::move(read);
  return Status::Ok();
}

InputFile::~InputFile() {
  if (file_ >= 0) close(file_);
}

Status InputFile::Open(const std::string& path) {
  path_ = path;
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0) return SystemError(path_, "open");
  struct stat info;
  if (fstat(file_, &info) != 0) return SystemError(path_, "examine");
  if (!S_ISREG(info.st_mode)) {
    return Status::IoError("'" + path_ + "' is not a regular file");
  }
  size_ = static_cast<std::size_t>(info.st_size);
  return Status::Ok();
}

Status InputFile::Read(std::size_t offset, std::size_t count,
                       const uint8_t** bytes) {
  if (offset < begin_ || offset + count > end_) {
    RETURN_IF_ERROR(Fill(offset, count));
  }
  *bytes = buffer_.get() + (offset - begin_);
  return Status::Ok();
}

Status InputFile::Shortened() const {
  struct stat info;
  if (fstat(file_, &info) != 0) return SystemError(path_, "examine");
  return Status::IoError("'" + path_ + "' has " + std::to_string(info.st_size) +
                         " bytes, expected " + std::to_string(size_) +
                         " as when it was opened: it was shortened meanwhile");
}

// Reads the part, and what follows it up to kReadAhead.
Status InputFile::Fill(std::size_t offset, std::size_t count) {
  const std::size_t wanted =
      std::max(count, std::min(kReadAhead, size_ - offset));
  begin_ = end_ = offset;
  if (wanted > capacity_) {
    buffer_.reset();
    buffer_.reset(new (std::nothrow) uint8_t[wanted]);
    capacity_ = buffer_ == nullptr ? 0 : wanted;
    if (buffer_ == nullptr) {
      return Status::OutOfRange("'" + path_ + "': no memory for " +
                                std::to_string(wanted) + " of its bytes");
    }
  }
  while (end_ - begin_ < wanted) {
    const ssize_t got =
        pread(file_, buffer_.get() + (end_ - begin_), wanted - (end_ - begin_),
              static_cast<off_t>(end_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path_, "read");
    if (got == 0) return Shortened();
    end_ += static_cast<std::size_t>(got);
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
