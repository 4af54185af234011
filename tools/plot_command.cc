// caffe2-quantize plot: starts the Python front, which draws the pictures.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tools/command.h"

namespace caffe2_quantization {
namespace {

constexpr char kPythonVariable[] = "CAFFE2_QUANTIZATION_PYTHON";
constexpr char kPathVariable[] = "PYTHONPATH";
constexpr char kProgram[] = R"(import sys
try:
    from caffe2_quantization.plots import main
except ImportError as error:
    sys.exit("plot_profile: %s" % error)
sys.exit(main(sys.argv[1:]))
)";

struct PlotArguments {
  std::string profile;
  std::string folder;
};

// Where the Python package is (empty: not found), and a Python for it.
struct PythonFront {
  std::string package_folder;
  std::string python = "python3";
};

// Looks in the folders above this program: those of a checkout, or of an
// installation.
PythonFront FindPythonFront() {
  PythonFront found;
  char buffer[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", buffer, sizeof(buffer));
  if (size <= 0 || size == sizeof(buffer)) return found;
  std::string folder(buffer, static_cast<std::size_t>(size));
  while (found.package_folder.empty() && !folder.empty()) {
    folder.resize(folder.rfind('/'));
    for (const char* place : {"/python", "/lib/python"}) {
      const std::string file =
          folder + place + "/caffe2_quantization/plot_profile.py";
      if (access(file.c_str(), R_OK) == 0)
        found.package_folder = folder + place;
    }
  }
  const std::string own = folder + "/.deps/venv/bin/python";
  if (access(own.c_str(), X_OK) == 0) found.python = own;
  const char* chosen = std::getenv(kPythonVariable);
  if (chosen != nullptr && *chosen != '\0') found.python = chosen;
  return found;
}

Status Draw(const PlotArguments& arguments) {
  const PythonFront front = FindPythonFront();
  if (!front.package_folder.empty()) {
    const char* others = std::getenv(kPathVariable);
    const std::string path =
        front.package_folder +
        (others == nullptr || *others == '\0' ? "" : std::string(":") + others);
    setenv(kPathVariable, path.c_str(), 1);
  }
  std::vector<std::string> words = {
      front.python,     "-c", kProgram,         "-o",
      arguments.folder, "--", arguments.profile};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(&word[0]);
  argv.push_back(nullptr);
  pid_t child;
  const int error = posix_spawnp(&child, front.python.c_str(), nullptr, nullptr,
                                 argv.data(), environ);
  if (error != 0) {
    return Status::IoError("cannot start '" + front.python + "': " +
                           std::strerror(error) + "; set " + kPythonVariable +
                           " to a Python with Caffe2 and matplotlib "
                           "(script/setup makes one)");
  }
  int state = 0;
  while (waitpid(child, &state, 0) < 0) {
    if (errno != EINTR) {
      return Status::IoError("cannot wait for '" + front.python +
                             "': " + std::strerror(errno));
    }
  }
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return Status::Ok();
  // It has said why.
  return Status::IoError("'" + front.python + "' did not draw '" +
                         arguments.profile + "'; " + kPythonVariable +
                         " chooses another Python");
}

}  // namespace

Command DeclarePlotCommand(CLI::App* app) {
  auto arguments = std::make_shared<PlotArguments>();
  app->add_option("profile", arguments->profile,
                  "A profile, as calibrate or merge write it")
      ->required();
  app->add_option("-o,--output", arguments->folder,
                  "Folder of the pictures and the HTML page")
      ->required();
  app->footer(
      "Needs Python 3.9 with Caffe2 and matplotlib: that of "
      "CAFFE2_QUANTIZATION_PYTHON, else the checkout's .deps/venv, else "
      "python3.");
  return [arguments] { return Draw(*arguments); };
}

}  // namespace caffe2_quantization
