// Writes a folder of files so that a reader sees the old one or the new one,
// never a part.
#ifndef CAFFE2_QUANTIZATION_BASE_ATOMIC_FOLDER_H_
#define CAFFE2_QUANTIZATION_BASE_ATOMIC_FOLDER_H_

#include <functional>
#include <string>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

struct FolderFile {
  std::string name;
  std::string contents;
};

struct AtomicFolderOptions {
  // Whether a folder with the right names may be replaced, by what is in it; an
  // error says why not. Empty: it may.
  std::function<Status(const std::string& folder)> may_replace;
  // Exchanges both folders in one step (renameat2). False: as on a file system
  // that cannot.
  bool may_exchange = true;
};

// Returns OK if `path` can be written: nothing is there, or an empty folder, or
// one with files of exactly these names that options.may_replace accepts. The
// error names the path and what was found. First it puts back the folder of a
// process that was killed between two renames (below).
Status CheckFolder(const std::string& path,
                   const std::vector<std::string>& names,
                   const AtomicFolderOptions& options);

// Writes a folder beside `path`, syncs it, and puts it in the place of `path`,
// which CheckFolder must accept. On failure the old folder stands. A link stays
// one.
//
// A process that is killed leaves the old folder or the new one whole, and
// perhaps a folder "path.<process>.<count>.tmp", which the next write to `path`
// removes. Where two folders cannot be exchanged in one step, `path` is gone
// for a moment; a process that is killed in it leaves the old folder whole as
// "path.old.tmp", which the next CheckFolder or write puts back.
//
// Thread rule: any thread, but one at a time for a path, also of several
// processes (base/path_lock.h).
Status WriteFolderAtomically(const std::string& path,
                             const std::vector<FolderFile>& files,
                             const AtomicFolderOptions& options = {});

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BASE_ATOMIC_FOLDER_H_
