#include "quantization/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace caffe2_quantization {
namespace {

Status SystemError(const std::string& what, const std::string& path) {
  return Status::IoError("cannot " + what + " '" + path +
                         "': " + std::strerror(errno));
}

// A new file beside `path` with the permissions of an ordinary one.
int CreateBeside(const std::string& path, std::string* temporary) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    *temporary = path + "." + std::to_string(getpid()) + "." +
                 std::to_string(counter++) + ".tmp";
    const int fd =
        open(temporary->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

Status WriteBytes(int fd, const std::string& contents,
                  const std::string& path) {
  std::size_t written = 0;
  while (written < contents.size()) {
    const ssize_t n =
        write(fd, contents.data() + written, contents.size() - written);
    if (n < 0) {
      if (errno == EINTR) continue;
      return SystemError("write", path);
    }
    written += static_cast<std::size_t>(n);
  }
  return Status::Ok();
}

Status WriteAndSync(int fd, const std::string& contents,
                    const std::string& path) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(WriteBytes(fd, contents, path));
  if (fsync(fd) != 0) return SystemError("sync", path);
  return Status::Ok();
}

// A device or a pipe is written as it is: it cannot be replaced by a file.
Status WriteToDevice(const std::string& path, const std::string& contents) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return SystemError("open", path);
  // Not to wait for a pipe's reader was for opening it alone.
  fcntl(fd, F_SETFL, O_WRONLY);
  const Status status = WriteBytes(fd, contents, path);
  close(fd);
  return status;
}

}  // namespace

Status WriteFileAtomically(const std::string& given_path,
                           const std::string& contents) {
  // A link stays a link: what it points to is replaced.
  std::string path = given_path;
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return Status::IoError("cannot write '" + path + "': it is a folder");
    }
    if (!S_ISREG(info.st_mode)) return WriteToDevice(path, contents);
    const std::unique_ptr<char, void (*)(void*)> real(
        realpath(path.c_str(), nullptr), std::free);
    if (real != nullptr) path = real.get();
  }
  std::string temporary;
  const int fd = CreateBeside(path, &temporary);
  if (fd < 0) return SystemError("create a file beside", path);
  Status status = WriteAndSync(fd, contents, path);
  if (close(fd) != 0 && status.ok()) status = SystemError("close", path);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = SystemError("rename to", path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  // Sync the folder too, so that the new name survives a power cut. The data is
  // in place already: a file system that cannot do this is not an error.
  const std::size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int folder_fd =
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    fsync(folder_fd);
    close(folder_fd);
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
