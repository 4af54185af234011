#include "tools/stop_signal.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "base/no_destructor.h"

namespace caffe2_quantization {
namespace {

std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free,
              "a signal handler may not wait for a lock");

constexpr char kStopping[] =
    "\ncaffe2-quantize: stops after this batch; once more to end at once\n";

// Calls nothing that is not safe in a signal handler.
void Handle(int signal) {
  int none = 0;
  if (!stop_signal.compare_exchange_strong(none, signal)) {
    _exit(ExitStatusOf(signal));
  }
  if (write(STDERR_FILENO, kStopping, sizeof(kStopping) - 1) < 0) {
    // Nobody is there to be told.
  }
}

std::string& StoppedText() {
  static NoDestructor<std::string> text;
  return *text;
}

bool IsPlain(const std::string& text) {
  return !text.empty() &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "_-+=./,:@%") == std::string::npos;
}

}  // namespace

void CatchStopSignals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) != 0 ||
        action.sa_handler == SIG_IGN) {
      continue;
    }
    action = {};
    action.sa_handler = Handle;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
  }
}

int StopSignal() { return stop_signal; }

void SetStopped(const std::string& so_far) { StoppedText() = so_far; }
const std::string& Stopped() { return StoppedText(); }

int ExitStatusOf(int signal) { return 128 + signal; }

std::string ShellLine(const std::vector<std::string>& arguments,
                      const std::string& without) {
  std::string line;
  for (const std::string& argument : arguments) {
    if (argument == without) continue;
    if (!line.empty()) line += ' ';
    if (IsPlain(argument)) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char c : argument) {
      line += c == '\'' ? "'\\''" : std::string(1, c);
    }
    line += '\'';
  }
  return line;
}

}  // namespace caffe2_quantization
