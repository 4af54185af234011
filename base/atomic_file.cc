#include "base/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

Status SystemError(const std::string& what, const std::string& path) {
  return Status::IoError("cannot " + what + " '" + path +
                         "': " + std::strerror(errno));
}

// "dir/name" as "dir/" and "name"; a name alone is in "./".
std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}
std::string NameOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

// "path.<process>.<count>.tmp", another one at each call.
std::string TemporaryName(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return path + "." + std::to_string(getpid()) + "." +
         std::to_string(counter++) + ".tmp";
}

// Reads a number as TemporaryName writes it, and a dot.
bool TakeNumber(const std::string& text, std::size_t* position, long* number) {
  const std::size_t begin = *position;
  const std::size_t end = text.find('.', begin);
  if (end == std::string::npos || end == begin || end - begin > 18)
    return false;
  if (text[begin] == '0' && end - begin > 1) return false;
  *number = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    *number = 10 * *number + (text[i] - '0');
  }
  *position = end + 1;
  return true;
}

// The process that `entry` names, when it is a temporary file of `name`; else
// 0.
long WriterOf(const std::string& entry, const std::string& name) {
  if (entry.compare(0, name.size() + 1, name + ".") != 0) return 0;
  std::size_t position = name.size() + 1;
  long process = 0, count = 0;
  if (!TakeNumber(entry, &position, &process) ||
      !TakeNumber(entry, &position, &count) ||
      entry.compare(position, std::string::npos, "tmp") != 0) {
    return 0;
  }
  return process;
}

bool IsGone(long process) {
  return process > 0 && process <= std::numeric_limits<pid_t>::max() &&
         kill(static_cast<pid_t>(process), 0) != 0 && errno == ESRCH;
}

// Removes a temporary file unless somebody has it locked: process numbers are
// those of one machine or container, a lock is everybody's.
void RemoveIfAbandoned(const std::string& temporary) {
  const int fd =
      open(temporary.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) unlink(temporary.c_str());
  close(fd);
}

// Removes what processes that were killed while they wrote `path` have left.
void RemoveAbandoned(const std::string& path) {
  const std::string folder = FolderOf(path), name = NameOf(path);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(folder.c_str()),
                                                    closedir);
  if (entries == nullptr) return;
  while (const dirent* entry = readdir(entries.get())) {
    const long process = WriterOf(entry->d_name, name);
    if (process != 0 && IsGone(process)) {
      RemoveIfAbandoned(folder + entry->d_name);
    }
  }
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
  RETURN_IF_ERROR(WriteBytes(fd, contents, path));
  if (fsync(fd) != 0) return SystemError("sync", path);
  return Status::Ok();
}

// Gives a nameless file a temporary name: only a name can be renamed over
// another. false when the system has no way to.
bool LinkBeside(int fd, const std::string& path, std::string* temporary) {
  const std::string source = "/proc/self/fd/" + std::to_string(fd);
  for (int attempt = 0; attempt < 100; ++attempt) {
    *temporary = TemporaryName(path);
    if (linkat(AT_FDCWD, source.c_str(), AT_FDCWD, temporary->c_str(),
               AT_SYMLINK_FOLLOW) == 0) {
      return true;
    }
    if (errno != EEXIST) break;
  }
  return false;
}

// A file with a temporary name from the start, for file systems that know no
// nameless ones.
int CreateBeside(const std::string& path, std::string* temporary) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    *temporary = TemporaryName(path);
    const int fd =
        open(temporary->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

// Writes a file beside `path`, with the permissions of an ordinary one, and
// opens it as *fd, locked (see RemoveIfAbandoned). It gets its name when it is
// whole, so that a process that is killed leaves no part of it.
Status WriteBeside(const std::string& path, const std::string& contents,
                   std::string* temporary, int* fd) {
  *fd = open(FolderOf(path).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (*fd >= 0) {
    flock(*fd, LOCK_EX | LOCK_NB);
    RETURN_IF_ERROR(WriteAndSync(*fd, contents, path));
    if (LinkBeside(*fd, path, temporary)) return Status::Ok();
    temporary->clear();
    close(*fd);
  }
  *fd = CreateBeside(path, temporary);
  if (*fd < 0) {
    temporary->clear();
    return SystemError("create a file beside", path);
  }
  flock(*fd, LOCK_EX | LOCK_NB);
  return WriteAndSync(*fd, contents, path);
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
  int fd = -1;
  Status status = WriteBeside(path, contents, &temporary, &fd);
  if (status.ok() && std::rename(temporary.c_str(), path.c_str()) != 0) {
    status = SystemError("rename to", path);
  }
  if (fd >= 0) close(fd);  // it is synced: nothing is left to fail
  if (!status.ok()) {
    if (!temporary.empty()) unlink(temporary.c_str());
    return status;
  }
  RemoveAbandoned(path);
  // Sync the folder too, so that the new name survives a power cut. The data is
  // in place already: a file system that cannot do this is not an error.
  const int folder_fd =
      open(FolderOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd >= 0) {
    fsync(folder_fd);
    close(folder_fd);
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
