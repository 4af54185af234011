// An .npz: a zip archive of .npy arrays, stored or deflated, each read as a
// stream. A member that is read to its end is compared with its checksum.
#include <zip.h>

#include <algorithm>
#include <set>

#include "base/return_if_error.h"
#include "caffe2/core/tensor.h"
#include "workflow/batch_source.h"
#include "workflow/npy_header.h"

namespace caffe2_quantization {
namespace {

// Of what is read to be thrown away, or to be converted.
constexpr int64_t kPieceBytes = 1 << 16;

struct ZipClose {
  void operator()(zip_t* zip) const { zip_discard(zip); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using ZipArchive = std::unique_ptr<zip_t, ZipClose>;
using ZipFile = std::unique_ptr<zip_file_t, ZipClose>;

Status OpenArchive(const std::string& path, ZipArchive* archive) {
  int code = 0;
  archive->reset(zip_open(path.c_str(), ZIP_RDONLY, &code));
  if (*archive != nullptr) return Status::Ok();
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  return Status::Corruption(path + ": " + reason);
}

caffe2::TypeMeta TensorType(NpyType type) {
  switch (type) {
    case NpyType::kFloat16:
      return caffe2::TypeMeta::Make<at::Half>();
    case NpyType::kFloat32:
    case NpyType::kFloat64:  // nets take floats
      return caffe2::TypeMeta::Make<float>();
    case NpyType::kInt8:
      return caffe2::TypeMeta::Make<int8_t>();
    case NpyType::kUInt8:
      return caffe2::TypeMeta::Make<uint8_t>();
    case NpyType::kInt16:
      return caffe2::TypeMeta::Make<int16_t>();
    case NpyType::kUInt16:
      return caffe2::TypeMeta::Make<uint16_t>();
    case NpyType::kInt32:
      return caffe2::TypeMeta::Make<int32_t>();
    case NpyType::kInt64:
      return caffe2::TypeMeta::Make<int64_t>();
    case NpyType::kBool:
      return caffe2::TypeMeta::Make<bool>();
  }
  return {};
}

// One array. It has the archive to itself: streams of one archive share a
// position in the file.
class NpzArray {
 public:
  NpzArray(const std::string& path, const std::string& name)
      : path_(path), name_(name) {}

  const std::string& name() const { return name_; }
  const NpyHeader& header() const { return header_; }
  int64_t rows() const { return header_.shape[0]; }

  Status Open() {
    file_.reset();
    RETURN_IF_ERROR(OpenArchive(path_, &archive_));
    const std::string member = name_ + ".npy";
    zip_stat_t info;
    if (zip_stat(archive_.get(), member.c_str(), 0, &info) != 0) {
      return Broken(zip_strerror(archive_.get()));
    }
    file_.reset(zip_fopen_index(archive_.get(), info.index, 0));
    if (file_ == nullptr) return Broken(zip_strerror(archive_.get()));
    const Status read = ReadNpyHeader(
        [this](char* data, size_t size) {
          return Read(data, static_cast<int64_t>(size));
        },
        &header_);
    if (!read.ok()) return Broken(read.message());
    if (header_.shape.empty() || header_.shape[0] == 0) {
      return Broken("the array has the shape " + DimsText(header_.shape) +
                    ", expected samples along a first dimension");
    }
    if (header_.data_bytes == 0) {
      return Broken("is empty: it has the shape " + DimsText(header_.shape) +
                    ", expected samples with values");
    }
    row_bytes_ = header_.data_bytes / header_.shape[0];
    const auto declared = static_cast<int64_t>(info.size);
    if ((info.valid & ZIP_STAT_SIZE) == 0 ||
        declared - header_.header_bytes != header_.data_bytes) {
      return Broken("the archive says " + std::to_string(declared) +
                    " bytes, but its header calls for " +
                    std::to_string(header_.header_bytes) + " and " +
                    std::to_string(header_.data_bytes) + " of elements");
    }
    can_seek_ = (info.valid & ZIP_STAT_COMP_METHOD) != 0 &&
                info.comp_method == ZIP_CM_STORE;
    done_ = 0;
    return Status::Ok();
  }

  Status ReadRows(int64_t count, caffe2::Workspace* workspace) {
    const std::vector<int64_t> shape(header_.shape.begin() + 1,
                                     header_.shape.end());
    void* data = nullptr;
    RETURN_IF_ERROR(MakeBatch(path_, name_, count, shape,
                              TensorType(header_.type), workspace, &data));
    const int64_t bytes = count * row_bytes_;
    Status status = header_.type == NpyType::kFloat64
                        ? ReadDoubles(static_cast<float*>(data), bytes)
                        : Read(static_cast<char*>(data), bytes);
    if (!status.ok()) return Broken(status.message());
    if (header_.type == NpyType::kBool) {
      auto* values = static_cast<uint8_t*>(data);
      for (int64_t i = 0; i < bytes; ++i) values[i] = values[i] != 0;
    }
    return CheckEnd(count);
  }

  Status SkipRows(int64_t count) {
    int64_t bytes = count * row_bytes_;
    if (can_seek_) {
      if (zip_fseek(file_.get(), bytes, SEEK_CUR) != 0) {
        return Broken(zip_file_strerror(file_.get()));
      }
    } else {
      std::string piece(static_cast<size_t>(kPieceBytes), '\0');
      for (; bytes > 0; bytes -= kPieceBytes) {
        const Status status = Read(&piece[0], std::min(bytes, kPieceBytes));
        if (!status.ok()) return Broken(status.message());
      }
    }
    return CheckEnd(count);
  }

 private:
  Status Broken(const std::string& what) const {
    return Status::Corruption(path_ + ": array '" + name_ + "': " + what);
  }

  // Fills all of `data`.
  Status Read(char* data, int64_t size) {
    int64_t done = 0;
    while (done < size) {
      const int64_t count = zip_fread(file_.get(), data + done,
                                      static_cast<zip_uint64_t>(size - done));
      if (count < 0) return Status::Corruption(zip_file_strerror(file_.get()));
      if (count == 0) {
        return Status::Corruption("its bytes end early, " +
                                  std::to_string(size - done) +
                                  " before the end of what was to be read");
      }
      done += count;
    }
    return Status::Ok();
  }

  Status ReadDoubles(float* values, int64_t bytes) {
    std::vector<double> piece(kPieceBytes / sizeof(double));
    for (; bytes > 0; bytes -= kPieceBytes) {
      const int64_t size = std::min(bytes, kPieceBytes);
      RETURN_IF_ERROR(Read(reinterpret_cast<char*>(piece.data()), size));
      const auto count = static_cast<size_t>(size) / sizeof(double);
      for (size_t i = 0; i < count; ++i) {
        *values++ = static_cast<float>(piece[i]);
      }
    }
    return Status::Ok();
  }

  // After the last row: that nothing follows, which is when libzip compares the
  // checksum.
  Status CheckEnd(int64_t count) {
    done_ += count;
    if (done_ < rows()) return Status::Ok();
    char more = 0;
    const int64_t size = zip_fread(file_.get(), &more, 1);
    if (size < 0) return Broken(zip_file_strerror(file_.get()));
    if (size > 0) return Broken("bytes follow its last element");
    return Status::Ok();
  }

  const std::string path_;
  const std::string name_;
  ZipArchive archive_;
  ZipFile file_;  // of the archive: goes before it
  NpyHeader header_;
  int64_t row_bytes_ = 0;
  int64_t done_ = 0;
  bool can_seek_ = false;
};

class NpzSource final : public BatchSource {
 public:
  explicit NpzSource(const std::string& path) : BatchSource("npz", path) {
    has_names_ = true;
  }

  Status Open(const WantedBlobs& wanted) {
    RETURN_IF_ERROR(ListMembers());
    RETURN_IF_ERROR(ChooseBlobs(wanted));
    for (const std::string& name : blobs_) {
      auto array = std::make_unique<NpzArray>(path_, name);
      RETURN_IF_ERROR(array->Open());
      if (samples_ != 0 && array->rows() != samples_) {
        return Status::InvalidArgument(
            path_ + ": array '" + name + "' has " +
            std::to_string(array->rows()) + " rows, expected " +
            std::to_string(samples_) + " as those before it");
      }
      samples_ = array->rows();
      if (array->header().type == NpyType::kFloat64) {
        notes_.push_back("array '" + name +
                         "' is of doubles: given to the net as floats");
      }
      arrays_.push_back(std::move(array));
    }
    return Status::Ok();
  }

 private:
  Status ListMembers() {
    ZipArchive archive;
    RETURN_IF_ERROR(OpenArchive(path_, &archive));
    std::set<std::string> seen;
    const int64_t count = zip_get_num_entries(archive.get(), 0);
    for (int64_t i = 0; i < count; ++i) {
      zip_stat_t info;
      if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0,
                         &info) != 0) {
        return Status::Corruption(path_ + ": " + zip_strerror(archive.get()));
      }
      const std::string member = info.name;
      if (member.size() <= 4 ||
          member.compare(member.size() - 4, 4, ".npy") != 0) {
        notes_.push_back("member '" + member +
                         "' of the archive is no .npy array: ignored");
        continue;
      }
      const std::string name = member.substr(0, member.size() - 4);
      if (!seen.insert(name).second) {
        return Status::Corruption(path_ + ": array '" + name +
                                  "' is there twice");
      }
      names_.push_back(name);
    }
    return Status::Ok();
  }

  Status ReadSamples(int64_t count, caffe2::Workspace* workspace) override {
    for (const auto& array : arrays_) {
      RETURN_IF_ERROR(array->ReadRows(count, workspace));
    }
    return Status::Ok();
  }
  Status SkipSamples(int64_t count) override {
    for (const auto& array : arrays_) {
      RETURN_IF_ERROR(array->SkipRows(count));
    }
    return Status::Ok();
  }
  Status GoToStart() override {
    for (const auto& array : arrays_) {
      RETURN_IF_ERROR(array->Open());
    }
    return Status::Ok();
  }

  std::vector<std::unique_ptr<NpzArray>> arrays_;
};

}  // namespace

Status OpenNpzSource(const std::string& path, const WantedBlobs& wanted,
                     std::unique_ptr<BatchSource>* source) {
  auto opened = std::make_unique<NpzSource>(path);
  RETURN_IF_ERROR(opened->Open(wanted));
  *source = std::move(opened);
  return Status::Ok();
}

}  // namespace caffe2_quantization
