// A workspace or project turns read-only: its writes are held, the rest goes on, and the hold ends by itself.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/signals.h"
#include "tests/integration/support/http_client.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* quick_probes =
    "[read_only]\nprobe_interval = \"1s\"\nprobe_interval_max = \"2s\"\nrelease_ramp = \"200ms\"\n";

class ReadOnly : public ::testing::TestWithParam<const char*> {};

TEST_P(ReadOnly, WorkspaceIsHeldWhileItsNeighbourGoesOnAndResumesByItself) {
  Box box({.sandbox_args = {"--workspace", "full:team", "--workspace", "other:team"},
           .server = {},
           .config = quick_probes,
           .start = false});
  box.sandbox().control(fmt::format(
      R"({{"workspace": "full", "mode": "read_only", "style": "{}", "reason": "storage is full"}})", GetParam()));
  write_loss_log(box, "full/one", "r-1", 200);
  write_loss_log(box, "full/two", "r-2", 200);
  write_loss_log(box, "other/one", "r-3", 200);
  box.start_daemon();
  EXPECT_EQ(box.sync({"wait", "--project", "other/one", "--timeout", "30s"}).status, 0);
  EXPECT_EQ(misses_of_loss_log(box, "other/one/r-3", 200), "");

  const auto [held, status] =
      box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 402; });
  EXPECT_TRUE(held) << boost::json::serialize(status);
  const auto ran = box.sync({"status"});
  EXPECT_EQ(ran.status, 5) << ran.out;
  EXPECT_NE(ran.out.find("read-only"), std::string::npos) << ran.out;
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "1s"}).status, 5);

  // The hold and its changes survive a kill.
  box.kill_daemon();
  box.start_daemon();
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 402; }).first);

  box.sandbox().control(R"({"workspace": "full", "mode": "normal"})");
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "full/one/r-1", 200), "");
  EXPECT_EQ(misses_of_loss_log(box, "full/two/r-2", 200), "");
  EXPECT_EQ(box.sync({"status"}).status, 0);
  EXPECT_EQ(box.sandbox().state("summary=1").at("order_violations").as_int64(), 0);
}

INSTANTIATE_TEST_SUITE_P(EveryWayOfShowing, ReadOnly,
                         ::testing::Values("http_402", "http_403", "http_422", "http_402_bare", "http_422_bare",
                                           "suspended", "suspended_part"),
                         [](const auto& test) { return std::string(test.param); });

TEST(ReadOnlyMode, IsToldByAnEventALineOfTheLogAndAMetricWhenItBeginsAndWhenItEnds) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .server = {}, .config = quick_probes});
  const auto read_only_by_metric = [&box] {
    const auto metrics = http_unix(box.socket(), {.method = "GET", .target = "/metrics", .headers = {}, .body = {}});
    return metrics.body.find(R"(neptune_sync_workspace_mode{workspace="ml-team",mode="read_only"} 1)") !=
           std::string::npos;
  };
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "Storage limit exceeded"})");
  write_loss_log(box, "ml-team/one", "r-1", 5);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 6; }).first);
  EXPECT_TRUE(read_only_by_metric());
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "normal"})");
  box.wait_synced();
  EXPECT_FALSE(read_only_by_metric());
  const auto events = box.sync({"--json", "events"});
  std::size_t told = 0, logged = 0;
  for (auto at = events.out.find("\"mode_changed\""); at != std::string::npos;
       at = events.out.find("\"mode_changed\"", at + 1))
    ++told;
  EXPECT_EQ(told, 2u) << events.out;
  EXPECT_NE(events.out.find("Storage limit exceeded"), std::string::npos) << events.out;
  const auto log = box.daemon().err();
  for (auto at = log.find("level=info mode"); at != std::string::npos; at = log.find("level=info mode", at + 1))
    ++logged;
  EXPECT_EQ(logged, 2u) << log;
}

TEST(ReadOnlyMode, OfAWorkspaceIsToldOfItsProjectsToo) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .server = {}, .config = quick_probes});
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "Storage limit exceeded"})");
  write_loss_log(box, "ml-team/one", "r-1", 5);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 6; }).first);
  const auto one = box.get("/v1/workspaces/ml-team").at("projects").at(0);
  EXPECT_EQ(one.at("mode").as_string(), "read_only");
  EXPECT_TRUE(one.at("inherited").as_bool());
  EXPECT_NE(std::string(one.at("reason").as_string()).find("Storage limit exceeded"), std::string::npos);
  EXPECT_FALSE(one.at("next_probe_at").is_null());
  const auto probed = box.sync({"probe", "ml-team/one"});
  EXPECT_EQ(probed.status, 1);
  EXPECT_NE(probed.err.find("`neptune-sync probe ml-team`"), std::string::npos) << probed.err;
  const auto metrics = http_unix(box.socket(), {.method = "GET", .target = "/metrics", .headers = {}, .body = {}}).body;
  const std::string of_project = R"(neptune_sync_mode{workspace="ml-team",project="one",mode="read_only"} )";
  EXPECT_NE(metrics.find(of_project + "0"), std::string::npos) << "its own mode: else one cause were many alerts";

  EXPECT_EQ(box.sync({"hold", "ml-team/one"}).status, 0);
  const auto held = box.get("/v1/workspaces/ml-team").at("projects").at(0);
  EXPECT_EQ(held.at("mode").as_string(), "held");
  EXPECT_FALSE(held.at("inherited").as_bool());
}

TEST(ReadOnlyProject, HoldsItsOwnWritesOnly) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .server = {}, .config = quick_probes, .start = false});
  box.sandbox().control(R"({"project": "ml-team/old", "archived": true})");
  write_loss_log(box, "ml-team/old", "r-1", 50);
  write_loss_log(box, "ml-team/new", "r-2", 50);
  box.start_daemon();
  EXPECT_EQ(box.sync({"wait", "--project", "ml-team/new", "--timeout", "30s"}).status, 0);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 51; }).first);
  const auto workspace = box.get("/v1/workspaces/ml-team");
  EXPECT_EQ(workspace.at("mode").as_string(), "normal");
  box.sandbox().control(R"({"project": "ml-team/old", "archived": false})");
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/old/r-1", 50), "");
  const auto metrics = http_unix(box.socket(), {.method = "GET", .target = "/metrics", .headers = {}, .body = {}}).body;
  const std::string probed = R"(neptune_sync_probes_total{workspace="ml-team",project=)";
  EXPECT_NE(metrics.find(probed + R"("old",result="normal"} 1)"), std::string::npos) << "one write, which opened it";
  EXPECT_EQ(metrics.find(probed + R"("new")"), std::string::npos);
}

TEST(ReadOnlyProject, SuspendedAloneIsNotTakenForItsWorkspace) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .server = {}, .config = quick_probes, .start = false});
  box.sandbox().control(R"({"project": "ml-team/old", "mode": "read_only", "style": "suspended"})");
  write_loss_log(box, "ml-team/old", "r-1", 50);
  write_loss_log(box, "ml-team/new", "r-2", 50);
  box.start_daemon();
  EXPECT_EQ(box.sync({"wait", "--project", "ml-team/new", "--timeout", "30s"}).status, 0);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 51; }).first);
  box.sandbox().control(R"({"project": "ml-team/old", "mode": "normal"})");
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/old/r-1", 50), "");
}

TEST(ReadOnlyDrain, OfThreeWorkspacesEndsWithEveryPointOnceWhateverSignsComeAndWithAKillInBetween) {
  const auto report = drain_under_signals({.signals = read_only_signals(), .flips = 8, .kills = 1, .seed = 1});
  EXPECT_EQ(fmt::format("{}", fmt::join(report.wrong, "\n")), "");
  EXPECT_GT(report.closings, 0);
}

TEST(OperatorHold, StandsUntilReleasedAlsoOverARestart) {
  Box box;
  const auto hold = box.sync({"hold", "ml-team"});
  ASSERT_EQ(hold.status, 0) << hold.err;
  write_loss_log(box, "ml-team/lab", "r-1", 20);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 21; }).first);
  EXPECT_EQ(box.sync({"status"}).status, 5);
  EXPECT_EQ(box.stop_daemon(), 0);
  box.start_daemon();
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 21; }).first);
  EXPECT_TRUE(box.sandbox().state("summary=1").at("runs").as_object().empty());
  const auto plan = box.sync({"release", "--dry-run", "ml-team"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_NE(plan.out.find("21 changes"), std::string::npos) << plan.out;
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/lab/r-1", 20), "");
}

TEST(OperatorHold, CallsOffWritesThatStillWaitForTheToken) {
  Box box({.sandbox_args = {"--workspace", "full:team"}, .server = {}, .config = quick_probes, .start = false});
  box.sandbox().control(R"({"fault": {"path": "/api/backend/v1/authorization/oauth-token", "delay_ms": 3000}})");
  write_loss_log(box, "full/lab", "logged", 1);
  box.start_daemon();
  const auto [status, answer] = box.hand_in(R"({"kind": "run.create", "project": "full/lab", "run": "handed-in"})");
  ASSERT_EQ(status, 202u) << boost::json::serialize(answer);
  const auto both_wait_for = [&box](std::string_view what) {
    return box
        .wait_status([&box, what](const auto&) {
          const auto streams = box.get("/v1/streams").at("streams");
          return std::ranges::count_if(streams.as_array(), [what](const auto& stream) {
                   return stream.at("waiting_for").as_string() == what;
                 }) == 2;
        })
        .first;
  };
  ASSERT_TRUE(both_wait_for("sending"));
  EXPECT_EQ(box.sync({"hold", "full"}).status, 0);
  EXPECT_TRUE(both_wait_for("workspace_held"));
  EXPECT_EQ(box.sandbox().state("traffic=1").at("traffic").as_array().size(), 0u);
  EXPECT_EQ(box.sync({"release", "full"}).status, 0);
  box.wait_synced();
}

TEST(OperatorHold, ADryRunAsksTheServerWhetherWhatIsHeldFitsIntoItsStorage) {
  Box box;
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  write_loss_log(box, "ml-team/lab", "r-1", 20);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 21; }).first);
  for (const bool fits : {true, false}) {
    box.sandbox().control(fmt::format(R"({{"workspace": "ml-team", "quota": {}}})", fits ? 1'000'000'000 : 1));
    const auto ran = box.sync({"--json", "release", "--dry-run", "ml-team"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto plan = boost::json::parse(ran.out);
    EXPECT_EQ(plan.at("changes").as_int64(), 21) << ran.out;
    EXPECT_GT(plan.at("bytes").as_int64(), 0) << ran.out;
    EXPECT_EQ(plan.at("fits").as_bool(), fits) << ran.out;
  }
}

TEST(OperatorHold, ReleaseOfAServersReadOnlyModeExplainsThatItCannot) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .server = {}, .config = quick_probes});
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "storage is full"})");
  write_loss_log(box, "ml-team/lab", "r-1", 5);
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 6; }).first);
  const auto release = box.sync({"release", "ml-team"});
  EXPECT_EQ(release.status, 1);
  EXPECT_NE(release.err.find("only the server can end that"), std::string::npos) << release.err;
}

}  // namespace
}  // namespace neptune::testing
