#include "base/atomic_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

// Of renameat2, in case the C library's headers have none.
constexpr unsigned kExchange = 1u << 1;

Status SystemError(const std::string& what, const std::string& path) {
  return Status::IoError("cannot " + what + " '" + path +
                         "': " + std::strerror(errno));
}

// A file that is closed at the end.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags)
      : file_(open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~OpenFile() {
    if (file_ >= 0) close(file_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return file_; }

 private:
  const int file_;
};

// The path without slashes at its end; what it links to if it is a link.
std::string Resolved(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::unique_ptr<char, void (*)(void*)> real(
      realpath(path.c_str(), nullptr), std::free);
  return real != nullptr ? real.get() : path;
}

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

std::string OldName(const std::string& path) { return path + ".old.tmp"; }

// The names in a folder; false if it cannot be read.
bool ListFolder(const std::string& folder, std::vector<std::string>* names) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(folder.c_str()),
                                                    closedir);
  if (entries == nullptr) return false;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names->push_back(name);
  }
  std::sort(names->begin(), names->end());
  return true;
}

bool IsRegularFile(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool Exists(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0;
}

// Removes the files of these names and the folder, unless others are in it.
void RemoveFolder(const std::string& folder,
                  const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = folder + "/" + name;
    if (IsRegularFile(path)) unlink(path.c_str());
  }
  rmdir(folder.c_str());
}

// Puts back what a process that was killed between two renames has left.
Status Recover(const std::string& path) {
  if (Exists(path) || !Exists(OldName(path))) return Status::Ok();
  return std::rename(OldName(path).c_str(), path.c_str()) == 0
             ? Status::Ok()
             : SystemError("put back", OldName(path));
}

// Returns OK if the folder at `path` may be replaced, or if there is none.
Status CheckResolved(const std::string& path, std::vector<std::string> names,
                     const AtomicFolderOptions& options) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status::Ok() : SystemError("look at", path);
  }
  if (!S_ISDIR(info.st_mode)) {
    return Status::InvalidArgument("'" + path +
                                   "' is no folder, expected one, or nothing");
  }
  std::vector<std::string> found;
  if (!ListFolder(path, &found)) return SystemError("read", path);
  if (found.empty()) return Status::Ok();
  std::sort(names.begin(), names.end());
  std::string listed;
  for (const std::string& name : names) {
    listed += (listed.empty() ? "" : ", ") + name;
  }
  for (const std::string& name : found) {
    if (!std::binary_search(names.begin(), names.end(), name) ||
        !IsRegularFile(path + "/" + name)) {
      return Status::InvalidArgument("'" + path + "' holds '" + name +
                                     "' and is not replaced, expected files " +
                                     listed + " alone");
    }
  }
  if (found != names) {
    return Status::InvalidArgument(
        "'" + path + "' holds " + std::to_string(found.size()) +
        " files and is not replaced, expected " + listed);
  }
  return options.may_replace ? options.may_replace(path) : Status::Ok();
}

Status WriteFile(const std::string& path, const std::string& contents) {
  const OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (file.get() < 0) return SystemError("create", path);
  std::size_t written = 0;
  while (written < contents.size()) {
    const ssize_t n =
        write(file.get(), contents.data() + written, contents.size() - written);
    if (n < 0) {
      if (errno == EINTR) continue;
      return SystemError("write", path);
    }
    written += static_cast<std::size_t>(n);
  }
  return fsync(file.get()) == 0 ? Status::Ok() : SystemError("sync", path);
}

void SyncFolder(const std::string& path) {
  const OpenFile folder(path, O_RDONLY | O_DIRECTORY);
  if (folder.get() >= 0) fsync(folder.get());
}

// Removes what processes that were killed while they wrote `path` have left:
// folders "path.<process>.<count>.tmp" that nobody has locked.
void RemoveAbandoned(const std::string& path,
                     const std::vector<std::string>& names) {
  const std::string parent = ParentOf(path);
  const std::size_t slash = path.rfind('/');
  const std::string prefix =
      (slash == std::string::npos ? path : path.substr(slash + 1)) + ".";
  std::vector<std::string> entries;
  if (!ListFolder(parent, &entries)) return;
  for (const std::string& entry : entries) {
    if (entry.compare(0, prefix.size(), prefix) != 0) continue;
    const std::string rest = entry.substr(prefix.size());
    const std::size_t dot = rest.find('.');
    if (dot == std::string::npos || dot == 0) continue;
    const std::size_t end = rest.find_first_not_of("0123456789", dot + 1);
    if (rest.find_first_not_of("0123456789") != dot || end == dot + 1 ||
        end == std::string::npos || rest.substr(end) != ".tmp") {
      continue;
    }
    const std::string folder = parent + "/" + entry;
    const OpenFile locked(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (locked.get() < 0 || flock(locked.get(), LOCK_EX | LOCK_NB) != 0) {
      continue;
    }
    RemoveFolder(folder, names);
  }
}

// Puts `made` in the place of `path`. Afterwards `made` is what was there.
Status Replace(const std::string& made, const std::string& path,
               bool may_exchange) {
  if (!Exists(path)) {
    return std::rename(made.c_str(), path.c_str()) == 0
               ? Status::Ok()
               : SystemError("rename to", path);
  }
  if (may_exchange) {
    if (syscall(SYS_renameat2, AT_FDCWD, made.c_str(), AT_FDCWD, path.c_str(),
                kExchange) == 0) {
      return Status::Ok();
    }
    if (errno != ENOSYS && errno != EINVAL && errno != EOPNOTSUPP) {
      return SystemError("exchange with", path);
    }
  }
  const std::string old = OldName(path);
  if (std::rename(path.c_str(), old.c_str()) != 0) {
    return SystemError("set aside", path);
  }
  if (std::rename(made.c_str(), path.c_str()) != 0) {
    const Status status = SystemError("rename to", path);
    std::rename(old.c_str(), path.c_str());
    return status;
  }
  if (std::rename(old.c_str(), made.c_str()) != 0) {
    return SystemError("clear away", old);
  }
  return Status::Ok();
}

}  // namespace

Status CheckFolder(const std::string& path,
                   const std::vector<std::string>& names,
                   const AtomicFolderOptions& options) {
  const std::string resolved = Resolved(path);
  RETURN_IF_ERROR(Recover(resolved));
  return CheckResolved(resolved, names, options);
}

Status WriteFolderAtomically(const std::string& given_path,
                             const std::vector<FolderFile>& files,
                             const AtomicFolderOptions& options) {
  static std::atomic<unsigned> counter{0};
  const std::string path = Resolved(given_path);
  std::vector<std::string> names;
  for (const FolderFile& file : files) names.push_back(file.name);
  RETURN_IF_ERROR(Recover(path));
  RETURN_IF_ERROR(CheckResolved(path, names, options));
  RemoveAbandoned(path, names);
  // What a rename that failed has left in the way of the next one.
  if (Exists(path)) RemoveFolder(OldName(path), names);

  const std::string made = path + "." + std::to_string(getpid()) + "." +
                           std::to_string(counter++) + ".tmp";
  if (mkdir(made.c_str(), 0777) != 0) return SystemError("make", made);
  // Tells RemoveAbandoned of other processes that somebody is at work.
  const OpenFile locked(made, O_RDONLY | O_DIRECTORY);
  if (locked.get() >= 0) flock(locked.get(), LOCK_EX | LOCK_NB);
  Status status = Status::Ok();
  for (const FolderFile& file : files) {
    status = WriteFile(made + "/" + file.name, file.contents);
    if (!status.ok()) break;
  }
  if (status.ok()) {
    SyncFolder(made);
    status = Replace(made, path, options.may_exchange);
  }
  if (status.ok()) SyncFolder(ParentOf(path));
  if (Exists(made)) RemoveFolder(made, names);
  return status;
}

}  // namespace caffe2_quantization
