#include "serialization/minidb_reader.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace caffe2_quantization {
namespace {

constexpr std::size_t kSizesBytes = 2 * sizeof(int32_t);
constexpr std::string_view kChunkSeparator = "#%";

Status Broken(std::size_t offset, const std::string& what) {
  return Status::Corruption("minidb, offset " + std::to_string(offset) + ": " +
                            what);
}

Status SystemError(const std::string& path, const char* what) {
  return Status::IoError("'" + path + "': cannot " + what + ": " +
                         std::strerror(errno));
}

}  // namespace

MinidbReader::MinidbReader(const void* data, std::size_t size)
    : data_(static_cast<const char*>(data)), size_(size) {}

Status MinidbReader::Next(MinidbRecord* record) {
  const std::size_t start = cursor_;
  if (size_ - start < kSizesBytes) {
    return Broken(start, "record has " + std::to_string(size_ - start) +
                             " bytes, expected at least " +
                             std::to_string(kSizesBytes) +
                             " for key_size and value_size");
  }
  int32_t sizes[2];
  std::memcpy(sizes, data_ + start, kSizesBytes);
  std::size_t left = size_ - start - kSizesBytes;
  const char* const names[] = {"key_size", "value_size"};
  for (int i = 0; i < 2; ++i) {
    if (sizes[i] < 0 || static_cast<std::size_t>(sizes[i]) > left) {
      return Broken(start + i * sizeof(int32_t),
                    std::string(names[i]) + " is " + std::to_string(sizes[i]) +
                        ", expected 0 to " + std::to_string(left) +
                        ", the bytes that follow");
    }
    left -= static_cast<std::size_t>(sizes[i]);
  }
  const auto key_size = static_cast<std::size_t>(sizes[0]);
  const auto value_size = static_cast<std::size_t>(sizes[1]);
  record->offset = start;
  record->value_offset = start + kSizesBytes + key_size;
  record->key = {data_ + start + kSizesBytes, key_size};
  record->value = {data_ + record->value_offset, value_size};
  cursor_ = record->value_offset + value_size;
  return Status::Ok();
}

bool IsMinidb(const void* data, std::size_t size) {
  MinidbReader reader(data, size);
  if (reader.AtEnd()) return false;
  MinidbRecord record;
  while (!reader.AtEnd()) {
    if (!reader.Next(&record).ok()) return false;
  }
  return true;
}

std::string_view MinidbBlobName(std::string_view key) {
  return key.substr(0, key.find(kChunkSeparator));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

Status MappedFile::Open(const std::string& path) {
  // Not to wait for the other end of a pipe, which is refused below.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return SystemError(path, "open");
  struct stat info;
  Status status;
  if (fstat(fd, &info) != 0) {
    status = SystemError(path, "examine");
  } else if (!S_ISREG(info.st_mode)) {
    status = Status::IoError("'" + path + "' is not a regular file");
  } else if (info.st_size > 0) {  // no mapping is empty
    const auto size = static_cast<std::size_t>(info.st_size);
    void* const mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
      status = SystemError(path, "map");
    } else {
      data_ = static_cast<const uint8_t*>(mapped);
      size_ = size;
    }
  }
  close(fd);
  return status;
}

void MappedFile::Forget() const {
  if (data_ != nullptr) {
    madvise(const_cast<uint8_t*>(data_), size_, MADV_DONTNEED);
  }
}

}  // namespace caffe2_quantization
