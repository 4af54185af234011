// A function in a forked process.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_IN_CHILD_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_IN_CHILD_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace caffe2_quantization {

// Forks and calls the function, which returns the status that the child ends
// with, 0 to 255. Returns that status; -1, and the test fails, for a child that
// a signal ends: one that waits for ever is killed by SIGALRM.
template <typename Function>
int InChild(const Function& function) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(function());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_IN_CHILD_H_
