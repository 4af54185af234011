// Makes a text table with aligned columns, and formats numbers for its cells.
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

  // Adds a row with one cell per column. If there are fewer cells, the rest is
  // empty.
  void AddRow(std::vector<std::string> cells);

  // Returns titles, a rule and the rows, with two blanks between columns and
  // none at a line's end.
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Returns 1234567 as "1,234,567".
std::string Grouped(int64_t number);
// Formats as printf's "%.<digits>g" does.
std::string Rounded(double number, int digits);
// Formats with `digits` digits after the point.
std::string Fixed(double number, int digits);
// Returns a name from a file without the characters that a terminal obeys.
std::string Printable(std::string text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_TEXT_TABLE_H_
