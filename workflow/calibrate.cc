#include "workflow/calibrate.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "caffe2/core/net.h"
#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "quantization/path_lock.h"
#include "workflow/host_error.h"
#include "workflow/load_model.h"
#include "workflow/load_net.h"

namespace caffe2_quantization {
namespace {

using Settings = std::map<std::string, std::string>;

constexpr char kCheckpointSuffix[] = ".checkpoint";

bool EndsIn(const std::string& text, const std::string& end) {
  return text.size() >= end.size() &&
         text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string AbsolutePath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(
      realpath(path.c_str(), nullptr), std::free);
  return real != nullptr ? real.get() : path;
}

std::string NumbersText(const std::vector<double>& numbers) {
  std::string text;
  for (const double number : numbers) {
    char digits[32];
    std::snprintf(digits, sizeof(digits), "%.17g", number);
    text += (text.empty() ? "" : ",") + std::string(digits);
  }
  return text;
}

// Of the weights, whose net is not in a net's hash.
std::string HashOf(const caffe2::NetDef& net) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    net.SerializeToCodedStream(&coded);
  }
  char digits[17];
  std::snprintf(
      digits, sizeof(digits), "%016llx",
      static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return digits;
}

Status CheckOptions(const CalibrateOptions& options) {
  if (options.batch_size < 1 || options.limit < 0 ||
      options.checkpoint_every < 0) {
    return Status::InvalidArgument(
        "batch size " + std::to_string(options.batch_size) + ", limit " +
        std::to_string(options.limit) + ", checkpoint every " +
        std::to_string(options.checkpoint_every) +
        ", expected 1 or more of the first and 0 or more of the others");
  }
  if (options.shards < 1 || options.shard < 0 ||
      options.shard >= options.shards) {
    return Status::InvalidArgument("shard " + std::to_string(options.shard) +
                                   " of " + std::to_string(options.shards) +
                                   ", expected 0 to one less than the second");
  }
  if (options.profile_path.empty()) {
    return Status::InvalidArgument("no path of the profile");
  }
  return Status::Ok();
}

class Calibration {
 public:
  Calibration(const CalibrateOptions& options,
              const std::function<void(const std::string&)>& on_note,
              const std::function<void(const CalibrateProgress&)>& progress,
              CalibrateReport* report)
      : options_(options),
        on_note_(on_note),
        progress_(progress),
        report_(*report),
        checkpoint_path_(options.profile_path + kCheckpointSuffix) {}
  Calibration(const Calibration&) = delete;
  Calibration& operator=(const Calibration&) = delete;
  // One that failed leaves no measurement in the process's table.
  ~Calibration() {
    if (measurement_ != nullptr) (void)DetachOutputMinMaxObserver(net_).ok();
  }

  Status Run() {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckOptions(options_));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(lock_.Acquire(options_.profile_path));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Load());
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CountSamples());
    int64_t first = 0;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Attach(&first));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(RunBatches(first));
    return Finish();
  }

 private:
  void Note(const std::string& note) {
    report_.notes.push_back(note);
    if (on_note_) on_note_(note);
  }

  Status Load() {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadNetDef(options_.predict_path, &predict_));
    if (!options_.net_type.empty()) predict_.set_type(options_.net_type);
    caffe2::NetDef init;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadNetDef(options_.init_path, &init));
    weights_ = HashOf(init);
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        OpenBatchSource(options_.data, WantedOf(predict_, init), &data_));
    for (const std::string& note : data_->notes()) Note(note);
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        LoadModel(options_.init_path, init, options_.predict_path, predict_,
                  *data_, &workspace_, &net_));
    report_.init_path = options_.init_path;
    report_.predict_path = options_.predict_path;
    report_.data_path = options_.data.path;
    report_.profile_path = options_.profile_path;
    report_.data_form = data_->form();
    report_.net_type = predict_.type().empty() ? "simple" : predict_.type();
    report_.inputs = data_->blobs();
    report_.batch_size = options_.batch_size;
    report_.shard = options_.shard;
    report_.shards = options_.shards;
    return Status::Ok();
  }

  int64_t SizeOfBatch(int64_t batch) const {
    return std::min(options_.batch_size,
                    samples_ - batch * options_.batch_size);
  }
  bool IsOurs(int64_t batch) const {
    return batch % options_.shards == options_.shard;
  }

  Status CountSamples() {
    samples_ = data_->samples();
    if (options_.limit > 0) samples_ = std::min(samples_, options_.limit);
    batches_ = (samples_ - 1) / options_.batch_size + 1;
    if (options_.shard >= batches_) {
      Note("shard " + std::to_string(options_.shard) +
           " has no batch: there are " + std::to_string(batches_) + " for " +
           std::to_string(options_.shards) + " shards");
      return Status::Ok();
    }
    report_.batches = (batches_ - 1 - options_.shard) / options_.shards + 1;
    report_.samples = report_.batches * options_.batch_size;
    if (IsOurs(batches_ - 1)) {
      report_.samples += SizeOfBatch(batches_ - 1) - options_.batch_size;
    }
    return Status::Ok();
  }

  // What a run that goes on must have been started with.
  Settings MakeSettings() const {
    Settings settings = {
        {"batch size", std::to_string(options_.batch_size)},
        {"data", AbsolutePath(options_.data.path)},
        {"data bytes", std::to_string(data_->bytes())},
        {"data form", data_->form()},
        {"data samples", std::to_string(data_->samples())},
        {"limit", std::to_string(options_.limit)},
        {"shard", std::to_string(options_.shard) + "/" +
                      std::to_string(options_.shards)},
        {"weights", weights_},
    };
    std::string inputs;
    for (const std::string& name : data_->blobs()) inputs += name + " ";
    settings["inputs"] = inputs;
    for (const auto& [name, shape] : options_.data.shapes) {
      settings["shape of " + name] = DimsText(shape);
    }
    if (data_->form() != "images") return settings;
    const ImageOptions& images = options_.data.images;
    settings["image color"] = std::to_string(static_cast<int>(images.color));
    settings["image layout"] = std::to_string(static_cast<int>(images.layout));
    settings["image mean"] = NumbersText(images.mean);
    settings["image scale"] = NumbersText({images.scale});
    settings["image size"] =
        std::to_string(images.height) + "x" + std::to_string(images.width);
    settings["image std"] = NumbersText(images.std);
    return settings;
  }

  // Attaches the observer, to what a checkpoint holds if there is one, and
  // passes over the data that is in it. *first is the batch to go on with.
  Status Attach(int64_t* first) {
    checkpoint_.settings = MakeSettings();
    OutputMinMaxOptions observer;
    observer.recording = options_.recording;
    const bool resumes = !options_.restart && Exists(checkpoint_path_);
    if (resumes) observer.resume_path = checkpoint_path_;
    const Status attached =
        AttachOutputMinMaxObserver(net_, observer, &measurement_);
    if (!attached.ok()) {
      return resumes ? CannotGoOn(attached.message()) : attached;
    }
    if (!resumes) return Status::Ok();

    const NetInfo info = measurement_->get_info();
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        CompareSettings(info.checkpoint.settings));
    *first = info.checkpoint.batches;
    if (*first > batches_) {
      return CannotGoOn("it has " + std::to_string(*first) +
                        " batches, expected at most " +
                        std::to_string(batches_));
    }
    report_.resumed_samples = static_cast<int64_t>(info.samples);
    Note("goes on from '" + checkpoint_path_ +
         "': " + std::to_string(info.samples) + " of " +
         std::to_string(report_.samples) + " samples are done");
    return data_->Skip(std::min(*first * options_.batch_size, samples_));
  }

  Status CannotGoOn(const std::string& reason) const {
    return Status::InvalidArgument(
        "cannot go on from the checkpoint '" + checkpoint_path_ + "': " +
        reason + "; run it with the same settings, or start anew (restart)");
  }

  Status CompareSettings(const Settings& found) const {
    if (found.empty()) return CannotGoOn("it is a finished profile");
    const Settings& expected = checkpoint_.settings;
    std::string differences;
    const auto compare = [&](const std::string& name) {
      const auto had = found.find(name), has = expected.find(name);
      const std::string old = had == found.end() ? "none" : had->second;
      const std::string now = has == expected.end() ? "none" : has->second;
      if (old == now) return;
      differences += (differences.empty() ? "" : ", ") + name + " was '" + old +
                     "' and is '" + now + "'";
    };
    for (const auto& setting : expected) compare(setting.first);
    for (const auto& setting : found) {
      if (expected.count(setting.first) == 0) compare(setting.first);
    }
    return differences.empty() ? Status::Ok() : CannotGoOn(differences);
  }

  Status RunBatches(int64_t first) {
    int64_t done = report_.resumed_samples;
    int64_t since_checkpoint = 0;
    if (progress_) progress_({done, report_.samples});
    for (int64_t batch = first; batch < batches_; ++batch) {
      const int64_t count = SizeOfBatch(batch);
      if (!IsOurs(batch)) {
        CAFFE2_QUANTIZATION_RETURN_IF_ERROR(data_->Skip(count));
        continue;
      }
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(RunBatch(count));
      done += count;
      measurement_->set_samples(static_cast<uint64_t>(done));
      if (progress_) progress_({done, report_.samples});
      if (++since_checkpoint == options_.checkpoint_every) {
        since_checkpoint = 0;
        WriteCheckpoint(batch + 1);
      }
    }
    return Status::Ok();
  }

  Status RunBatch(int64_t count) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(data_->Next(count, &workspace_));
    const std::string subject =
        options_.predict_path + " with weights of " + options_.init_path;
    return CatchHostErrors(subject, [&] {
      const auto start = std::chrono::steady_clock::now();
      const bool success = net_->Run();
      const std::chrono::duration<double> elapsed =
          std::chrono::steady_clock::now() - start;
      report_.seconds += elapsed.count();
      return success ? Status::Ok()
                     : Status::InvalidArgument(subject + ": the net failed");
    });
  }

  // A failure costs the checkpoint, not the run; it is told once.
  void WriteCheckpoint(int64_t batches) {
    checkpoint_.batches = batches;
    measurement_->set_checkpoint(checkpoint_);
    DumpOptions dump;
    dump.path = checkpoint_path_;
    dump.format = OutputMinMaxOptions::Format::kProfile;
    const Status status = measurement_->dump_as(dump);
    if (status.ok() || checkpoint_failed_) return;
    checkpoint_failed_ = true;
    Note("no checkpoint: " + status.message());
  }

  Status Finish() {
    measurement_->set_checkpoint({});
    DumpOptions dump;
    dump.path = options_.profile_path;
    dump.format = EndsIn(options_.profile_path, ".json")
                      ? OutputMinMaxOptions::Format::kProfileJson
                      : OutputMinMaxOptions::Format::kProfile;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(measurement_->dump_as(dump));
    if (unlink(checkpoint_path_.c_str()) != 0 && errno != ENOENT) {
      Note("cannot remove '" + checkpoint_path_ + "': " + std::strerror(errno));
    }
    report_.info = measurement_->get_info();
    measurement_.reset();
    return DetachOutputMinMaxObserver(net_);
  }

  const CalibrateOptions& options_;
  const std::function<void(const std::string&)>& on_note_;
  const std::function<void(const CalibrateProgress&)>& progress_;
  CalibrateReport& report_;
  const std::string checkpoint_path_;

  PathLock lock_;
  caffe2::NetDef predict_;
  std::string weights_;  // a hash of the net that makes them
  std::unique_ptr<BatchSource> data_;
  int64_t samples_ = 0;  // of all shards, and so are the batches
  int64_t batches_ = 0;
  caffe2::Workspace workspace_;
  caffe2::NetBase* net_ = nullptr;  // of the workspace
  std::shared_ptr<NetMeasurement> measurement_;
  Checkpoint checkpoint_;
  bool checkpoint_failed_ = false;
};

}  // namespace

Status Calibrate(const CalibrateOptions& options,
                 const std::function<void(const std::string&)>& on_note,
                 const std::function<void(const CalibrateProgress&)>& progress,
                 CalibrateReport* report) {
  CalibrateReport made;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Calibration(options, on_note, progress, &made).Run());
  *report = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
