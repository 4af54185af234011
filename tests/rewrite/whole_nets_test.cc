// Whole nets made int8 by the rewriter: all their operators but a few are int8,
// and they are at least as near to the float nets as those made by hand, and as
// the same nets with symmetric parameters.
#include "tests/support/whole_nets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <ostream>
#include <random>
#include <set>

#include "caffe2/core/net.h"
#include "tests/rewrite/net_case.h"
#include "tests/support/imported_nets.h"
#include "tests/support/measure_net.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

constexpr int kInputs = 5;

struct Case {
  std::string name;
  // The operators that stay float, by type.
  std::map<std::string, int> floats;

  friend std::ostream& operator<<(std::ostream& stream, const Case& of) {
    return stream << of.name;
  }
};

// A net and what it gives for several inputs.
class RewriteWholeNets : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string& name = GetParam().name;
    const auto& imported = ImportedNetNames();
    is_imported_ =
        std::find(imported.begin(), imported.end(), name) != imported.end();
    if (is_imported_) {
      const ImportedNet net = FeedImportedNet(&workspace_, name, 2, 64);
      floats_ = net.floats;
      data_ = net.data;
    } else {
      whole_ = FeedWholeNet(&workspace_, name, 2, 64);
      floats_ = whole_.floats;
      floats_.add_external_output(whole_.output);
      data_ = {"data"};
      for (const std::string& input : floats_.external_input()) {
        if (input.find("_indices") != std::string::npos ||
            input.find("_lengths") != std::string::npos) {
          data_.insert(input);
        }
      }
    }
    init_ = InitNetOf(floats_, workspace_, data_);
    const caffe2::Tensor first =
        workspace_.GetBlob("data")->Get<caffe2::Tensor>().Clone();
    for (int i = 0; i < kInputs; ++i) {
      inputs_.push_back(std::vector<float>(
          first.data<float>(), first.data<float>() + first.numel()));
      std::mt19937_64 random(static_cast<uint64_t>(i));
      std::normal_distribution<float> normal;
      if (i == 0) continue;
      for (float& value : inputs_.back()) value = normal(random);
    }
    shape_ = first.sizes().vec();
    // Calibrated on all of them, as users do.
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      FeedFloats(&workspace_, "data", inputs_[i], shape_);
      const Measurements run = MeasureNet(floats_, &workspace_, &data_);
      if (i == 0) {
        measurements_ = run;
      } else {
        Merge(run);
      }
    }
    // A Softmax or Sigmoid hides errors: what it reads is compared.
    for (const std::string& output : floats_.external_output()) {
      std::string compared = output;
      for (const caffe2::OperatorDef& op : floats_.op()) {
        if (op.output_size() > 0 && op.output(0) == output &&
            op.type() == "Softmax") {
          compared = op.input(0);
        }
      }
      compared_.push_back(compared);
    }
    for (const std::vector<float>& input : inputs_) {
      FeedFloats(&workspace_, "data", input, shape_);
      ASSERT_TRUE(workspace_.RunNetOnce(floats_));
      for (const std::string& name_of : compared_) {
        expected_.push_back(Fetch<float>(workspace_, name_of));
      }
    }
  }

  void Merge(const Measurements& run) {
    for (const std::string& name : data_) {
      Measured measured = *measurements_.Input(name);
      Merge(*run.Input(name), &measured);
      measurements_.SetInput(name, measured);
    }
    for (int i = 0; i < floats_.op_size(); ++i) {
      for (int slot = 0; slot < floats_.op(i).output_size(); ++slot) {
        Measured measured = *measurements_.Output(i, slot);
        Merge(*run.Output(i, slot), &measured);
        measurements_.SetOutput(i, slot, measured);
      }
    }
  }
  static void Merge(const Measured& run, Measured* measured) {
    measured->range.Merge(run.range);
    EXPECT_TRUE(measured->histogram.Merge(run.histogram).ok());
  }

  // The mean over inputs and outputs of what a net's floats are worth, in dB.
  double MeanSqnr(const caffe2::NetDef& init, caffe2::NetDef net) {
    caffe2::Workspace workspace;
    for (const std::string& name : data_) {
      workspace.CreateBlob(name)->Reset(new caffe2::Tensor(
          workspace_.GetBlob(name)->Get<caffe2::Tensor>().Clone()));
    }
    CAFFE_ENFORCE(workspace.RunNetOnce(init));
    CAFFE_ENFORCE(workspace.CreateNet(net));
    double sum = 0;
    std::size_t at = 0;
    for (const std::vector<float>& input : inputs_) {
      FeedFloats(&workspace, "data", input, shape_);
      CAFFE_ENFORCE(workspace.RunNet(net.name()));
      for (const std::string& name : compared_) {
        sum += SqnrOf(expected_[at++], Fetch<float>(workspace, name));
      }
    }
    return sum / static_cast<double>(expected_.size());
  }

  static void TearDownTestSuite() {
    if (nets_ < WholeNetNames().size() + ImportedNetNames().size()) return;
    std::printf("%zu nets: %.2f dB, with symmetric parameters %.2f dB\n", nets_,
                all_mine_ / static_cast<double>(nets_),
                all_by_magnitude_ / static_cast<double>(nets_));
    EXPECT_GE(all_mine_, all_by_magnitude_);
  }

  static double all_mine_, all_by_magnitude_;
  static std::size_t nets_;

  caffe2::Workspace workspace_;
  bool is_imported_ = false;
  WholeNet whole_;
  caffe2::NetDef floats_, init_;
  std::set<std::string> data_;
  std::vector<int64_t> shape_;
  std::vector<std::vector<float>> inputs_, expected_;
  std::vector<std::string> compared_;
  Measurements measurements_;
};

double RewriteWholeNets::all_mine_ = 0;
double RewriteWholeNets::all_by_magnitude_ = 0;
std::size_t RewriteWholeNets::nets_ = 0;

// The scales of Intel's calibrator: by the largest magnitude, around 0 where
// there are values of both signs.
Recipe Symmetric(Recipe recipe) {
  for (TensorChoice8& tensor : recipe.tensors) {
    if (!tensor.is_int8) continue;
    const double most = std::max(std::abs(tensor.min), std::abs(tensor.max));
    if (most == 0) continue;
    const bool is_signed = tensor.min < 0;
    tensor.parameters.scale =
        static_cast<float>(most / (is_signed ? 127 : 255));
    tensor.parameters.zero_point = is_signed ? 128 : 0;
  }
  return recipe;
}

TEST_P(RewriteWholeNets, AreInt8AndNearTheirFloats) {
  QuantizedNets nets;
  Status status =
      QuantizeNet(init_, floats_, measurements_, {}, HasInt8Key, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(IllFormed(nets, floats_, data_), "");
  std::map<std::string, int> kept;
  for (const OperatorChoice& choice : nets.recipe.operators) {
    const Reason reason = choice.decision.reason;
    if (reason != Reason::kInt8 && reason != Reason::kFolded &&
        reason != Reason::kUnused && reason != Reason::kConstant) {
      ++kept[choice.type];
    }
  }
  EXPECT_EQ(kept, GetParam().floats);
  const double mine = MeanSqnr(nets.init, nets.predict);

  QuantizedNets symmetric;
  status = QuantizeNetBy(Symmetric(nets.recipe), init_, floats_, HasInt8Key,
                         &symmetric);
  ASSERT_TRUE(status.ok()) << status.message();
  const double by_magnitude = MeanSqnr(symmetric.init, symmetric.predict);
  std::printf("%s: %.2f dB, with symmetric parameters %.2f dB",
              GetParam().name.c_str(), mine, by_magnitude);
  // Random weights have nearly symmetric values, so that the two differ by
  // chance; not so for all nets together.
  EXPECT_GE(mine, by_magnitude - 0.4);
  all_mine_ += mine;
  all_by_magnitude_ += by_magnitude;
  ++nets_;
  if (!is_imported_) {
    // Made of one run's ranges.
    FeedFloats(&workspace_, "data", inputs_[0], shape_);
    caffe2::NetDef hand = Int8Form(whole_, "ONEDNN", &workspace_);
    hand.set_name("by_hand");
    const double by_hand = MeanSqnr(init_, hand);
    std::printf(", by hand %.2f dB", by_hand);
    EXPECT_GE(mine, by_hand);
  }
  std::printf("; %lld bytes, float %lld\n",
              static_cast<long long>(nets.int8_bytes),
              static_cast<long long>(nets.float_bytes));
}

INSTANTIATE_TEST_SUITE_P(
    Nets, RewriteWholeNets,
    testing::Values(Case{"ResNet-18", {{"Softmax", 1}}},
                    Case{"ResNet-50", {{"Softmax", 1}}},
                    Case{"MobileNet-v2", {{"Softmax", 1}}},
                    Case{"SqueezeNet", {{"Softmax", 1}}},
                    Case{"Recommender", {{"SparseLengthsSum", 8}}},
                    Case{"EfficientNet-Lite0", {{"Softmax", 1}}},
                    Case{"SSD", {{"Softmax", 1}}},
                    // The states' products and the cell: steps are float.
                    Case{"LSTM", {{"RecurrentNetwork", 1}}}),
    [](const auto& info) {
      std::string name = info.param.name;
      for (char& c : name) {
        if (c == '-') c = '_';
      }
      return name;
    });

// No net of the suite is forgotten.
TEST(RewriteWholeNetsList, HasThemAll) {
  EXPECT_EQ(WholeNetNames().size() + ImportedNetNames().size(), 8u);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
