#include "quantization/read_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

namespace caffe2_quantization {

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

}  // namespace caffe2_quantization
