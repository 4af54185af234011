// Recipes and reports as JSON: protobuf's JSON of the messages of
// proto/recipe.proto. docs/formats.md has fields and rules.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_REWRITE_RECIPE_JSON_H_
#define CAFFE2_QUANTIZATION_REWRITE_RECIPE_JSON_H_

#include <cstddef>
#include <string>
#include <vector>

#include "base/status.h"
#include "rewrite/quantize_net.h"

namespace caffe2_quantization {
namespace rewrite {

// A longer text is neither written nor read.
constexpr std::size_t kMostRecipeBytes = std::size_t{64} << 20;

// The recipe as indented JSON. Scales are exact to the last bit; of a name that
// is not UTF-8 the wrong bytes become U+FFFD.
Status RecipeToJson(const Recipe& recipe, std::string* json);

// The reverse. A decision that was changed counts: "float" with the reason
// "int8" becomes the reason kRecipe, and "int8" with the reason of a float
// operator the reason kInt8. Errors name the field, the value found and the
// value expected: another format version, an unknown field, one that is
// missing, a value that contradicts the rules. *recipe is changed only on
// success.
Status RecipeFromJson(const std::string& json, Recipe* recipe);

// What was made, as indented JSON. `notes` is what the user should know of the
// nets that were read.
Status ReportToJson(const QuantizedNets& nets,
                    const std::vector<std::string>& notes, std::string* json);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_RECIPE_JSON_H_
