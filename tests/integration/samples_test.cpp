#include <gtest/gtest.h>

#include "tests/integration/box.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {
namespace {

class Samples : public ::testing::TestWithParam<const char*> {};

TEST_P(Samples, ArriveWhileTheDaemonRunsAndGiveExactlyWhatTheOfficialClientGave) {
  Box box;
  copy_run_log_sample(GetParam(), box.runs());
  box.wait_synced();
  EXPECT_EQ(differs_from_sample(box, GetParam()), "");
}

TEST_P(Samples, LieThereWhenTheDaemonStartsAndGiveExactlyWhatTheOfficialClientGave) {
  Box box({.start = false});
  copy_run_log_sample(GetParam(), box.runs());
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(differs_from_sample(box, GetParam()), "");
  EXPECT_EQ(box.stop_daemon(), 0);
}

INSTANTIATE_TEST_SUITE_P(All, Samples, ::testing::Values("basic", "fork", "edge"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace neptune::testing
