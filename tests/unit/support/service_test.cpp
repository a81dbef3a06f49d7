#include "support/service.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace neptune {
namespace {

class Service : public testing::Test {
 protected:
  Service() {
    for (const auto* name : {"NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "MANAGERPID", "INVOCATION_ID"}) ::unsetenv(name);
  }
  ~Service() override {
    for (const auto* name : {"NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "MANAGERPID", "INVOCATION_ID"}) ::unsetenv(name);
  }

  const std::string pid_ = std::to_string(::getpid());
};

TEST_F(Service, ThatAPersonStartedIsToldBySignals) {
  // A shell that systemd started hands these on.
  ::setenv("INVOCATION_ID", "0123", 1);
  ::setenv("SYSTEMD_EXEC_PID", "1", 1);
  EXPECT_EQ(reload_command(), "`kill -HUP " + pid_ + "`");
  EXPECT_EQ(restart_command(), "end it (`kill " + pid_ + "`) and start it again");
}

TEST_F(Service, OfSystemdIsToldThroughIt) {
  ::setenv("NOTIFY_SOCKET", "/run/systemd/notify", 1);
  EXPECT_EQ(reload_command(), "`systemctl reload neptune-syncd`");
  EXPECT_EQ(restart_command(), "`systemctl restart neptune-syncd`");
  ::setenv("MANAGERPID", "1234", 1);
  EXPECT_EQ(reload_command(), "`systemctl --user reload neptune-syncd`");
  ::unsetenv("NOTIFY_SOCKET");
  ::setenv("SYSTEMD_EXEC_PID", pid_.c_str(), 1);
  EXPECT_EQ(restart_command(), "`systemctl --user restart neptune-syncd`");
}

}  // namespace
}  // namespace neptune
