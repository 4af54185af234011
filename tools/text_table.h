// A table of text with aligned columns, and numbers as its cells want them.
#ifndef CAFFE2_QUANTIZATION_TOOLS_TEXT_TABLE_H_
#define CAFFE2_QUANTIZATION_TOOLS_TEXT_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace caffe2_quantization {

class TextTable {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit TextTable(std::vector<Column> columns);

  // A cell for each column; fewer leave the rest empty.
  void AddRow(std::vector<std::string> cells);

  // Titles, a rule and the rows; two blanks between columns, none at a line's
  // end.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// 1234567 as "1,234,567".
std::string Grouped(int64_t number);
// As printf's "%.<digits>g".
std::string Rounded(double number, int digits);
// With that many digits behind the point.
std::string Fixed(double number, int digits);
// A name out of a file, with nothing in it that a terminal obeys.
std::string Printable(std::string text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_TEXT_TABLE_H_
