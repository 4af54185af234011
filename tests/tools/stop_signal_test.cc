#include "tools/stop_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace caffe2_quantization {
namespace {

TEST(StopSignalDeathTest, TheFirstIsAFlagTheSecondEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EXIT(
        {
          CatchStopSignals();
          raise(signal);
          _exit(StopSignal() == signal ? 3 : 4);
        },
        testing::ExitedWithCode(3), "stops after this batch");
    EXPECT_EXIT(
        {
          CatchStopSignals();
          raise(signal);
          raise(SIGINT);
          _exit(3);
        },
        testing::ExitedWithCode(130), "stops after this batch");
  }
}

TEST(StopSignalDeathTest, OneThatIsIgnoredStaysIgnored) {
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);
        CatchStopSignals();
        raise(SIGHUP);
        _exit(StopSignal() == 0 ? 3 : 4);
      },
      testing::ExitedWithCode(3), "^$");
}

TEST(ShellLine, QuotesWhatTheShellWouldRead) {
  EXPECT_EQ(ShellLine({"build/bin/caffe2-quantize", "--shape=x=1,2", "-o",
                       "a b", "it's", "", "$x", "--restart", "*.csv"},
                      "--restart"),
            "build/bin/caffe2-quantize --shape=x=1,2 -o 'a b' 'it'\\''s' '' "
            "'$x' '*.csv'");
}

}  // namespace
}  // namespace caffe2_quantization
