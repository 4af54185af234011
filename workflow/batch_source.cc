#include "workflow/batch_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/nearest_name.h"
#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/core/tensor.h"
#include "netdef/host_error.h"
#include "netdef/load_net.h"
#include "netdef/model_reader.h"
#include "serialization/minidb_reader.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kMaxBatchBytes = int64_t{1} << 31;
// What is looked at to tell the form of a file.
constexpr size_t kHeadBytes = 4096;

Status SystemError(const std::string& path) {
  return Status::IoError(path + ": " + std::strerror(errno));
}

// ".png" of "a/b.PNG"; "" without one.
std::string ExtensionOf(const std::string& path) {
  const auto slash = path.rfind('/');
  const auto dot = path.rfind('.');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash)) {
    return "";
  }
  std::string extension = path.substr(dot);
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return extension;
}

bool IsImage(const std::string& path) {
  const std::string extension = ExtensionOf(path);
  for (const char* known : {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm"}) {
    if (extension == known) return true;
  }
  return false;
}

bool IsCsv(const std::string& path) { return ExtensionOf(path) == ".csv"; }

// The paths of a folder's files, by name. Hidden ones and folders are left out.
Status ListFolder(const std::string& path, std::vector<std::string>* files) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()),
                                                   closedir);
  if (folder == nullptr) return SystemError(path);
  const std::string prefix = path.back() == '/' ? path : path + '/';
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    const std::string file = prefix + entry->d_name;
    struct stat info;
    if (entry->d_type == DT_DIR ||
        (entry->d_type != DT_REG && stat(file.c_str(), &info) == 0 &&
         S_ISDIR(info.st_mode))) {
      continue;
    }
    files->push_back(file);
  }
  std::sort(files->begin(), files->end());
  return Status::Ok();
}

Status DescribeFiles(const std::vector<std::string>& paths,
                     std::vector<DataFile>* files) {
  files->resize(paths.size());
  for (size_t i = 0; i < paths.size(); ++i) {
    RETURN_IF_ERROR(DescribeFile(paths[i], &(*files)[i]));
  }
  return Status::Ok();
}

Status OpenFolder(const DataOptions& options, const WantedBlobs& wanted,
                  std::vector<DataFile>* data_files,
                  std::unique_ptr<BatchSource>* source) {
  std::vector<std::string> files, images, tables;
  RETURN_IF_ERROR(ListFolder(options.path, &files));
  std::string labels;  // a table that is of labels, beside images
  for (const std::string& file : files) {
    if (IsImage(file)) images.push_back(file);
    if (!IsCsv(file)) continue;
    const std::string name = StemOf(file);
    if (Contains(wanted.labels, name) && !Contains(wanted.inputs, name)) {
      labels = file;
    }
    tables.push_back(file);
  }
  if (!images.empty() && tables.size() == 1 && !labels.empty()) {
    if (Contains(wanted.extras, StemOf(labels))) {
      return Status::InvalidArgument(
          labels +
          ": labels beside images, expected labels beside CSV files, "
          "or in the .npz, minidb or TensorProtos that holds the data");
    }
    tables.clear();
  }
  if (images.empty() == tables.empty()) {
    return Status::InvalidArgument(
        options.path + ": a folder with " + std::to_string(images.size()) +
        " images and " + std::to_string(tables.size()) +
        " CSV files, expected one sort of them (.png .jpg .jpeg .bmp .ppm "
        ".pgm, or .csv)");
  }
  RETURN_IF_ERROR(DescribeFiles(images.empty() ? tables : images, data_files));
  if (images.empty()) return OpenCsvSource(options, tables, wanted, source);
  RETURN_IF_ERROR(OpenImageSource(options, images, wanted, source));
  if (!labels.empty()) {
    (*source)->AddNote("'" + labels + "' is of labels and is left alone");
  }
  return Status::Ok();
}

// The first bytes of a regular file.
Status ReadHead(const std::string& path, std::string* head) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return SystemError(path);
  struct stat info;
  Status status;
  if (fstat(file, &info) != 0) {
    status = SystemError(path);
  } else if (!S_ISREG(info.st_mode)) {
    status = Status::IoError(path + ": not a regular file or a folder");
  } else {
    head->resize(kHeadBytes);
    const ssize_t size = read(file, &(*head)[0], head->size());
    if (size < 0) status = SystemError(path);
    head->resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  }
  close(file);
  if (status.ok() && head->empty()) {
    return Status::Corruption(path + ": the file is empty");
  }
  return status;
}

// Whether the first records of the file have sizes that fit. A TensorProtos
// begins with a tag that would make a key of 16 MiB and more.
bool BeginsAsMinidb(const std::string& path) {
  InputFile file;
  if (!file.Open(path).ok()) return false;
  MinidbReader reader(&file);
  for (int i = 0; i < 16 && !reader.AtEnd(); ++i) {
    if (!reader.Skip().ok()) return false;
  }
  return true;
}

}  // namespace

const char* Name(ImageOptions::Layout layout) {
  return layout == ImageOptions::Layout::kNhwc ? "nhwc" : "nchw";
}

const char* Name(ImageOptions::Color color) {
  switch (color) {
    case ImageOptions::Color::kRgb:
      return "rgb";
    case ImageOptions::Color::kBgr:
      return "bgr";
    case ImageOptions::Color::kGray:
      return "gray";
  }
  return "?";
}

std::string StemOf(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.substr(0, name.rfind('.'));
}

Status DescribeFile(const std::string& path, DataFile* file) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return SystemError(path);
  file->path = path;
  file->size = info.st_size;
  file->modified_ns =
      int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  file->inode = info.st_ino;
  return Status::Ok();
}

Status BatchSource::CheckFiles() const {
  for (const DataFile& file : files_) {
    DataFile now;
    RETURN_IF_ERROR(DescribeFile(file.path, &now));
    if (now == file) continue;
    return Status::IoError(
        file.path + ": " + std::to_string(now.size) + " bytes, expected " +
        std::to_string(file.size) + " as when it was opened" +
        (now.size != file.size ? "" : ", and unchanged since") +
        ": another process has changed it");
  }
  return Status::Ok();
}

Status BatchSource::Try(const std::function<Status()>& read) const {
  const Status status = CatchHostErrors(path_, read);
  if (status.ok()) return status;
  const Status files = CheckFiles();
  return files.ok() ? status : files;
}

Status BatchSource::Next(int64_t count, caffe2::Workspace* workspace) {
  RETURN_IF_ERROR(Try([&] { return ReadSamples(count, workspace); }));
  position_ += count;
  return Status::Ok();
}

Status BatchSource::Skip(int64_t count) {
  if (count == 0) return Status::Ok();
  RETURN_IF_ERROR(Try([&] { return SkipSamples(count); }));
  position_ += count;
  return Status::Ok();
}

Status BatchSource::Rewind() {
  RETURN_IF_ERROR(Try([&] { return GoToStart(); }));
  position_ = 0;
  return Status::Ok();
}

Status BatchSource::ChooseBlobs(const WantedBlobs& wanted) {
  bool any_input = false;
  for (const std::string& name : names_) {
    const bool is_input = Contains(wanted.inputs, name);
    any_input |= is_input;
    if (is_input || Contains(wanted.extras, name)) {
      blobs_.push_back(name);
    } else {
      notes_.push_back("data blob '" + name +
                       "' is no input of the net: ignored");
    }
  }
  if (any_input) return Status::Ok();
  return Status::InvalidArgument(
      path_ + ": no tensor is an input of the net; the data has: " +
      Joined(names_) + "; the net wants: " + Joined(wanted.inputs));
}

Status OpenBatchSource(const DataOptions& options, const WantedBlobs& wanted,
                       std::unique_ptr<BatchSource>* source) {
  if (options.path.empty()) {
    return Status::InvalidArgument("no path of the data");
  }
  // Before the data is read: what changes from now on is noticed.
  std::vector<DataFile> files;
  const auto open = [&] {
    struct stat info;
    if (stat(options.path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return OpenFolder(options, wanted, &files, source);
    }
    RETURN_IF_ERROR(DescribeFiles({options.path}, &files));
    std::string head;
    RETURN_IF_ERROR(ReadHead(options.path, &head));
    if (head.compare(0, 4, "PK\x03\x04") == 0 ||
        head.compare(0, 4, "PK\x05\x06") == 0) {
      return OpenNpzSource(options.path, wanted, source);
    }
    if (head.compare(0, 6, "\x93NUMPY") == 0) {
      return Status::InvalidArgument(
          options.path +
          ": one array without a name (.npy); expected an .npz, whose arrays "
          "have the names of the net's inputs");
    }
    if (IsImage(options.path)) {
      return OpenImageSource(options, {options.path}, wanted, source);
    }
    const bool is_text = LooksLikeText(head.data(), head.size());
    if (IsCsv(options.path) || (is_text && !BeginsWithField(head))) {
      return OpenCsvSource(options, {options.path}, wanted, source);
    }
    if (!is_text && BeginsAsMinidb(options.path)) {
      return OpenMinidbSource(options, wanted, source);
    }
    return OpenTensorsSource(options.path, wanted, source);
  };
  RETURN_IF_ERROR(CatchHostErrors(options.path, open));
  (*source)->files_ = std::move(files);
  if (!options.input.empty() && (*source)->has_names_) {
    (*source)->AddNote("input '" + options.input +
                       "' is not needed: the blobs of the data have names");
  }
  return Status::Ok();
}

std::string Joined(const std::vector<std::string>& names) {
  const std::string text = Join(names);
  return text.empty() ? "none" : text;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool CountElements(const std::vector<int64_t>& shape, int64_t* count) {
  *count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(*count, dim, count)) return false;
  }
  return true;
}

Status MakeBatch(const std::string& path, const std::string& name,
                 int64_t count, const std::vector<int64_t>& shape,
                 caffe2::TypeMeta type, caffe2::Workspace* workspace,
                 void** data) {
  std::vector<int64_t> dims = {count};
  dims.insert(dims.end(), shape.begin(), shape.end());
  int64_t bytes = 0;
  if (!CountElements(dims, &bytes) ||
      __builtin_mul_overflow(bytes, static_cast<int64_t>(type.itemsize()),
                             &bytes) ||
      bytes > kMaxBatchBytes) {
    return Status::OutOfRange(
        "a batch of '" + name + "' has the shape " + DimsText(dims) + " of " +
        std::string(type.name()) + ", more than " +
        std::to_string(kMaxBatchBytes) + " bytes; take smaller batches");
  }
  *data = caffe2::BlobGetMutableTensor(workspace->CreateBlob(name), dims,
                                       at::dtype(type))
              ->raw_mutable_data(type);
  return Status::Ok();
}

Status ChooseInput(const DataOptions& options, const std::string& form,
                   const WantedBlobs& wanted, std::string* input) {
  if (!options.input.empty()) {
    if (!Contains(wanted.inputs, options.input)) {
      return Status::InvalidArgument("'" + options.input +
                                     "' is no input of the net" +
                                     DidYouMean(options.input, wanted.inputs) +
                                     "; it has: " + Joined(wanted.inputs));
    }
    *input = options.input;
    return Status::Ok();
  }
  if (wanted.free_inputs.size() != 1) {
    const bool none = wanted.free_inputs.empty();
    return Status::InvalidArgument(
        options.path + ": " + form +
        " have no blob's name, and the net takes " +
        (none ? "nothing that its init net does not make"
              : std::to_string(wanted.free_inputs.size()) + " inputs") +
        "; say which input they are for, of: " +
        Joined(none ? wanted.inputs : wanted.free_inputs));
  }
  *input = wanted.free_inputs.front();
  return Status::Ok();
}

}  // namespace caffe2_quantization
