// What a removal of the package asks, of a daemon that does not run.
#include <gtest/gtest.h>

#include "tests/systemd/service.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;

Ran check_unsent(const Box& box) {
  Process process({.binary = binary("neptune-syncd"),
                   .args = {"--config", box.dir() / "config.toml", "--check-unsent"},
                   .env = {},
                   .unset_env = {},
                   .output_dir = box.dir() / "output",
                   .name = "check-unsent",
                   .working_dir = {}});
  const auto status = process.wait(20s);
  return {status.value_or(-1), process.out(), process.err()};
}

TEST(CheckUnsent, TellsWhetherTheQueueOfAStoppedDaemonHoldsChanges) {
  Box box({.server = {}, .config = {}, .start = false});
  EXPECT_EQ(check_unsent(box).status, 0) << "there is no queue yet";
  box.start_daemon();
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  ASSERT_EQ(box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})").first, 202u);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto held = check_unsent(box);
  EXPECT_EQ(held.status, 1);
  EXPECT_NE(held.err.find("holds changes that are not on the server"), std::string::npos) << held.err;
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto sent = check_unsent(box);
  EXPECT_EQ(sent.status, 0) << sent.err;
}

}  // namespace
}  // namespace neptune::testing
