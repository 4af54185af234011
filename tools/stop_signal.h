// Lets a long command end in order: a signal that asks the process to end
// (SIGINT, SIGTERM, SIGHUP) sets a flag, which the command reads between two
// steps. A second signal ends the process at once.
#ifndef CAFFE2_QUANTIZATION_TOOLS_STOP_SIGNAL_H_
#define CAFFE2_QUANTIZATION_TOOLS_STOP_SIGNAL_H_

#include <string>
#include <vector>

namespace caffe2_quantization {

// From now on the signals set the flag; those that the process ignores, as
// under nohup, stay ignored.
void CatchStopSignals();

// Returns the first signal that came since then; 0: none.
int StopSignal();

// What a command says if it ended because of a signal: the beginning of a
// sentence, which the whole command line completes. Empty: no command has.
void SetStopped(const std::string& so_far);
const std::string& Stopped();

// Returns the exit status by which a shell reports a process that a signal
// ended: 130 for SIGINT.
int ExitStatusOf(int signal);

// Returns the arguments as a line for the shell, quoted where needed, without
// the flag `without`.
std::string ShellLine(const std::vector<std::string>& arguments,
                      const std::string& without);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TOOLS_STOP_SIGNAL_H_
