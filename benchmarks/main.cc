// The benchmark runner: every case of a group in turn in one process, medians,
// a table of ratios to the host, JSON.
//
// This file has the system's C++ ABI and includes nothing of the host's; see
// benchmark_case.h.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/benchmark_case.h"

namespace {

struct Result {
  const BenchmarkCase* benchmark;
  std::vector<double> seconds;  // one a repetition

  double Median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t n = sorted.size();
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }
  // Half the distance between the quartiles, as a share of the median.
  double Spread() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t n = sorted.size();
    return (sorted[n - 1 - n / 4] - sorted[n / 4]) / 2 / Median();
  }
  double GigabytesPerSecond() const {
    return static_cast<double>(benchmark->bytes) / Median() / 1e9;
  }
};

// Speed-ups of one variant over the groups of one family, which is what stands
// before a group's first slash.
struct Family {
  std::string name;
  std::string variant;
  int groups = 0;
  double sum_of_logs = 0;
  double lowest = 0;
  std::string lowest_group;

  void Add(const std::string& group, double ratio) {
    if (groups == 0 || ratio < lowest) {
      lowest = ratio;
      lowest_group = group;
    }
    ++groups;
    sum_of_logs += std::log(ratio);
  }
  double Mean() const { return std::exp(sum_of_logs / groups); }
};

Family* FamilyOf(const BenchmarkCase& benchmark,
                 std::vector<Family>* families) {
  const std::string group = benchmark.group;
  const std::string name = group.substr(0, group.find('/'));
  for (Family& family : *families) {
    if (family.name == name && family.variant == benchmark.variant) {
      return &family;
    }
  }
  families->emplace_back();
  families->back().name = name;
  families->back().variant = benchmark.variant;
  return &families->back();
}

// Prints those of several groups; all of them as JSON.
nlohmann::json ReportFamilies(const std::vector<Family>& families) {
  std::printf("\n%-64s %-20s %9s %9s  of\n", "geometric means", "variant",
              "speed-up", "lowest");
  nlohmann::json rows = nlohmann::json::array();
  for (const Family& family : families) {
    rows.push_back({{"family", family.name},
                    {"variant", family.variant},
                    {"groups", family.groups},
                    {"speed_up", family.Mean()},
                    {"lowest", family.lowest},
                    {"lowest_group", family.lowest_group}});
    if (family.groups < 2) continue;
    std::printf("%-64s %-20s %8.2fx %8.2fx  %s\n",
                (family.name + ", " + std::to_string(family.groups)).c_str(),
                family.variant.c_str(), family.Mean(), family.lowest,
                family.lowest_group.c_str());
  }
  return rows;
}

std::string NameOf(const BenchmarkCase& benchmark) {
  return std::string(benchmark.group) + "/" + benchmark.variant;
}

// Collects what Google Benchmark measures; shows progress on a terminal.
class Collector final : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(std::map<std::string, Result>* results)
      : results_(results) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.error_occurred) {
        std::fprintf(stderr, "%s: %s\n", run.run_name.function_name.c_str(),
                     run.error_message.c_str());
        failed_ = true;
        continue;
      }
      if (run.run_type != Run::RT_Iteration) continue;
      results_->at(run.run_name.function_name)
          .seconds.push_back(run.real_accumulated_time /
                             static_cast<double>(run.iterations));
    }
  }
  bool failed() const { return failed_; }

 private:
  std::map<std::string, Result>* results_;
  bool failed_ = false;
};

std::string ProcessorName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown";
}

std::string FormatTime(double seconds) {
  char text[32];
  if (seconds < 1e-3) {
    std::snprintf(text, sizeof(text), "%.2f us", seconds * 1e6);
  } else {
    std::snprintf(text, sizeof(text), "%.2f ms", seconds * 1e3);
  }
  return text;
}

void AddRun(const BenchmarkCase* each, double min_time, int repetitions) {
  benchmark::RegisterBenchmark(
      NameOf(*each).c_str(),
      [each](benchmark::State& state) {
        void* data = each->set_up(each);
        each->run(data);  // caches, pages, lazily made primitives
        for (auto _ : state) each->run(data);
        each->tear_down(data);
      })
      ->UseRealTime()
      ->MinTime(min_time)
      ->Repetitions(each->most_repetitions == 0
                        ? repetitions
                        : std::min(repetitions, each->most_repetitions));
}

int Usage() {
  std::fprintf(stderr,
               "usage: script/bench [--json FILE] [--filter RE] "
               "[--repetitions N] [--min-time SECONDS]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  // All but the groups that take minutes and some GiB.
  std::string json_path, filter = "-^Beyond the cache/";
  int repetitions = 9;
  double min_time = 0.1;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i];
    if (i + 1 == argc) return Usage();
    const char* value = argv[i + 1];
    if (option == "--json") {
      json_path = value;
    } else if (option == "--filter") {
      filter = value;
    } else if (option == "--repetitions" && std::atoi(value) > 0) {
      repetitions = std::atoi(value);
    } else if (option == "--min-time" && std::atof(value) > 0) {
      min_time = std::atof(value);
    } else {
      return Usage();
    }
  }

  caffe2_quantization_benchmark_init(argv[0]);
  std::size_t count = 0;
  const BenchmarkCase* cases = caffe2_quantization_benchmark_cases(&count);
  std::map<std::string, Result> results;
  for (std::size_t i = 0; i < count; ++i) {
    results[NameOf(cases[i])] = {&cases[i], {}};
    AddRun(&cases[i], min_time, repetitions);
  }

  // The repetitions of all cases are shuffled, so that a slow minute of the
  // machine falls on every variant alike.
  std::string program = argv[0];
  std::string filter_flag = "--benchmark_filter=" + filter;
  std::string shuffle_flag = "--benchmark_enable_random_interleaving=true";
  char* flags[] = {program.data(), filter_flag.data(), shuffle_flag.data(),
                   nullptr};
  int flag_count = 3;
  benchmark::Initialize(&flag_count, flags);
  Collector collector(&results);
  if (benchmark::RunSpecifiedBenchmarks(&collector) == 0) {
    std::fprintf(stderr, "no benchmark matches '%s'\n", filter.c_str());
    return 1;
  }

  const std::string processor = ProcessorName();
  std::printf(
      "processor  %s, %u cores\nISA        %s\nhost       Caffe2 %s\n"
      "threads    %d\ncompiler   %s\nmedian of  %d repetitions\n\n",
      processor.c_str(), std::thread::hardware_concurrency(),
      caffe2_quantization_benchmark_isa(),
      caffe2_quantization_benchmark_host_version(),
      caffe2_quantization_benchmark_threads(), __VERSION__, repetitions);
  std::printf("%-64s %-20s %12s %8s %8s %9s\n", "group", "variant", "median",
              "spread", "GB/s", "speed-up");
  nlohmann::json rows = nlohmann::json::array();
  std::vector<Family> families;
  const Result* baseline = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    const Result& result = results.at(NameOf(cases[i]));
    if (result.seconds.empty()) continue;
    const bool new_group =
        baseline == nullptr ||
        std::strcmp(baseline->benchmark->group, cases[i].group) != 0;
    if (new_group) baseline = &result;
    const double ratio = baseline->Median() / result.Median();
    if (&result != baseline) {
      FamilyOf(cases[i], &families)->Add(cases[i].group, ratio);
    }
    char rate[16] = "";
    if (cases[i].bytes != 0) {
      std::snprintf(rate, sizeof(rate), "%.2f", result.GigabytesPerSecond());
    }
    std::printf("%-64s %-20s %12s %7.1f%% %8s %8.2fx\n",
                new_group ? cases[i].group : "", cases[i].variant,
                FormatTime(result.Median()).c_str(), result.Spread() * 100,
                rate, ratio);
    rows.push_back({{"group", cases[i].group},
                    {"variant", cases[i].variant},
                    {"median_seconds", result.Median()},
                    {"spread", result.Spread()},
                    {"bytes", cases[i].bytes},
                    {"speed_up", ratio},
                    {"baseline", baseline->benchmark->variant},
                    {"seconds", result.seconds}});
  }
  const nlohmann::json means = ReportFamilies(families);
  if (!json_path.empty()) {
    const nlohmann::json json = {
        {"processor", processor},
        {"cores", std::thread::hardware_concurrency()},
        {"isa", caffe2_quantization_benchmark_isa()},
        {"host", caffe2_quantization_benchmark_host_version()},
        {"threads", caffe2_quantization_benchmark_threads()},
        {"compiler", __VERSION__},
        {"time", std::time(nullptr)},
        {"repetitions", repetitions},
        {"means", means},
        {"results", rows}};
    std::ofstream stream(json_path);
    stream << json.dump(2) << '\n';
    stream.close();
    if (!stream) {
      std::fprintf(stderr, "cannot write '%s': %s\n", json_path.c_str(),
                   std::strerror(errno));
      return 1;
    }
  }
  return collector.failed() ? 1 : 0;
}
