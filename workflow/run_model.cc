#include "workflow/run_model.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "base/nearest_name.h"
#include "base/return_if_error.h"
#include "caffe2/core/net.h"
#include "caffe2/core/tensor.h"
#include "caffe2/core/workspace.h"
#include "netdef/host_error.h"
#include "netdef/load_net.h"
#include "observers/attachment.h"
#include "workflow/load_model.h"

namespace caffe2_quantization {
namespace {

using caffe2::Tensor;

// "digits.minmax" and "byte" give "digits_byte.minmax".
std::string PathForLabel(const std::string& path, std::string label) {
  std::replace(label.begin(), label.end(), '/', '_');
  const auto slash = path.rfind('/');
  auto dot = path.rfind('.');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash)) {
    dot = path.size();
  }
  return path.substr(0, dot) + '_' + label + path.substr(dot);
}

// The class of each sample of a batch.
Status ReadLabels(const BatchSource& data, const std::string& name,
                  int64_t count, const caffe2::Workspace& workspace,
                  std::vector<int64_t>* labels) {
  const std::string subject = data.path() + ": label blob '" + name + "'";
  const Tensor& tensor = workspace.GetBlob(name)->Get<Tensor>();
  if (tensor.numel() != count) {
    return Status::InvalidArgument(subject + " has the shape " +
                                   DimsText(tensor.sizes().vec()) +
                                   ", expected one class for each of " +
                                   std::to_string(count) + " images");
  }
  if (tensor.IsType<int>()) {
    labels->assign(tensor.data<int>(), tensor.data<int>() + count);
  } else if (tensor.IsType<int64_t>()) {
    labels->assign(tensor.data<int64_t>(), tensor.data<int64_t>() + count);
  } else {
    return Status::InvalidArgument(subject + " has the type " +
                                   std::string(tensor.dtype().name()) +
                                   ", expected int32 or int64");
  }
  return Status::Ok();
}

// The class of highest score; NaN is never the highest. -1 when all are NaN.
int64_t TopClass(const float* scores, int64_t count) {
  int64_t top = -1;
  for (int64_t i = 0; i < count; ++i) {
    if (!std::isnan(scores[i]) && (top < 0 || scores[i] > scores[top])) top = i;
  }
  return top;
}

// One set of weights in its workspace.
class Model {
 public:
  Model(const RunOptions& options, const InitNet& init,
        const PredictModel& predict, const std::string& label_blob,
        BatchSource* data)
      : options_(options),
        init_(init),
        predict_(predict),
        label_blob_(label_blob),
        data_(*data) {}
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  // A run that failed leaves no measurement in the process's table.
  ~Model() {
    if (measurement_ != nullptr) (void)DetachOutputMinMaxObserver(net_).ok();
  }

  caffe2::Workspace* workspace() { return &workspace_; }
  const std::vector<float>& outputs() const { return outputs_; }

  // Makes the weights and the net. Appends to *notes.
  Status Load(std::vector<std::string>* notes) {
    RETURN_IF_ERROR(ReadInitModel(init_.path, &init_model_));
    return LoadModel(init_model_, predict_, data_, &workspace_, notes, &net_);
  }

  // Runs all passes. `reference` holds the outputs to compare with, or is null.
  Status Run(const std::function<void(const RunProgress&)>& progress,
             const Model* reference, ModelReport* report) {
    const std::string subject =
        options_.predict_path + " with weights of " + init_.path;
    const int64_t rows = data_.samples();
    report->images = rows * options_.repeat;
    std::function<NetInfo()> info;
    if (measurement_ != nullptr)
      info = [this] { return measurement_->get_info(); };
    for (int64_t pass = 0; pass < options_.repeat; ++pass) {
      RETURN_IF_ERROR(data_.Rewind());
      for (int64_t begin = 0; begin < rows; begin += options_.batch_size) {
        const int64_t count = std::min(options_.batch_size, rows - begin);
        RETURN_IF_ERROR(data_.Next(count, &workspace_));
        std::vector<int64_t> labels;
        if (!label_blob_.empty()) {
          RETURN_IF_ERROR(
              ReadLabels(data_, label_blob_, count, workspace_, &labels));
        }
        RETURN_IF_ERROR(CatchHostErrors(subject, [&] {
          const auto start = std::chrono::steady_clock::now();
          const bool success = net_->Run();
          const std::chrono::duration<double> elapsed =
              std::chrono::steady_clock::now() - start;
          report->seconds += elapsed.count();
          ++report->batches;
          return success
                     ? Status::Ok()
                     : Status::InvalidArgument(subject + ": the net failed");
        }));
        if (pass == 0) {
          RETURN_IF_ERROR(GatherOutput(labels, count, report));
        }
        if (progress) {
          progress(
              {init_.label, pass * rows + begin + count, report->images, info});
        }
      }
    }
    if (reference != nullptr) CompareOutputs(*reference, report);
    return Status::Ok();
  }

  Status Observe() {
    OutputMinMaxOptions observer;
    observer.format = OutputMinMaxOptions::Format::kMinMax;
    observer.recording.histogram_bins = options_.histogram_bins;
    return AttachOutputMinMaxObserver(net_, observer, &measurement_);
  }

  Status ReportRanges(const std::string& path, ModelReport* report) {
    report->observed = true;
    report->min_max = measurement_->get_info();
    if (!path.empty()) {
      RETURN_IF_ERROR(measurement_->dump(path));
      report->min_max_path = path;
    }
    measurement_.reset();
    return DetachOutputMinMaxObserver(net_);
  }

  void ReportWeights(Model* reference, ModelReport* report) {
    caffe2::Workspace* exact =
        reference == nullptr ? nullptr : reference->workspace();
    report->qtensors =
        FindQTensorWeights(init_model_.net, predict_.net, &workspace_, exact);
    report->byte_weights =
        FindByteWeights(init_model_.net, predict_.net, &workspace_, exact);
  }

 private:
  // Scores of one batch: counts what is right, keeps them for a comparison.
  Status GatherOutput(const std::vector<int64_t>& labels, int64_t count,
                      ModelReport* report) {
    const bool has_labels = !labels.empty();
    const std::string subject =
        options_.predict_path + ": output '" + options_.output_blob + "'";
    const caffe2::Blob* blob = workspace_.GetBlob(options_.output_blob);
    if (blob == nullptr) {
      std::vector<std::string> outputs;
      for (const caffe2::OperatorDef& op : predict_.net.op()) {
        outputs.insert(outputs.end(), op.output().begin(), op.output().end());
      }
      return Status::InvalidArgument(subject + " does not exist" +
                                     NameHint(options_.output_blob, outputs));
    }
    const bool is_float = caffe2::BlobIsTensorType(*blob, caffe2::CPU) &&
                          blob->Get<Tensor>().IsType<float>();
    if (!is_float) {
      if (!has_labels) return Status::Ok();
      return Status::InvalidArgument(
          subject + " holds " + std::string(blob->TypeName()) +
          ", expected a float tensor to compare with labels");
    }
    const Tensor& tensor = blob->Get<Tensor>();
    const float* scores = tensor.data<float>();
    outputs_.insert(outputs_.end(), scores, scores + tensor.numel());
    if (!has_labels) return Status::Ok();
    if (tensor.dim() < 2 || tensor.size(0) != count) {
      return Status::InvalidArgument(subject + " has the shape " +
                                     DimsText(tensor.sizes().vec()) +
                                     ", expected a row of scores for each of " +
                                     std::to_string(count) + " images");
    }
    report->has_accuracy = true;
    const int64_t classes = tensor.numel() / count;
    for (int64_t row = 0; row < count; ++row) {
      const int64_t top = TopClass(scores + row * classes, classes);
      if (top >= 0 && top == labels[static_cast<size_t>(row)]) {
        ++report->correct;
      }
    }
    return Status::Ok();
  }

  void CompareOutputs(const Model& reference, ModelReport* report) const {
    if (outputs_.empty() || outputs_.size() != reference.outputs_.size())
      return;
    double largest = 0;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const double change =
          std::fabs(static_cast<double>(outputs_[i]) - reference.outputs_[i]);
      if (!(change <= largest)) largest = change;
      if (std::isnan(largest)) break;
    }
    report->has_largest_output_change = true;
    report->largest_output_change = largest;
  }

  const RunOptions& options_;
  const InitNet& init_;
  const PredictModel& predict_;
  const std::string& label_blob_;
  BatchSource& data_;
  InitModel init_model_;
  caffe2::Workspace workspace_;
  caffe2::NetBase* net_ = nullptr;  // of the workspace
  std::shared_ptr<NetMeasurement> measurement_;
  std::vector<float> outputs_;  // of one pass
};

Status CheckOptions(const RunOptions& options) {
  if (options.init_nets.empty()) {
    return Status::InvalidArgument("no init net, expected at least one");
  }
  if (options.batch_size < 1 || options.repeat < 1) {
    return Status::InvalidArgument(
        "batch size " + std::to_string(options.batch_size) + ", repeat " +
        std::to_string(options.repeat) + ", expected 1 or more of both");
  }
  if (options.observe == RunOptions::Observe::kNone &&
      !options.min_max_path.empty()) {
    return Status::InvalidArgument("nothing to write to " +
                                   options.min_max_path +
                                   ": no model is observed");
  }
  std::set<std::string> labels;
  for (const InitNet& init : options.init_nets) {
    if (!labels.insert(init.label).second) {
      return Status::InvalidArgument("two init nets are called '" + init.label +
                                     "'; give them labels: LABEL=FILE");
    }
  }
  return Status::Ok();
}

// Opens the data and finds its labels.
Status OpenData(const RunOptions& options, WantedBlobs wanted,
                RunReport* report, std::unique_ptr<BatchSource>* data) {
  const std::string label =
      options.label_blob.empty() ? "label" : options.label_blob;
  wanted.extras = wanted.labels = {label};
  RETURN_IF_ERROR(OpenBatchSource(options.data, wanted, data));
  const BatchSource& source = **data;
  if (Contains(source.blobs(), label)) {
    report->label_blob = label;
  } else if (!options.label_blob.empty()) {
    return Status::InvalidArgument(source.path() +
                                   ": there is no label blob '" + label + "'" +
                                   DidYouMean(label, source.names()) +
                                   "; the data has: " + Joined(source.names()));
  } else {
    report->notes.push_back("no label blob in " + source.path() +
                            ": accuracy is unknown");
  }
  report->notes.insert(report->notes.end(), source.notes().begin(),
                       source.notes().end());
  return Status::Ok();
}

}  // namespace

Status RunModels(const RunOptions& given,
                 const std::function<void(const RunProgress&)>& progress,
                 RunReport* report) {
  RunOptions options = given;
  PredictModel predict;
  if (given.init_nets.empty()) {
    // Only a predictor does without.
    InitNet init;
    RETURN_IF_ERROR(ReadPredictModel(options.predict_path, &predict));
    RETURN_IF_ERROR(ChooseWeights(predict, &init.path));
    init.label = StemOf(init.path);
    options.init_nets.push_back(init);
  }
  RETURN_IF_ERROR(CheckOptions(options));
  if (predict.path.empty()) {
    RETURN_IF_ERROR(ReadPredictModel(options.predict_path, &predict));
  }
  if (!options.net_type.empty()) predict.net.set_type(options.net_type);
  if (options.output_blob.empty()) {
    if (predict.net.external_output_size() == 0) {
      return Status::InvalidArgument(
          options.predict_path +
          ": the net declares no external output; name the output blob "
          "(--output)");
    }
    options.output_blob = predict.net.external_output(0);
  }

  RunReport result;
  result.predict_path = options.predict_path;
  result.data_path = options.data.path;
  result.net_name = predict.net.name();
  result.net_type = predict.net.type().empty() ? "simple" : predict.net.type();
  result.output_blob = options.output_blob;
  result.batch_size = options.batch_size;
  result.repeat = options.repeat;

  std::unique_ptr<BatchSource> data;
  {
    InitModel init;
    RETURN_IF_ERROR(ReadInitModel(options.init_nets.front().path, &init));
    RETURN_IF_ERROR(OpenData(options, WantedOf(predict, init), &result, &data));
  }
  result.images = data->samples();
  if (options.repeat > std::numeric_limits<int64_t>::max() / result.images) {
    return Status::OutOfRange("repeat " + std::to_string(options.repeat) +
                              " is too large for " +
                              std::to_string(result.images) + " images");
  }

  std::unique_ptr<Model> reference;
  for (const InitNet& init : options.init_nets) {
    ModelReport model_report;
    model_report.label = init.label;
    model_report.init_path = init.path;
    auto model = std::make_unique<Model>(options, init, predict,
                                         result.label_blob, data.get());
    std::vector<std::string> notes;
    RETURN_IF_ERROR(model->Load(&notes));
    for (std::string& note : notes) {
      if (!Contains(result.notes, note)) {
        result.notes.push_back(std::move(note));
      }
    }

    const bool observed =
        options.observe == RunOptions::Observe::kAll ||
        (options.observe == RunOptions::Observe::kReference && !reference);
    if (observed) RETURN_IF_ERROR(model->Observe());
    RETURN_IF_ERROR(model->Run(progress, reference.get(), &model_report));
    if (observed) {
      const bool beside = reference && !options.min_max_path.empty();
      RETURN_IF_ERROR(model->ReportRanges(
          beside ? PathForLabel(options.min_max_path, init.label)
                 : options.min_max_path,
          &model_report));
    }
    model->ReportWeights(reference.get(), &model_report);
    result.models.push_back(std::move(model_report));
    if (!reference) reference = std::move(model);
  }
  *report = std::move(result);
  return Status::Ok();
}

}  // namespace caffe2_quantization
