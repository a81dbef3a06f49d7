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

TEST(LateParent, AForkThatWasRefusedForWantOfItsParentIsMadeWhenThatArrives) {
  Box box;
  const auto aside = box.dir() / "aside";
  copy_run_log_sample("fork", aside);
  const auto move_in = [&](const std::string& run) {
    for (const auto& log : run_logs_in(aside))
      if (const auto name = log.parent_path().filename(); name.string().find(run) != std::string::npos)
        std::filesystem::rename(log.parent_path(), box.runs() / name);
  };
  move_in("m-child-1");
  const auto refused = [](const boost::json::value& status) {
    return status.at("totals").at("rejected").to_number<std::uint64_t>() == 1;
  };
  ASSERT_TRUE(box.wait_status(refused, std::chrono::seconds(60)).first);
  move_in("z-root-1");
  move_in("a-grandchild-1");
  const auto whole = [&box](const boost::json::value&) { return differs_from_sample(box, "fork").empty(); };
  EXPECT_TRUE(box.wait_status(whole, std::chrono::seconds(60)).first) << differs_from_sample(box, "fork");
  box.wait_synced();  // what was tried again counts as refused no more
}

INSTANTIATE_TEST_SUITE_P(All, Samples, ::testing::Values("basic", "fork", "edge"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace neptune::testing
