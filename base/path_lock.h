// PathLock locks the name of an output file: of two processes that write to it,
// the second one is told.
#ifndef CAFFE2_QUANTIZATION_BASE_PATH_LOCK_H_
#define CAFFE2_QUANTIZATION_BASE_PATH_LOCK_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace caffe2_quantization {

// Holds "path.lock" locked (flock) from Acquire to its end. The system lets go
// of the lock when the process dies, however it does; the file that is then
// left behind hinders nobody. An orderly end removes it. The lock is advisory:
// it keeps out only those who ask. A child that is forked meanwhile does not
// own the lock: its end leaves the file alone.
//
// Thread rule: an object belongs to one thread; two objects exclude each other
// within a process as they do between two.
class PathLock {
 public:
  PathLock() = default;
  ~PathLock() { Release(); }
  PathLock(const PathLock&) = delete;
  PathLock& operator=(const PathLock&) = delete;

  // Does not wait: an error says that another one holds the lock, or what the
  // system said. What `path` links to is what is locked. Call it on an object
  // that holds nothing.
  Status Acquire(const std::string& path);
  void Release();

 private:
  std::string lock_path_;
  int file_ = -1;
  uint64_t forks_ = 0;  // of the process that acquired it
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_PATH_LOCK_H_
