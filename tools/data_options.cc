#include "tools/data_options.h"

#include <charconv>
#include <map>
#include <string>
#include <vector>

namespace caffe2_quantization {
namespace {

// "1,2,3" or "1x2", each 1 or more; false when it is none.
bool ParseNumbers(const std::string& text, char separator,
                  std::vector<int64_t>* numbers) {
  numbers->clear();
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    int64_t number = 0;
    const auto result = std::from_chars(at, end, number);
    if (result.ec != std::errc() || number < 1) return false;
    numbers->push_back(number);
    at = result.ptr;
    if (at == end) return true;
    if (*at++ != separator) return false;
  }
}

// What CLI11 reports as a mistake in the arguments.
[[noreturn]] void Refuse(const std::string& option, const std::string& text,
                         const std::string& expected) {
  throw CLI::ValidationError(option, "'" + text + "', expected " + expected);
}

// Appends the numbers of "1,2,3" of each text.
void ParseReals(const std::string& option,
                const std::vector<std::string>& given,
                std::vector<double>* numbers) {
  for (const std::string& text : given) {
    const char* at = text.data();
    const char* const end = at + text.size();
    for (;; ++at) {
      double number = 0;
      const auto result = std::from_chars(at, end, number);
      at = result.ptr;
      const bool ends = at == end || *at == ',';
      if (result.ec != std::errc() || !ends) {
        Refuse(option, text,
               "a number, or one for each channel as in 104,117,123");
      }
      numbers->push_back(number);
      if (at == end) break;
    }
  }
}

// An option with one number, or one for each channel: with commas between them,
// or given several times.
void AddPerChannelOption(CLI::App* app, const std::string& option,
                         const std::string& description,
                         const std::string& type_name,
                         std::vector<double>* numbers) {
  app->add_option_function<std::vector<std::string>>(
         option,
         [option, numbers](const std::vector<std::string>& given) {
           numbers->clear();
           ParseReals(option, given, numbers);
         },
         description)
      ->allow_extra_args(false)  // or it would take what follows it
      ->type_name(type_name);
}

}  // namespace

void DeclareDataOptions(CLI::App* app, DataOptions* options, bool is_required) {
  ImageOptions* images = &options->images;
  app->add_option("--data", options->path,
                  "Samples along the first dimension: an .npz, a minidb, "
                  "TensorProtos, or a folder of images or CSV files")
      ->required(is_required)
      ->type_name("PATH");
  app->add_option("--input", options->input,
                  "The input that images, CSV files or a minidb without names "
                  "are for (default: the net's only one)")
      ->type_name("BLOB");
  app->add_option_function<std::vector<std::string>>(
         "--shape",
         [options](const std::vector<std::string>& given) {
           for (const std::string& each : given) {
             const auto equals = each.rfind('=');
             std::vector<int64_t> shape;
             if (equals == std::string::npos || equals == 0 ||
                 !ParseNumbers(each.substr(equals + 1), ',', &shape)) {
               Refuse("--shape", each, "as in data=3,224,224");
             }
             options->shapes[each.substr(0, equals)] = shape;
           }
         },
         "CSV: the shape that a row has")
      ->type_name("BLOB=C,H,W");
  app->add_option("--csv-header", options->csv_header,
                  "CSV: whether the first line of a file is a header (default: "
                  "auto)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, DataOptions::CsvHeader>{
              {"auto", DataOptions::CsvHeader::kAuto},
              {"yes", DataOptions::CsvHeader::kYes},
              {"no", DataOptions::CsvHeader::kNo}}))
      ->type_name("auto|yes|no");
  app->add_option_function<std::string>(
         "--image-size",
         [images](const std::string& text) {
           std::vector<int64_t> sides;
           if (!ParseNumbers(text, 'x', &sides) || sides.size() != 2) {
             Refuse("--image-size", text, "as in 224x224");
           }
           images->height = sides[0];
           images->width = sides[1];
         },
         "Images: brought to this size (default: they have one size)")
      ->type_name("HxW");
  app->add_option("--layout", images->layout,
                  "Images: the order of dimensions (default: nchw)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, ImageOptions::Layout>{
              {"nchw", ImageOptions::Layout::kNchw},
              {"nhwc", ImageOptions::Layout::kNhwc}}))
      ->type_name("ORDER");
  app->add_option("--color", images->color,
                  "Images: rgb, bgr or gray (default: rgb)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, ImageOptions::Color>{
              {"rgb", ImageOptions::Color::kRgb},
              {"bgr", ImageOptions::Color::kBgr},
              {"gray", ImageOptions::Color::kGray}}))
      ->type_name("COLOR");
  app->add_option("--scale", images->scale,
                  "Images: a value is (S * pixel - mean) / std, with pixels "
                  "from 0 to 255 (default: 1)")
      ->type_name("S");
  AddPerChannelOption(app, "--mean",
                      "Images: the mean, or one for each channel (default: 0)",
                      "M[,M,M]", &images->mean);
  AddPerChannelOption(app, "--std",
                      "Images: the standard deviation, or one for each channel "
                      "(default: 1)",
                      "D[,D,D]", &images->std);
}

}  // namespace caffe2_quantization
