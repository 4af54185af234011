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

#include "base/path_lock.h"
#include "base/return_if_error.h"
#include "caffe2/core/net.h"
#include "caffe2/core/workspace.h"
#include "netdef/host_error.h"
#include "netdef/load_net.h"
#include "netdef/net_inputs.h"
#include "observers/attachment.h"
#include "serialization/content_hash.h"
#include "workflow/load_model.h"

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

// The form of the settings below. One of before has no form, and kept less.
constexpr char kForm[] = "form of the checkpoint";
constexpr char kFormNow[] = "caffe2-quantize calibrate, 2";
// Of the samples that were used, the first and the last: those that a run which
// goes on can read again without reading all.
constexpr char kFirstBatch[] = "samples of the first batch";
constexpr char kLastBatch[] = "samples of the last batch that was done";
// Files and weights that have a setting each; of more, neighbours share one.
constexpr size_t kMostListed = 1024;
constexpr size_t kMostToldDifferences = 8;
// A checkpoint by time costs at most this share of it.
constexpr double kSecondsPerSecondOfWriting = 50;

double SteadySeconds() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Names and values go into a profile, whose texts are UTF-8: other bytes than
// ASCII's printable ones become \\xNN.
std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c >= 0x20 && c < 0x7f && c != '\\') {
      escaped += c;
      continue;
    }
    char digits[8];
    std::snprintf(digits, sizeof(digits), "\\x%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    escaped += digits;
  }
  return escaped;
}

std::string DescriptionOf(const DataFile& file) {
  char time[40];
  std::snprintf(time, sizeof(time), "%lld.%09lld",
                static_cast<long long>(file.modified_ns / 1'000'000'000),
                static_cast<long long>(file.modified_ns % 1'000'000'000));
  return std::to_string(file.size) + " bytes, modified " + time + ", inode " +
         std::to_string(file.inode);
}

struct Item {
  std::string name;
  std::string value;
};

// Enters what the run depends on, one setting for each item, or for so many
// neighbours that there are kMostListed settings at most.
void AddItems(const std::string& what, const std::vector<Item>& items,
              Settings* settings) {
  (*settings)["number of " + what + "s"] = std::to_string(items.size());
  const size_t group = (items.size() + kMostListed - 1) / kMostListed;
  for (size_t i = 0; i < items.size(); i += group) {
    const size_t end = std::min(i + group, items.size());
    if (group == 1) {
      (*settings)[what + " '" + Escaped(items[i].name) + "'"] = items[i].value;
      continue;
    }
    ContentHash hash;
    for (size_t j = i; j < end; ++j) {
      hash.Add(items[j].name);
      hash.Add(items[j].value);
    }
    (*settings)[what + "s '" + Escaped(items[i].name) + "' to '" +
                Escaped(items[end - 1].name) + "'"] =
        std::to_string(end - i) + " with hash " + hash.Hex();
  }
}

Status CheckOptions(const CalibrateOptions& options) {
  if (options.batch_size < 1 || options.limit < 0 ||
      options.checkpoint_every < 0 || !(options.checkpoint_seconds >= 0)) {
    return Status::InvalidArgument(
        "batch size " + std::to_string(options.batch_size) + ", limit " +
        std::to_string(options.limit) + ", checkpoint every " +
        std::to_string(options.checkpoint_every) + " batches or " +
        std::to_string(options.checkpoint_seconds) +
        " seconds, expected 1 or more of the first and 0 or more of the "
        "others");
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
        clock_(options.clock ? options.clock : SteadySeconds),
        report_(*report),
        checkpoint_path_(options.profile_path + kCheckpointSuffix) {}
  Calibration(const Calibration&) = delete;
  Calibration& operator=(const Calibration&) = delete;
  // One that failed leaves no measurement in the process's table.
  ~Calibration() {
    if (measurement_ != nullptr) (void)DetachOutputMinMaxObserver(net_).ok();
  }

  Status Run() {
    RETURN_IF_ERROR(CheckOptions(options_));
    RETURN_IF_ERROR(lock_.Acquire(options_.profile_path));
    RETURN_IF_ERROR(Load());
    RETURN_IF_ERROR(CountSamples());
    int64_t first = 0;
    RETURN_IF_ERROR(Attach(&first));
    RETURN_IF_ERROR(RunBatches(first));
    return report_.stopped.empty() ? Finish() : Status::Ok();
  }

 private:
  void Note(const std::string& note) {
    report_.notes.push_back(note);
    if (on_note_) on_note_(note);
  }

  Status Load() {
    PredictModel predict;
    RETURN_IF_ERROR(ReadPredictModel(options_.predict_path, &predict));
    if (!options_.net_type.empty()) predict.net.set_type(options_.net_type);
    std::string init_path = options_.init_path;
    RETURN_IF_ERROR(ChooseWeights(predict, &init_path));
    InitModel init;
    RETURN_IF_ERROR(ReadInitModel(init_path, &init));
    RETURN_IF_ERROR(
        OpenBatchSource(options_.data, WantedOf(predict, init), &data_));
    for (const std::string& note : data_->notes()) Note(note);
    std::vector<std::string> notes;
    RETURN_IF_ERROR(
        LoadModel(init, predict, *data_, &workspace_, &notes, &net_));
    for (const std::string& note : notes) Note(note);
    predict_ = std::move(predict.net);
    // Whoever made them: the init net's own values, or a file that it loads.
    for (auto& each : HashesOfInputs(predict_, workspace_, data_->blobs())) {
      weights_.push_back({std::move(each.name), std::move(each.hash)});
    }
    report_.init_path = init_path;
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

  std::vector<Item> DescribedFiles() const {
    const std::string& root = options_.data.path;
    std::vector<Item> items;
    for (const DataFile& file : data_->files()) {
      // In a folder by the name in it, whether the folder was given as "a" or
      // as "a/".
      std::size_t begin = 0;
      if (file.path.size() > root.size()) {
        begin = root.size() + (file.path[root.size()] == '/' ? 1 : 0);
      }
      items.push_back({file.path.substr(begin), DescriptionOf(file)});
    }
    return items;
  }

  // A net's own hash leaves engines out, but their results differ.
  std::string HashOfEngines() const {
    ContentHash hash;
    for (const caffe2::OperatorDef& op : predict_.op()) hash.Add(op.engine());
    return hash.Hex();
  }

  // Of operators of the net itself, such as Load, which name a file.
  std::vector<std::string> FilesOfTheNet() const {
    std::vector<std::string> paths;
    for (const caffe2::OperatorDef& op : predict_.op()) {
      const caffe2::ArgumentHelper arguments(op);
      const bool is_absolute = arguments.GetSingleArgument("absolute_path", 0);
      auto given = arguments.GetRepeatedArgument<std::string>("dbs");
      given.push_back(arguments.GetSingleArgument<std::string>("db", ""));
      for (const std::string& path : given) {
        if (path.empty()) continue;
        paths.push_back(is_absolute ? path
                                    : workspace_.RootFolder() + '/' + path);
      }
    }
    return paths;
  }

  // What a run that goes on must have been started with.
  Settings MakeSettings() const {
    Settings settings = {
        {kForm, kFormNow},
        {"batch size", std::to_string(options_.batch_size)},
        {"data", Escaped(AbsolutePath(options_.data.path))},
        {"data form", data_->form()},
        {"engines of the net", HashOfEngines()},
        {"data samples", std::to_string(data_->samples())},
        {"limit", std::to_string(options_.limit)},
        {"shard", std::to_string(options_.shard) + "/" +
                      std::to_string(options_.shards)},
    };
    std::string inputs;
    for (const std::string& name : data_->blobs()) inputs += name + " ";
    settings["inputs"] = Escaped(inputs);
    for (const auto& [name, shape] : options_.data.shapes) {
      settings["shape of " + Escaped(name)] = DimsText(shape);
    }
    AddItems("weight", weights_, &settings);
    AddItems("data file", DescribedFiles(), &settings);
    for (const std::string& path : FilesOfTheNet()) {
      DataFile file;
      settings["file '" + Escaped(path) + "' that the net reads"] =
          DescribeFile(path, &file).ok() ? DescriptionOf(file) : "none";
    }
    if (data_->form() != "images") return settings;
    const ImageOptions& images = options_.data.images;
    settings["image color"] = Name(images.color);
    settings["image layout"] = Name(images.layout);
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
    // Or the next run would go on from the one that is not wanted.
    if (options_.restart) unlink(checkpoint_path_.c_str());
    const bool resumes = !options_.restart && Exists(checkpoint_path_);
    if (resumes) observer.resume_path = checkpoint_path_;
    const Status attached =
        AttachOutputMinMaxObserver(net_, observer, &measurement_);
    if (!attached.ok()) {
      return resumes ? CannotGoOn(attached.message()) : attached;
    }
    if (!resumes) return Status::Ok();

    const NetInfo info = measurement_->get_info();
    const Settings& found = info.checkpoint.settings;
    const int64_t done = info.checkpoint.batches;
    RETURN_IF_ERROR(CheckForm(found));
    RETURN_IF_ERROR(CompareSettings(found));
    if (done < 1 || done > batches_ || !IsOurs(done - 1)) {
      return CannotGoOn("it has " + std::to_string(done) +
                        " batches, expected one of this shard, and at most " +
                        std::to_string(batches_) + " in all");
    }
    RETURN_IF_ERROR(CompareBatches(found, done - 1));
    *first = done;
    checkpoint_.batches = done;
    is_kept_ = true;
    report_.resumed_samples = static_cast<int64_t>(info.samples);
    Note("goes on from '" + checkpoint_path_ +
         "': " + std::to_string(info.samples) + " of " +
         std::to_string(report_.samples) + " samples are done");
    return Status::Ok();
  }

  // Reads the first batch and the last one that was done, which leaves the data
  // behind that, and compares them with those that the checkpoint is of.
  Status CompareBatches(const Settings& found, int64_t last) {
    RETURN_IF_ERROR(data_->Skip(options_.shard * options_.batch_size));
    RETURN_IF_ERROR(ReadBatch(SizeOfBatch(options_.shard)));
    if (last != options_.shard) {
      RETURN_IF_ERROR(
          data_->Skip(last * options_.batch_size - data_->position()));
      RETURN_IF_ERROR(ReadBatch(SizeOfBatch(last)));
    }
    return CompareSettings(found);
  }

  // Fills the net's inputs, and hashes them before the net may change them.
  Status ReadBatch(int64_t count) {
    RETURN_IF_ERROR(data_->Next(count, &workspace_));
    ContentHash hash;
    for (const std::string& name : data_->blobs()) {
      hash.Add(HashOfBlob(*workspace_.GetBlob(name)));
    }
    checkpoint_.settings[kLastBatch] = hash.Hex();
    checkpoint_.settings.emplace(kFirstBatch, hash.Hex());
    return Status::Ok();
  }

  Status CannotGoOn(const std::string& reason) const {
    return Status::InvalidArgument(
        "cannot go on from the checkpoint '" + checkpoint_path_ +
        "': " + reason +
        "; run it with the same net, weights, data and settings, or start anew "
        "(--restart, or without that file)");
  }

  Status CheckForm(const Settings& found) const {
    if (found.empty()) return CannotGoOn("it is a finished profile");
    const auto form = found.find(kForm);
    if (form == found.end()) {
      return CannotGoOn(
          "it is of an earlier version, which did not keep enough to tell "
          "whether data and weights are still the same");
    }
    return form->second == kFormNow
               ? Status::Ok()
               : CannotGoOn("it is one of '" + form->second + "', expected '" +
                            kFormNow + "'");
  }

  // Compares the settings that are known by now.
  Status CompareSettings(const Settings& found) const {
    const Settings& expected = checkpoint_.settings;
    std::string told;
    size_t differences = 0;
    const auto compare = [&](const std::string& name) {
      const auto had = found.find(name), has = expected.find(name);
      const std::string old = had == found.end() ? "none" : had->second;
      const std::string now = has == expected.end() ? "none" : has->second;
      if (old == now || ++differences > kMostToldDifferences) return;
      told += (told.empty() ? "" : ", ") + name + " was '" + old +
              "' and is '" + now + "'";
    };
    for (const auto& setting : expected) compare(setting.first);
    for (const auto& setting : found) {
      const bool comes_later =
          setting.first == kFirstBatch || setting.first == kLastBatch;
      if (expected.count(setting.first) == 0 && !comes_later) {
        compare(setting.first);
      }
    }
    if (differences == 0) return Status::Ok();
    if (differences > kMostToldDifferences) {
      told += " and " + std::to_string(differences - kMostToldDifferences) +
              " more";
    }
    return CannotGoOn(told);
  }

  Status RunBatches(int64_t first) {
    int64_t done = report_.resumed_samples;
    int64_t since_checkpoint = 0;
    last_checkpoint_ = clock_();
    if (progress_) progress_({done, report_.samples});
    for (int64_t batch = first; batch < batches_; ++batch) {
      const int64_t count = SizeOfBatch(batch);
      if (!IsOurs(batch)) {
        RETURN_IF_ERROR(data_->Skip(count));
        continue;
      }
      if (options_.stop && options_.stop()) {
        Stop(done, since_checkpoint > 0);
        return Status::Ok();
      }
      RETURN_IF_ERROR(RunBatch(count));
      done += count;
      checkpoint_.batches = batch + 1;
      measurement_->set_samples(static_cast<uint64_t>(done));
      if (progress_) progress_({done, report_.samples});
      if (++since_checkpoint == options_.checkpoint_every || IsTime()) {
        since_checkpoint = 0;
        WriteCheckpoint();
      }
    }
    return Status::Ok();
  }

  // Whether a checkpoint is due by the clock.
  bool IsTime() const {
    return options_.checkpoint_every > 0 && options_.checkpoint_seconds > 0 &&
           clock_() - last_checkpoint_ >=
               std::max(options_.checkpoint_seconds,
                        kSecondsPerSecondOfWriting * checkpoint_cost_);
  }

  void Stop(int64_t done, bool has_unsaved) {
    if (has_unsaved) WriteCheckpoint();
    report_.stopped =
        "stopped after " + std::to_string(done) + " of " +
        std::to_string(report_.samples) + " samples, " +
        (is_kept_ ? "which '" + checkpoint_path_ + "' holds; to go on"
                  : "of which no checkpoint was kept; to begin anew");
  }

  Status RunBatch(int64_t count) {
    RETURN_IF_ERROR(ReadBatch(count));
    const std::string subject =
        options_.predict_path + " with weights of " + report_.init_path;
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
  void WriteCheckpoint() {
    const double begin = clock_();
    measurement_->set_checkpoint(checkpoint_);
    DumpOptions dump;
    dump.path = checkpoint_path_;
    dump.format = OutputMinMaxOptions::Format::kProfile;
    const Status status = measurement_->dump_as(dump);
    last_checkpoint_ = clock_();
    checkpoint_cost_ = last_checkpoint_ - begin;
    is_kept_ = status.ok();
    if (status.ok() || checkpoint_failed_) return;
    checkpoint_failed_ = true;
    Note("no checkpoint: " + status.message());
  }

  Status Finish() {
    const Status files = data_->CheckFiles();
    if (!files.ok()) Note(files.message() + " while it was read");
    measurement_->set_checkpoint({});
    DumpOptions dump;
    dump.path = options_.profile_path;
    dump.format = EndsIn(options_.profile_path, ".json")
                      ? OutputMinMaxOptions::Format::kProfileJson
                      : OutputMinMaxOptions::Format::kProfile;
    RETURN_IF_ERROR(measurement_->dump_as(dump));
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
  const std::function<double()> clock_;
  CalibrateReport& report_;
  const std::string checkpoint_path_;

  PathLock lock_;
  caffe2::NetDef predict_;
  std::unique_ptr<BatchSource> data_;
  int64_t samples_ = 0;  // of all shards, and so are the batches
  int64_t batches_ = 0;
  mutable caffe2::Workspace workspace_;  // RootFolder() is not const
  caffe2::NetBase* net_ = nullptr;       // of the workspace
  std::shared_ptr<NetMeasurement> measurement_;
  std::vector<Item> weights_;  // each with its hash
  Checkpoint checkpoint_;
  bool is_kept_ = false;  // checkpoint_ is on disk
  bool checkpoint_failed_ = false;
  double last_checkpoint_ = 0;  // by clock_
  double checkpoint_cost_ = 0;  // seconds that writing it took
};

}  // namespace

Status Calibrate(const CalibrateOptions& options,
                 const std::function<void(const std::string&)>& on_note,
                 const std::function<void(const CalibrateProgress&)>& progress,
                 CalibrateReport* report) {
  CalibrateReport made;
  RETURN_IF_ERROR(Calibration(options, on_note, progress, &made).Run());
  *report = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
