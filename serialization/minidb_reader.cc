#include "serialization/minidb_reader.h"

#include <cstring>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kSizesBytes = 2 * sizeof(int32_t);
constexpr std::string_view kChunkSeparator = "#%";

Status Broken(std::size_t offset, const std::string& what) {
  return Status::Corruption("minidb, offset " + std::to_string(offset) + ": " +
                            what);
}

}  // namespace

MinidbReader::MinidbReader(const void* data, std::size_t size)
    : data_(static_cast<const char*>(data)), size_(size) {}

MinidbReader::MinidbReader(InputFile* file)
    : data_(nullptr), file_(file), size_(file->size()) {}

Status MinidbReader::Bytes(std::size_t offset, std::size_t count,
                           const char** bytes) {
  if (file_ == nullptr) {
    *bytes = data_ + offset;
    return Status::Ok();
  }
  const uint8_t* read = nullptr;
  RETURN_IF_ERROR(file_->Read(offset, count, &read));
  *bytes = reinterpret_cast<const char*>(read);
  return Status::Ok();
}

Status MinidbReader::ReadSizes(std::size_t* key_size, MinidbRecord* record) {
  const std::size_t start = cursor_;
  if (size_ - start < kSizesBytes) {
    return Broken(start, "record has " + std::to_string(size_ - start) +
                             " bytes, expected at least " +
                             std::to_string(kSizesBytes) +
                             " for key_size and value_size");
  }
  const char* bytes = nullptr;
  RETURN_IF_ERROR(Bytes(start, kSizesBytes, &bytes));
  int32_t sizes[2];
  std::memcpy(sizes, bytes, kSizesBytes);
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
  *key_size = static_cast<std::size_t>(sizes[0]);
  record->offset = start;
  record->value_offset = start + kSizesBytes + *key_size;
  record->value_size = static_cast<std::size_t>(sizes[1]);
  return Status::Ok();
}

Status MinidbReader::Next(MinidbRecord* record) {
  std::size_t key_size = 0;
  RETURN_IF_ERROR(ReadSizes(&key_size, record));
  const char* bytes = nullptr;
  RETURN_IF_ERROR(
      Bytes(cursor_ + kSizesBytes, key_size + record->value_size, &bytes));
  record->key = {bytes, key_size};
  record->value = {bytes + key_size, record->value_size};
  cursor_ = record->value_offset + record->value_size;
  return Status::Ok();
}

Status MinidbReader::Skip() {
  std::size_t key_size = 0;
  MinidbRecord record;
  RETURN_IF_ERROR(ReadSizes(&key_size, &record));
  cursor_ = record.value_offset + record.value_size;
  return Status::Ok();
}

Status MinidbReader::Peek(MinidbRecord* record) {
  std::size_t key_size = 0;
  RETURN_IF_ERROR(ReadSizes(&key_size, record));
  const char* bytes = nullptr;
  RETURN_IF_ERROR(Bytes(cursor_ + kSizesBytes, key_size, &bytes));
  record->key = {bytes, key_size};
  record->value = {};
  return Status::Ok();
}

bool IsMinidb(MinidbReader reader) {
  if (reader.AtEnd()) return false;
  while (!reader.AtEnd()) {
    if (!reader.Skip().ok()) return false;
  }
  return true;
}

std::string_view MinidbBlobName(std::string_view key) {
  return key.substr(0, key.find(kChunkSeparator));
}

}  // namespace caffe2_quantization
