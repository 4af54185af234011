// Files for tests: a folder that goes when the test does, and
// protobuf messages written into it.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_MODEL_FILES_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_MODEL_FILES_H_

#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/utils/proto_utils.h"

namespace caffe2_quantization {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = testing::TempDir() + "model_files_XXXXXX";
    const char* made = mkdtemp(&pattern[0]);
    if (made == nullptr) ADD_FAILURE() << "no temporary folder: " << pattern;
    path_ = pattern;
  }
  ~TemporaryFolder() {
    if (DIR* folder = opendir(path_.c_str())) {
      while (const dirent* entry = readdir(folder)) {
        unlink(Path(entry->d_name).c_str());
      }
      closedir(folder);
    }
    rmdir(path_.c_str());
  }

  std::string Path(const std::string& name) const { return path_ + '/' + name; }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  std::string Write(const std::string& name,
                    const google::protobuf::MessageLite& message) const {
    caffe2::WriteProtoToBinaryFile(message, Path(name));
    return Path(name);
  }

 private:
  std::string path_;
};

inline std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline void AddFloats(const std::string& name, const std::vector<int64_t>& dims,
                      const std::vector<float>& values,
                      caffe2::TensorProtos* tensors) {
  caffe2::TensorProto* proto = tensors->add_protos();
  proto->set_name(name);
  proto->set_data_type(caffe2::TensorProto_DataType_FLOAT);
  for (const int64_t dim : dims) proto->add_dims(dim);
  for (const float value : values) proto->add_float_data(value);
}

inline void AddInts(const std::string& name, const std::vector<int64_t>& dims,
                    const std::vector<int>& values,
                    caffe2::TensorProtos* tensors) {
  caffe2::TensorProto* proto = tensors->add_protos();
  proto->set_name(name);
  proto->set_data_type(caffe2::TensorProto_DataType_INT32);
  for (const int64_t dim : dims) proto->add_dims(dim);
  for (const int value : values) proto->add_int32_data(value);
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_MODEL_FILES_H_
