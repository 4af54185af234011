#include "tools/range_table.h"

#include "base/text.h"
#include "tools/text_table.h"

namespace caffe2_quantization {

std::string RangeTable(const NetInfo& info) {
  using Align = TextTable::Align;
  TextTable table({{"op", Align::kRight},
                   {"type"},
                   {"out", Align::kRight},
                   {"tensor"},
                   {"shape of last batch"},
                   {"min", Align::kRight},
                   {"max", Align::kRight},
                   {"NaN", Align::kRight},
                   {"inf", Align::kRight}});
  for (const OperatorInfo& op : info.operators) {
    for (const OutputInfo& output : op.outputs) {
      const ValueRange& range = output.total.range;
      table.AddRow({std::to_string(op.op_index), op.op_type,
                    std::to_string(output.output_index),
                    Printable(output.tensor_name), DimsText(output.shape),
                    range.empty() ? "-" : range.MinText(),
                    range.empty() ? "-" : range.MaxText(),
                    Grouped(static_cast<int64_t>(output.nan_count)),
                    Grouped(static_cast<int64_t>(output.infinity_count()))});
    }
  }
  return table.ToString();
}

}  // namespace caffe2_quantization
