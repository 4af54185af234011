// Data for a net, a batch at a time: samples along the first dimension of each
// of its inputs, from whatever form the data has.
//
//   form          told by                         names of blobs
//   npz           a zip archive                   its arrays'
//   minidb        records with sizes that fit     the tensors', or the inputs'
//   TensorProtos  a message, binary or text       the tensors'
//   images        a folder of them                one input
//   CSV           a folder of them, or text       the files', or one input
//
// Labels, the right class of each sample, are in a blob of that name, which is
// no data unless the net has an input of the name.
//
// Nothing in the data is trusted. What is in memory is a batch, whatever the
// number of samples; of TensorProtos, which is one message, all of it.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_BATCH_SOURCE_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_BATCH_SOURCE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/text.h"
#include "caffe2/core/workspace.h"

namespace caffe2_quantization {

// How an image becomes floats: (scale * pixel - mean) / std, with pixels from 0
// to 255, and mean and std of each channel in the order of `color`.
struct ImageOptions {
  enum class Layout { kNchw, kNhwc };
  enum class Color { kRgb, kBgr, kGray };

  // Every image is resized to this; 0: they have one size, and keep it.
  int64_t height = 0;
  int64_t width = 0;
  Layout layout = Layout::kNchw;
  Color color = Color::kRgb;
  double scale = 1;
  // One number, or one a channel. Empty: 0 and 1.
  std::vector<double> mean;
  std::vector<double> std;
};

// "nchw", "nhwc"; "rgb", "bgr", "gray".
const char* Name(ImageOptions::Layout layout);
const char* Name(ImageOptions::Color color);

struct DataOptions {
  std::string path;
  // The input that data without names is for. Empty: the net's only one, or, of
  // a minidb, its inputs in order.
  std::string input;
  ImageOptions images;
  // Of CSV: the shape that a row of this blob has; else it has one dimension.
  std::map<std::string, std::vector<int64_t>> shapes;
  // Of CSV: whether the first line of each file is a header. kAuto: if it has
  // no number, or the numbers 0, 1, 2 ... and is hardly a row
  // (docs/formats.md).
  enum class CsvHeader { kAuto, kYes, kNo };
  CsvHeader csv_header = CsvHeader::kAuto;
};

// What a net wants of the data.
struct WantedBlobs {
  // All inputs of the net: data with names may fill each of them.
  std::vector<std::string> inputs;
  // Those that nothing else makes, in order: for data without names.
  std::vector<std::string> free_inputs;
  // What else to take if it is there: labels.
  std::vector<std::string> extras;
  // The names of labels, taken or not: never data of another input.
  std::vector<std::string> labels = {"label"};
};

// A file of the data, as it was when the data was opened. Its bytes are not
// looked at: one that was written anew differs in one of the others.
struct DataFile {
  std::string path;
  int64_t size = 0;
  int64_t modified_ns = 0;  // since the epoch
  uint64_t inode = 0;

  friend bool operator==(const DataFile& a, const DataFile& b) {
    return a.path == b.path && a.size == b.size &&
           a.modified_ns == b.modified_ns && a.inode == b.inode;
  }
};

// "x" of "a/x.csv"
std::string StemOf(const std::string& path);

// What the system says of a file now.
Status DescribeFile(const std::string& path, DataFile* file);

// Thread rule: one thread at a time.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;

  // As in the table above.
  const std::string& form() const { return form_; }
  const std::string& path() const { return path_; }
  // One or more.
  int64_t samples() const { return samples_; }
  // How many of them were read or skipped.
  int64_t position() const { return position_; }
  // In the order in which they are read.
  const std::vector<DataFile>& files() const { return files_; }
  // What the data holds, and what of that is wanted: Next fills these blobs.
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<std::string>& blobs() const { return blobs_; }
  // What is no error and worth knowing.
  const std::vector<std::string>& notes() const { return notes_; }
  void AddNote(std::string note) { notes_.push_back(std::move(note)); }

  // Puts the next `count` samples into blobs of `workspace`.
  // Precondition: position() + count <= samples(). After an error the source is
  // of no further use; one that comes of a file which another process has
  // changed says so, with the size found and the size expected.
  Status Next(int64_t count, caffe2::Workspace* workspace);
  // Passes over samples, without decoding them where the form allows it.
  Status Skip(int64_t count);
  // Goes back to the first sample.
  Status Rewind();
  // OK when the files are what they were when the data was opened.
  Status CheckFiles() const;

 protected:
  BatchSource(std::string form, std::string path)
      : form_(std::move(form)), path_(std::move(path)) {}

  virtual Status ReadSamples(int64_t count, caffe2::Workspace* workspace) = 0;
  virtual Status SkipSamples(int64_t count) = 0;
  virtual Status GoToStart() = 0;

  // Sets blobs_ to those of names_ that are wanted and notes the others; an
  // error when no input is among them.
  Status ChooseBlobs(const WantedBlobs& wanted);

  const std::string form_;
  const std::string path_;
  int64_t samples_ = 0;
  std::vector<std::string> names_;
  std::vector<std::string> blobs_;
  std::vector<std::string> notes_;
  // Whether the data says itself what each blob is called.
  bool has_names_ = false;

 private:
  friend Status OpenBatchSource(const DataOptions& options,
                                const WantedBlobs& wanted,
                                std::unique_ptr<BatchSource>* source);

  Status Try(const std::function<Status()>& read) const;

  std::vector<DataFile> files_;
  int64_t position_ = 0;
};

// Opens the data. An error names file and place; what the data holds for no
// blob of `wanted` is left alone, with a note.
Status OpenBatchSource(const DataOptions& options, const WantedBlobs& wanted,
                       std::unique_ptr<BatchSource>* source);

// Each form by itself; the form is known already.
Status OpenTensorsSource(const std::string& path, const WantedBlobs& wanted,
                         std::unique_ptr<BatchSource>* source);
Status OpenNpzSource(const std::string& path, const WantedBlobs& wanted,
                     std::unique_ptr<BatchSource>* source);
Status OpenMinidbSource(const DataOptions& options, const WantedBlobs& wanted,
                        std::unique_ptr<BatchSource>* source);
Status OpenImageSource(const DataOptions& options,
                       const std::vector<std::string>& files,
                       const WantedBlobs& wanted,
                       std::unique_ptr<BatchSource>* source);
Status OpenCsvSource(const DataOptions& options,
                     const std::vector<std::string>& files,
                     const WantedBlobs& wanted,
                     std::unique_ptr<BatchSource>* source);

// For the sources.

// "a, b", or "none"
std::string Joined(const std::vector<std::string>& names);
bool Contains(const std::vector<std::string>& names, const std::string& name);

// The elements of a shape; false when it has a negative dimension, or their
// number no room in 63 bits.
bool CountElements(const std::vector<int64_t>& shape, int64_t* count);

// Makes blob `name` a tensor [count, shape...] of `type`, and *data its memory,
// not set. A batch of more than 2 GiB is refused; `path` is for the message.
Status MakeBatch(const std::string& path, const std::string& name,
                 int64_t count, const std::vector<int64_t>& shape,
                 caffe2::TypeMeta type, caffe2::Workspace* workspace,
                 void** data);

// The one input that data without names is for: options.input, or the net's
// only free one.
Status ChooseInput(const DataOptions& options, const std::string& form,
                   const WantedBlobs& wanted, std::string* input);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_BATCH_SOURCE_H_
