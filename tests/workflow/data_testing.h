// Data for the tests of the batch sources: .npy arrays in zip archives, and
// what a source gives.
#ifndef CAFFE2_QUANTIZATION_TESTS_WORKFLOW_DATA_TESTING_H_
#define CAFFE2_QUANTIZATION_TESTS_WORKFLOW_DATA_TESTING_H_

#include <gtest/gtest.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "caffe2/core/tensor.h"
#include "caffe2/core/workspace.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {

inline std::string NpyBytes(const std::string& dict, const std::string& data,
                            int version = 1) {
  std::string header = dict;
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  const size_t size = header.size();
  bytes += static_cast<char>(size & 0xff);
  bytes += static_cast<char>(size >> 8 & 0xff);
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

// An array as numpy.save writes it.
template <typename T>
std::string Npy(const std::string& descr, const std::vector<int64_t>& shape,
                const std::vector<T>& values, int version = 1) {
  std::string dims;
  for (const int64_t dim : shape) dims += std::to_string(dim) + ", ";
  std::string dict = "{'descr': '" + descr +
                     "', 'fortran_order': False, 'shape': (" + dims + "), }";
  while ((dict.size() + 11) % 64 != 0) dict += ' ';
  std::string data;
  for (const T value : values) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    data.append(bytes, sizeof(T));
  }
  return NpyBytes(dict + "\n", data, version);
}

// A zip archive of members: name and contents.
inline std::string WriteZip(
    const std::string& path,
    const std::vector<std::pair<std::string, std::string>>& members,
    bool deflate = false) {
  int code = 0;
  zip_t* zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  EXPECT_NE(zip, nullptr);
  for (const auto& member : members) {
    zip_source_t* source =
        zip_source_buffer(zip, member.second.data(), member.second.size(), 0);
    const zip_int64_t index =
        zip_file_add(zip, member.first.c_str(), source, ZIP_FL_OVERWRITE);
    EXPECT_GE(index, 0);
    zip_set_file_compression(zip, static_cast<zip_uint64_t>(index),
                             deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0);
  }
  EXPECT_EQ(zip_close(zip), 0);
  return path;
}

// Opens data for a net with these inputs, of which nothing else makes any.
inline Status OpenFor(const DataOptions& options,
                      const std::vector<std::string>& inputs,
                      std::unique_ptr<BatchSource>* source) {
  WantedBlobs wanted;
  wanted.inputs = wanted.free_inputs = inputs;
  return OpenBatchSource(options, wanted, source);
}
inline Status OpenFor(const std::string& path,
                      const std::vector<std::string>& inputs,
                      std::unique_ptr<BatchSource>* source) {
  DataOptions options;
  options.path = path;
  return OpenFor(options, inputs, source);
}

// The values of `blob` that are left, in batches of `batch`; those of another
// type than T are left out, so that a comparison finds them missing.
template <typename T>
Status ReadRest(BatchSource* source, const std::string& blob, int64_t batch,
                std::vector<T>* values) {
  caffe2::Workspace workspace;
  while (source->position() < source->samples()) {
    const int64_t count =
        std::min(batch, source->samples() - source->position());
    RETURN_IF_ERROR(source->Next(count, &workspace));
    const auto& tensor = workspace.GetBlob(blob)->Get<caffe2::Tensor>();
    EXPECT_EQ(tensor.size(0), count);
    if (!tensor.IsType<T>()) continue;
    const T* data = tensor.data<T>();
    values->insert(values->end(), data, data + tensor.numel());
  }
  return Status::Ok();
}

// All values, whose reading succeeds.
template <typename T>
std::vector<T> ReadAll(BatchSource* source, const std::string& blob,
                       int64_t batch) {
  std::vector<T> values;
  EXPECT_TRUE(source->Rewind().ok());
  const Status status = ReadRest(source, blob, batch, &values);
  EXPECT_TRUE(status.ok()) << status.message();
  return values;
}

// Reading with jumps gives the same as reading without.
template <typename T>
void ExpectSkipping(BatchSource* source, const std::string& blob,
                    int64_t sample) {
  const std::vector<T> all = ReadAll<T>(source, blob, 3);
  for (int64_t start = 0; start < source->samples(); ++start) {
    ASSERT_TRUE(source->Rewind().ok());
    ASSERT_TRUE(source->Skip(start).ok());
    std::vector<T> rest;
    const Status status = ReadRest(source, blob, 2, &rest);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(rest, std::vector<T>(all.begin() + start * sample, all.end()));
  }
  ASSERT_TRUE(source->Rewind().ok());
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_WORKFLOW_DATA_TESTING_H_
