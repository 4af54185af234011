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
#include <sstream>
#include <string>
#include <vector>

#include "tools/command.h"

namespace caffe2_quantization {
namespace {

constexpr char kPythonVariable[] = "CAFFE2_QUANTIZATION_PYTHON";
constexpr char kPathVariable[] = "PYTHONPATH";
// In the folder of the Python package.
constexpr char kScript[] = "/caffe2_quantization/plot_profile.py";

struct PlotArguments {
  std::string profile;
  std::string folder;
};

// The script that draws, and a Python for it.
struct PythonFront {
  std::string script;
  std::string python = "python3";
};

bool Exists(const std::string& path, int mode) {
  return access(path.c_str(), mode) == 0;
}

// Looks beside this program alone: where an installation has the package, and
// in the checkout if this program stands in its build folder. Whoever can write
// to other folders shall not say what runs.
Status FindPythonFront(PythonFront* found) {
  char buffer[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", buffer, sizeof(buffer));
  if (size <= 0 || size == sizeof(buffer)) {
    return Status::IoError("cannot read /proc/self/exe");
  }
  std::string folder(buffer, static_cast<std::size_t>(size));
  folder.resize(folder.rfind('/'));
  const std::string installed =
      folder + "/" CAFFE2_QUANTIZATION_INSTALLED_PYTHON;
  const std::string checkout = folder + "/" CAFFE2_QUANTIZATION_CHECKOUT;
  if (Exists(installed + kScript, R_OK)) {
    found->script = installed + kScript;
  } else if (Exists(folder + "/../CMakeCache.txt", R_OK) &&
             Exists(checkout + "/python" + kScript, R_OK)) {
    found->script = checkout + "/python" + kScript;
    const std::string own = checkout + "/.deps/venv/bin/python";
    if (Exists(own, X_OK)) found->python = own;
  } else {
    return Status::IoError(
        "the Python front is not beside this program: there is no '" +
        installed + kScript +
        "'; a Python that has the package caffe2_quantization draws by "
        "python -m caffe2_quantization.plot_profile PROFILE -o FOLDER");
  }
  const char* chosen = std::getenv(kPythonVariable);
  if (chosen != nullptr && *chosen != '\0') found->python = chosen;
  return Status::Ok();
}

// Leaves the absolute folders of PYTHONPATH to the child. An empty one, as
// "PYTHONPATH=$PYTHONPATH:/more" makes it, is the working folder to Python.
void KeepAbsoluteFolders() {
  const char* given = std::getenv(kPathVariable);
  if (given == nullptr) return;
  std::istringstream folders(given);
  std::string kept;
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.compare(0, 1, "/") != 0) continue;
    kept += (kept.empty() ? "" : ":") + folder;
  }
  setenv(kPathVariable, kept.c_str(), 1);
}

Status Draw(const PlotArguments& arguments) {
  PythonFront front;
  const Status status = FindPythonFront(&front);
  if (!status.ok()) return status;
  KeepAbsoluteFolders();
  // By its path: "-c" and "-m" would put the working folder before all others.
  std::vector<std::string> words = {front.python, front.script,
                                    "-o",         arguments.folder,
                                    "--",         arguments.profile};
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
