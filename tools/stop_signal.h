// Ends a long command in order: what the user or the system sends to end the
// process (SIGINT, SIGTERM, SIGHUP) becomes a flag, which the command reads
// between two steps. A second one ends the process at once.
#ifndef CAFFE2_QUANTIZATION_TOOLS_STOP_SIGNAL_H_
#define CAFFE2_QUANTIZATION_TOOLS_STOP_SIGNAL_H_

#include <string>
#include <vector>

namespace caffe2_quantization {

// From now on the signals set the flag; those that the process ignores, as
// under nohup, stay ignored.
void CatchStopSignals();

// The first signal that came since; 0: none.
int StopSignal();

// What a command that has ended because of it says: the beginning of a sentence
// that the whole command line ends. Empty: none has.
void SetStopped(const std::string& so_far);
const std::string& Stopped();

// How a shell reports a process that a signal ended: 130 for SIGINT.
int ExitStatusOf(int signal);

// The arguments as a line for the shell, quoted where that is needed, without
// the flag `without`.
std::string ShellLine(const std::vector<std::string>& arguments,
                      const std::string& without);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_STOP_SIGNAL_H_
