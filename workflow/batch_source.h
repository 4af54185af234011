// Reads data for a net, one batch at a time: samples along the first dimension
// of each of its inputs, from any of these forms.
//
//   form          recognized by                   names of blobs
//   npz           a zip archive                   its arrays'
//   minidb        records with sizes that fit     the tensors', or the inputs'
//   TensorProtos  a message, binary or text       the tensors'
//   images        a folder of them                one input
//   CSV           a folder of them, or text       the files', or one input
//
// Labels, the right class of each sample, are in a blob of that name. It is not
// taken for data unless the net has an input of that name.
//
// Nothing in the data is trusted. Memory holds one batch, whatever the number
// of samples; only TensorProtos, which is one message, is held whole.
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

  // Every image is resized to this. 0: all images must have one size, which
  // they keep.
  int64_t height = 0;
  int64_t width = 0;
  Layout layout = Layout::kNchw;
  Color color = Color::kRgb;
  double scale = 1;
  // One number, or one per channel. Empty: mean 0 and std 1.
  std::vector<double> mean;
  std::vector<double> std;
};

// "nchw", "nhwc"; "rgb", "bgr", "gray".
const char* Name(ImageOptions::Layout layout);
const char* Name(ImageOptions::Color color);

struct DataOptions {
  std::string path;
  // The input that takes data without names. Empty: the net's only input or,
  // for a minidb, the net's inputs in order.
  std::string input;
  ImageOptions images;
  // For CSV: the shape of one row of the named blob. A blob that is not listed
  // has rows of one dimension.
  std::map<std::string, std::vector<int64_t>> shapes;
  // For CSV: whether the first line of each file is a header. kAuto: it is one
  // if it has no number, or if it has the numbers 0, 1, 2 ... and is hardly a
  // row (docs/formats.md).
  enum class CsvHeader { kAuto, kYes, kNo };
  CsvHeader csv_header = CsvHeader::kAuto;
};

// What a net wants of the data.
struct WantedBlobs {
  // All inputs of the net: data with names may fill any of them.
  std::vector<std::string> inputs;
  // The inputs that nothing else makes, in order: data without names fills
  // these.
  std::vector<std::string> free_inputs;
  // Blobs to take as well if the data has them: labels.
  std::vector<std::string> extras;
  // The names of labels, whether they are taken or not: a blob of such a name
  // is never used as data for another input.
  std::vector<std::string> labels = {"label"};
};

// A file of the data, as it was when the data was opened. Its bytes are not
// compared: a file that was rewritten differs in one of these members.
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

// Fills *file with what the system reports about a file now.
Status DescribeFile(const std::string& path, DataFile* file);

// Thread rule: one thread at a time.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  BatchSource(const BatchSource&) = delete;
  BatchSource& operator=(const BatchSource&) = delete;

  // The form's name, as in the table above.
  const std::string& form() const { return form_; }
  const std::string& path() const { return path_; }
  // One or more.
  int64_t samples() const { return samples_; }
  // The number of samples that were read or skipped so far.
  int64_t position() const { return position_; }
  // In the order in which they are read.
  const std::vector<DataFile>& files() const { return files_; }
  // names(): all blobs that the data holds. blobs(): those of them that are
  // wanted, which Next fills.
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<std::string>& blobs() const { return blobs_; }
  // What the user should know but is no error.
  const std::vector<std::string>& notes() const { return notes_; }
  void AddNote(std::string note) { notes_.push_back(std::move(note)); }

  // Puts the next `count` samples into blobs of `workspace`. Precondition:
  // position() + count <= samples(). After an error the source must not be used
  // again. If another process has changed a file, the error says so, with the
  // size found and the size expected.
  Status Next(int64_t count, caffe2::Workspace* workspace);
  // Skips the next `count` samples, without decoding them where the form allows
  // it.
  Status Skip(int64_t count);
  // Goes back to the first sample.
  Status Rewind();
  // Returns OK if the files are what they were when the data was opened.
  Status CheckFiles() const;

 protected:
  BatchSource(std::string form, std::string path)
      : form_(std::move(form)), path_(std::move(path)) {}

  virtual Status ReadSamples(int64_t count, caffe2::Workspace* workspace) = 0;
  virtual Status SkipSamples(int64_t count) = 0;
  virtual Status GoToStart() = 0;

  // Sets blobs_ to those of names_ that are wanted, and adds a note about the
  // others. Returns an error if no input is among them.
  Status ChooseBlobs(const WantedBlobs& wanted);

  const std::string form_;
  const std::string path_;
  int64_t samples_ = 0;
  std::vector<std::string> names_;
  std::vector<std::string> blobs_;
  std::vector<std::string> notes_;
  // Whether the data itself names its blobs.
  bool has_names_ = false;

 private:
  friend Status OpenBatchSource(const DataOptions& options,
                                const WantedBlobs& wanted,
                                std::unique_ptr<BatchSource>* source);

  Status Try(const std::function<Status()>& read) const;

  std::vector<DataFile> files_;
  int64_t position_ = 0;
};

// Opens the data. An error names the file and the place in it. Data that
// belongs to no blob of `wanted` is ignored, with a note.
Status OpenBatchSource(const DataOptions& options, const WantedBlobs& wanted,
                       std::unique_ptr<BatchSource>* source);

// These open one form each, for a caller who knows the form already.
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

// The functions below are helpers of the sources.

// Returns the names as "a, b", or "none".
std::string Joined(const std::vector<std::string>& names);
bool Contains(const std::vector<std::string>& names, const std::string& name);

// Sets *count to the number of elements of a shape. Returns false if a
// dimension is negative or the number does not fit into 63 bits.
bool CountElements(const std::vector<int64_t>& shape, int64_t* count);

// Makes blob `name` a tensor [count, shape...] of `type`, and sets *data to its
// memory, which is not initialized. A batch of more than 2 GiB is refused;
// `path` is for the message.
Status MakeBatch(const std::string& path, const std::string& name,
                 int64_t count, const std::vector<int64_t>& shape,
                 caffe2::TypeMeta type, caffe2::Workspace* workspace,
                 void** data);

// Sets *input to the one that takes data without names: options.input, or the
// net's only free input.
Status ChooseInput(const DataOptions& options, const std::string& form,
                   const WantedBlobs& wanted, std::string* input);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_BATCH_SOURCE_H_
