#include "base/path_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/process.h"

namespace caffe2_quantization {
namespace {

Status SystemError(const std::string& what, const std::string& path) {
  return Status::IoError("cannot " + what + " '" + path +
                         "': " + std::strerror(errno));
}

// The file that `path` leads to, as WriteFileAtomically resolves it.
std::string Resolved(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(
      realpath(path.c_str(), nullptr), std::free);
  return real != nullptr ? real.get() : path;
}

// Whether `path` still names the open file: its last holder may have removed it
// between our opening and our locking it.
bool IsStillNamed(int file, const std::string& path) {
  struct stat opened, named;
  return fstat(file, &opened) == 0 && lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace

Status PathLock::Acquire(const std::string& path) {
  const std::string lock_path = Resolved(path) + ".lock";
  for (;;) {
    const int file = open(lock_path.c_str(),
                          O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0) return SystemError("open the lock", lock_path);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
      const bool taken = errno == EWOULDBLOCK;
      const Status status =
          taken ? Status::IoError("another process is writing to '" + path +
                                  "' (its lock is held on '" + lock_path + "')")
                : SystemError("lock", lock_path);
      close(file);
      return status;
    }
    if (IsStillNamed(file, lock_path)) {
      file_ = file;
      forks_ = ForkCount();
      lock_path_ = lock_path;
      return Status::Ok();
    }
    close(file);
  }
}

void PathLock::Release() {
  if (file_ < 0) return;
  if (forks_ == ForkCount()) unlink(lock_path_.c_str());  // still locked
  close(file_);
  file_ = -1;
}

}  // namespace caffe2_quantization
