// Tables of numbers, a sample a line: a file for each input, named after it, or
// files of one input one after the other; and a file of labels.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

#include "base/return_if_error.h"
#include "caffe2/core/tensor.h"
#include "workflow/batch_source.h"

namespace caffe2_quantization {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 28;
// Below, every integer is a float.
constexpr float kLabelLimit = 1 << 24;

// The lines of a file that are not blank, one at a time.
class LineReader {
 public:
  LineReader() = default;
  ~LineReader() { Close(); }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  Status Open(const std::string& path) {
    Close();
    path_ = path;
    file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info;
    if (file_ < 0 || fstat(file_, &info) != 0) return SystemError();
    if (!S_ISREG(info.st_mode)) {
      return Status::IoError(path_ + ": not a regular file");
    }
    size_ = info.st_size;
    done_ = 0;
    line_ = 0;
    buffer_.clear();
    begin_ = 0;
    return Status::Ok();
  }

  int64_t line() const { return line_; }  // from 1

  // Sets *text to the next line that holds more than blanks, until the next
  // call; *found = false at the end.
  Status Next(std::string_view* text, bool* found) {
    *found = false;
    while (!*found) {
      size_t end = 0;
      bool last = false;
      RETURN_IF_ERROR(FindEnd(&end, &last));
      if (last && begin_ == end) return Status::Ok();
      *text = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = last ? end : end + 1;
      ++line_;
      if (line_ == 1 && text->substr(0, 3) == "\xef\xbb\xbf") {
        text->remove_prefix(3);  // a mark of UTF-8
      }
      *found = text->find_first_not_of(" \t\r") != std::string_view::npos;
    }
    return Status::Ok();
  }

 private:
  Status SystemError() const {
    return Status::IoError(path_ + ": " + std::strerror(errno));
  }
  void Close() {
    if (file_ >= 0) close(file_);
    file_ = -1;
  }

  // The end of the line at begin_ in the buffer, for which more of the file is
  // read; *last when the file ends there.
  Status FindEnd(size_t* end, bool* last) {
    for (size_t searched = begin_;;) {
      *end = buffer_.find('\n', searched);
      if (*end != std::string::npos) return Status::Ok();
      buffer_.erase(0, begin_);
      begin_ = 0;
      searched = buffer_.size();
      RETURN_IF_ERROR(ReadMore());
      *end = buffer_.size();
      *last = *end == searched;
      if (*last) return Status::Ok();
    }
  }

  // Appends a piece of the file, or nothing at its end.
  Status ReadMore() {
    const size_t size = buffer_.size();
    if (size > kMaxLineBytes) {
      return Status::OutOfRange(path_ + ":" + std::to_string(line_ + 1) +
                                ": a line of more than " +
                                std::to_string(kMaxLineBytes) + " bytes");
    }
    buffer_.resize(size + kPieceBytes);
    ssize_t count = -1;
    do {
      count = read(file_, &buffer_[size], kPieceBytes);
    } while (count < 0 && errno == EINTR);
    buffer_.resize(size + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0) return SystemError();
    done_ += count;
    // Cut within its last number, it would read as another number.
    if (count == 0 && done_ < size_) {
      return Status::IoError(path_ + ": it ended after " +
                             std::to_string(done_) + " bytes, expected " +
                             std::to_string(size_) + " as when it was opened");
    }
    return Status::Ok();
  }

  std::string path_;
  int file_ = -1;
  int64_t size_ = 0;  // when it was opened
  int64_t done_ = 0;  // bytes that were read
  int64_t line_ = 0;
  std::string buffer_;
  size_t begin_ = 0;  // of the next line
};

enum class Field { kNumber, kTooLarge, kOther };

Field ParseField(std::string_view field, float* value) {
  const size_t begin = field.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return Field::kOther;
  const size_t end = field.find_last_not_of(" \t\r") + 1;
  field = field.substr(begin, end - begin);
  if (field.size() > 1 && field[0] == '+' && field[1] != '-') {
    field.remove_prefix(1);
  }
  double parsed = 0;
  const auto result =
      std::from_chars(field.data(), field.data() + field.size(), parsed);
  if (result.ptr != field.data() + field.size()) return Field::kOther;
  if (result.ec != std::errc()) return Field::kTooLarge;
  *value = static_cast<float>(parsed);
  if (std::isinf(*value) && !std::isinf(parsed)) return Field::kTooLarge;
  return Field::kNumber;
}

// The fields of a line, one after the other.
class Fields {
 public:
  explicit Fields(std::string_view line) : line_(line) {}

  bool Next(std::string_view* field) {
    if (done_) return false;
    column_ = at_ + 1;
    const size_t end = line_.find(',', at_);
    done_ = end == std::string_view::npos;
    *field = line_.substr(at_, done_ ? end : end - at_);
    at_ = end + 1;
    return true;
  }
  size_t column() const { return column_; }  // of the field, in bytes, from 1

 private:
  std::string_view line_;
  size_t at_ = 0;
  size_t column_ = 0;
  bool done_ = false;
};

// Whether a line is 0,1,2 ... in plain digits: *columns of them.
bool CountsColumns(std::string_view line, int64_t* columns) {
  *columns = 0;
  Fields fields(line);
  std::string_view field;
  while (fields.Next(&field)) {
    const size_t begin = field.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return false;
    const size_t end = field.find_last_not_of(" \t\r") + 1;
    if (field.substr(begin, end - begin) != std::to_string(*columns)) {
      return false;
    }
    ++*columns;
  }
  return true;
}

// Whether a line has integers alone, in digits.
bool IsOfIntegers(std::string_view line) {
  return line.find_first_not_of("0123456789+-, \t\r") == std::string_view::npos;
}

// What the first line of a file is.
enum class FirstLine { kRow, kNames, kColumnNumbers, kRowOfColumnNumbers };

// Of 0,1,2 ... this many are no row, and these many are none if there is a
// fraction among the other rows.
constexpr int64_t kSurelyColumnNumbers = 8;
constexpr int64_t kPerhapsColumnNumbers = 3;

// The rows of one input, from one file or several.
class Table {
 public:
  using Header = DataOptions::CsvHeader;

  // Labels have one integer a row, and become int64.
  Table(std::string name, std::vector<std::string> files,
        std::vector<int64_t> shape, Header header, bool of_labels)
      : name_(std::move(name)),
        files_(std::move(files)),
        shape_(std::move(shape)),
        header_(header),
        of_labels_(of_labels),
        has_header_(files_.size()) {}

  const std::string& name() const { return name_; }
  int64_t rows() const { return rows_; }

  // Counts the rows, and takes the number of columns from the first one.
  Status Open(std::vector<std::string>* notes) {
    for (file_ = 0; file_ < files_.size(); ++file_) {
      RETURN_IF_ERROR(CountRows(notes));
    }
    if (rows_ == 0) {
      return Status::Corruption(files_[0] + ": no line with numbers");
    }
    RETURN_IF_ERROR(GoToStart());
    std::string_view line;
    RETURN_IF_ERROR(NextExpectedRow(&line));
    Fields fields(line);
    std::string_view field;
    while (fields.Next(&field)) ++columns_;
    RETURN_IF_ERROR(CheckShape());
    return GoToStart();
  }

  Status GoToStart() {
    file_ = 0;
    return OpenFile();
  }

  Status SkipRows(int64_t count) {
    std::string_view line;
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(NextExpectedRow(&line));
    }
    return Status::Ok();
  }

  Status ReadRows(int64_t count, caffe2::Workspace* workspace) {
    void* data = nullptr;
    RETURN_IF_ERROR(MakeBatch(files_[file_], name_, count, shape_,
                              of_labels_ ? caffe2::TypeMeta::Make<int64_t>()
                                         : caffe2::TypeMeta::Make<float>(),
                              workspace, &data));
    std::string_view line;
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(NextExpectedRow(&line));
      RETURN_IF_ERROR(
          of_labels_
              ? ParseLabel(line, static_cast<int64_t*>(data) + i)
              : ParseRow(line, static_cast<float*>(data) + i * columns_));
    }
    return Status::Ok();
  }

 private:
  std::string Place(size_t column) const {
    return files_[file_] + ":" + std::to_string(reader_.line()) + ":" +
           std::to_string(column) + ": ";
  }

  Status OpenFile() {
    RETURN_IF_ERROR(reader_.Open(files_[file_]));
    first_line_ = true;
    return Status::Ok();
  }

  // Adds the rows of files_[file_], and finds out whether it has a header.
  Status CountRows(std::vector<std::string>* notes) {
    RETURN_IF_ERROR(OpenFile());
    std::string first;
    int64_t lines = 0, columns = 0;
    bool has_fractions = false;
    for (;;) {
      std::string_view line;
      bool found = false;
      RETURN_IF_ERROR(reader_.Next(&line, &found));
      if (!found) break;
      if (lines++ == 0) {
        first = std::string(line);
        if (!CountsColumns(line, &columns)) columns = 0;
      } else if (columns > 0 && !has_fractions) {
        has_fractions = !IsOfIntegers(line);
      }
    }
    if (lines == 0) return Status::Ok();
    FirstLine kind = FirstLine::kRow;
    if (IsOfNames(first)) {
      kind = FirstLine::kNames;
    } else if (columns > 1 && lines > 1) {
      kind = columns >= kSurelyColumnNumbers ||
                     (has_fractions && columns >= kPerhapsColumnNumbers)
                 ? FirstLine::kColumnNumbers
                 : FirstLine::kRowOfColumnNumbers;
    }
    const bool has_header =
        header_ == Header::kAuto
            ? kind == FirstLine::kNames || kind == FirstLine::kColumnNumbers
            : header_ == Header::kYes;
    has_header_[file_] = has_header;
    rows_ += lines - (has_header ? 1 : 0);
    NoteFirstLine(kind, has_header, notes);
    return Status::Ok();
  }

  void NoteFirstLine(FirstLine kind, bool has_header,
                     std::vector<std::string>* notes) const {
    const std::string& file = files_[file_];
    const bool chosen = header_ != Header::kAuto;
    if (has_header && (chosen || kind == FirstLine::kNames)) {
      notes->push_back(file + ": its first line is a header");
    } else if (has_header) {
      notes->push_back(
          file +
          ": its first line, 0,1,2 ..., numbers the columns and "
          "is taken for a header; --csv-header no reads it as a sample");
    } else if (!chosen && kind == FirstLine::kRowOfColumnNumbers) {
      notes->push_back(file +
                       ": its first line, 0,1 ..., may number the columns and "
                       "is taken for a sample; --csv-header yes leaves it out");
    }
  }

  // The next line of numbers.
  Status NextRow(std::string_view* line, bool* found) {
    for (;;) {
      RETURN_IF_ERROR(reader_.Next(line, found));
      if (!*found) {
        if (file_ + 1 == files_.size()) return Status::Ok();
        ++file_;
        RETURN_IF_ERROR(OpenFile());
        continue;
      }
      const bool is_header = first_line_ && has_header_[file_];
      first_line_ = false;
      if (!is_header) return Status::Ok();
    }
  }

  // Whether it has no number at all.
  static bool IsOfNames(std::string_view line) {
    Fields fields(line);
    std::string_view field;
    float value = 0;
    while (fields.Next(&field)) {
      if (ParseField(field, &value) != Field::kOther) return false;
    }
    return true;
  }

  Status NextExpectedRow(std::string_view* line) {
    bool found = false;
    RETURN_IF_ERROR(NextRow(line, &found));
    if (found) return Status::Ok();
    return Status::Corruption(files_[file_] +
                              ": it has fewer lines than it had before");
  }

  Status CheckShape() {
    if (of_labels_) {
      if (columns_ == 1) return Status::Ok();
      return Status::InvalidArgument(
          Place(1) + std::to_string(columns_) +
          " numbers, expected one, the sample's class");
    }
    if (shape_.empty()) {
      shape_ = {columns_};
      return Status::Ok();
    }
    int64_t elements = 0;
    if (!CountElements(shape_, &elements) || elements != columns_) {
      return Status::InvalidArgument(
          Place(1) + std::to_string(columns_) + " numbers, expected " +
          (elements > 0 ? std::to_string(elements) + " for" : "those of") +
          " the shape " + DimsText(shape_) + " of '" + name_ + "'");
    }
    return Status::Ok();
  }

  Status ParseRow(std::string_view line, float* values) const {
    Fields fields(line);
    std::string_view field;
    int64_t count = 0;
    while (fields.Next(&field)) {
      if (count == columns_) return WrongCount(fields.column(), "more");
      const Field parsed = ParseField(field, &values[count]);
      if (parsed != Field::kNumber) {
        return NotA(parsed == Field::kOther ? "no number" : "beyond the floats",
                    fields.column(), field);
      }
      ++count;
    }
    return count == columns_ ? Status::Ok() : WrongCount(line.size(), "fewer");
  }

  // An integer, written as one or not: numpy.savetxt writes 3.0e+00.
  Status ParseLabel(std::string_view line, int64_t* label) const {
    float value = 0;
    RETURN_IF_ERROR(ParseRow(line, &value));
    if (value == std::floor(value) && std::fabs(value) < kLabelLimit) {
      *label = static_cast<int64_t>(value);
      return Status::Ok();
    }
    return NotA("no class, expected an integer", 1, line);
  }

  Status WrongCount(size_t column, const char* relation) const {
    return Status::Corruption(Place(column) + relation + " than " +
                              std::to_string(columns_) +
                              " numbers, expected as many as in the first row");
  }
  Status NotA(const std::string& what, size_t column,
              std::string_view field) const {
    std::string shown;
    for (const char c : field.substr(0, 40)) {
      shown += c >= 0x20 && c < 0x7f ? c : '?';
    }
    return Status::Corruption(Place(column) + "'" + shown + "' is " + what);
  }

  const std::string name_;
  const std::vector<std::string> files_;
  std::vector<int64_t> shape_;  // of a row
  const Header header_;
  const bool of_labels_;
  std::vector<bool> has_header_;  // of each file
  int64_t columns_ = 0;
  int64_t rows_ = 0;
  LineReader reader_;
  size_t file_ = 0;  // of the reader
  bool first_line_ = true;
};

class CsvSource final : public BatchSource {
 public:
  explicit CsvSource(const std::string& path) : BatchSource("CSV", path) {}

  Status Open(const DataOptions& options, const std::vector<std::string>& files,
              const WantedBlobs& wanted) {
    std::vector<std::string> data, named;
    for (const std::string& file : files) {
      const std::string stem = StemOf(file);
      const bool is_input = Contains(wanted.inputs, stem);
      if (Contains(wanted.labels, stem) && !is_input) {
        names_.push_back(stem);
        if (Contains(wanted.extras, stem)) {
          Add(stem, {file}, options, /*of_labels=*/true);
        }
        continue;
      }
      data.push_back(file);
      if (is_input) named.push_back(file);
    }
    if (options.input.empty() && !named.empty()) {
      if (named.size() < data.size()) {
        return Status::InvalidArgument(
            path_ + ": '" + named.front() +
            "' has the name of an input, and of the " +
            std::to_string(data.size()) + " files of data " +
            std::to_string(named.size()) +
            " have one; name all or none so, or say which input all are for");
      }
      for (const std::string& file : named)
        AddData(StemOf(file), {file}, options);
    } else if (!data.empty()) {
      std::string input;
      RETURN_IF_ERROR(ChooseInput(options, "CSV files", wanted, &input));
      AddData(input, data, options);
    }
    RETURN_IF_ERROR(ChooseBlobs(wanted));
    for (const auto& shape : options.shapes) {
      if (!Contains(names_, shape.first)) {
        return Status::InvalidArgument(
            path_ + ": a shape is given for '" + shape.first +
            "', but the data has: " + Joined(names_));
      }
    }
    for (const auto& table : tables_) {
      RETURN_IF_ERROR(table->Open(&notes_));
      if (samples_ != 0 && table->rows() != samples_) {
        return Status::InvalidArgument(
            path_ + ": '" + table->name() + "' has " +
            std::to_string(table->rows()) + " rows, expected " +
            std::to_string(samples_) + " as those before it");
      }
      samples_ = table->rows();
    }
    return Status::Ok();
  }

 private:
  void AddData(const std::string& name, const std::vector<std::string>& files,
               const DataOptions& options) {
    names_.push_back(name);
    Add(name, files, options, /*of_labels=*/false);
  }

  void Add(const std::string& name, const std::vector<std::string>& files,
           const DataOptions& options, bool of_labels) {
    const auto shape = options.shapes.find(name);
    tables_.push_back(std::make_unique<Table>(
        name, files,
        shape == options.shapes.end() ? std::vector<int64_t>() : shape->second,
        options.csv_header, of_labels));
  }

  Status ReadSamples(int64_t count, caffe2::Workspace* workspace) override {
    for (const auto& table : tables_) {
      RETURN_IF_ERROR(table->ReadRows(count, workspace));
    }
    return Status::Ok();
  }
  Status SkipSamples(int64_t count) override {
    for (const auto& table : tables_) {
      RETURN_IF_ERROR(table->SkipRows(count));
    }
    return Status::Ok();
  }
  Status GoToStart() override {
    for (const auto& table : tables_) {
      RETURN_IF_ERROR(table->GoToStart());
    }
    return Status::Ok();
  }

  std::vector<std::unique_ptr<Table>> tables_;
};

}  // namespace

Status OpenCsvSource(const DataOptions& options,
                     const std::vector<std::string>& files,
                     const WantedBlobs& wanted,
                     std::unique_ptr<BatchSource>* source) {
  auto opened = std::make_unique<CsvSource>(options.path);
  RETURN_IF_ERROR(opened->Open(options, files, wanted));
  *source = std::move(opened);
  return Status::Ok();
}

}  // namespace caffe2_quantization
