// SIGHUP: tokens, watched folders and limits are read anew, and nothing that is under way notices.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "tests/integration/loss_log.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/systemd/service.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;

/// A log of a run with points at `points` steps, closed, in a folder of the box.
void write_log(const Box& box, const std::string& folder, const std::string& run, std::uint64_t points) {
  RunLogWriter log(
      {.directory = box.dir() / folder, .project = "ml-team/lab", .run = run, .experiment = {}, .fork = {}});
  for (std::uint64_t step = 0; step < points; ++step) log.append(step * 1'000'000, {{"loss", 0.5}});
  log.close(false);
}

std::int64_t synced(const boost::json::value& status) {
  return status.at("totals").at("synced").as_int64();
}

bool has_source(const boost::json::value& status, const std::string& part) {
  for (const auto& source : status.at("sources").as_array())
    if (source.at("path").as_string().find(part) != std::string_view::npos) return true;
  return false;
}

TEST(Reload, FollowsAFolderThatWasAddedAndLetsGoOfOneThatWasTakenOut) {
  Box box({.server = {}, .config = {}, .start = false});
  write_log(box, "runs", "r-1", 9);
  write_log(box, "more", "r-2", 9);
  Service service(box);
  ASSERT_TRUE(box.wait_status([](const auto& status) { return synced(status) == 10; }).first);

  edit_config(box, "/runs\"", "/more\"");
  ASSERT_TRUE(service.reload());
  const auto [moved, status] =
      box.wait_status([](const auto& s) { return synced(s) == 20 && !has_source(s, "/runs"); });
  EXPECT_TRUE(moved) << boost::json::serialize(status);
  EXPECT_TRUE(has_source(status, "/more"));
  write_log(box, "runs", "r-3", 9);

  edit_config(box, "/more\"", "/runs\"");
  ASSERT_TRUE(service.reload());
  const auto [back, then] = box.wait_status([](const auto& s) { return synced(s) == 30 && has_source(s, "/runs"); });
  EXPECT_TRUE(back) << boost::json::serialize(then);
  EXPECT_EQ(box.sandbox().state("summary=1").at("order_violations").as_int64(), 0);
}

TEST(Reload, WhatIsUnderWayGoesOn) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  const Process job({.binary = binary("run-log-writer"),
                     .args = {"--dir", box.runs(), "--project", "ml-team/lab", "--run", "r-1", "--ops", "150",
                              "--interval-ms", "5", "--keep"},
                     .env = {},
                     .unset_env = {},
                     .output_dir = box.dir() / "output",
                     .name = {},
                     .working_dir = {}});
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(service.reload()) << service.daemon().err();
    EXPECT_EQ(
        box.hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-2", "append": {"x": 1}, "step": )" +
                    std::to_string(i) + "}")
            .first,
        202u);
  }
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "30s"}).status, 0);
  const auto state = box.sandbox().state("summary=1");
  EXPECT_EQ(state.at("order_violations").as_int64(), 0);
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

TEST(Reload, TakesUpTheLimitsOfTheQueue) {
  Box box({.server = {}, .config = "[queue]\nmax_bytes = \"20MiB\"\nmin_free_disk = \"0\"\n", .start = false});
  Service service(box);
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto change = R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"note": ")" +
                      std::string(900'000, 'x') + R"("}})";
  EXPECT_EQ(box.hand_in(change).first, 202u);
  edit_config(box, "20MiB", "1MiB");
  ASSERT_TRUE(service.reload());
  const auto [refused, answer] = box.hand_in(change);
  EXPECT_EQ(refused, 507u) << boost::json::serialize(answer);
  edit_config(box, "1MiB", "20MiB");
  ASSERT_TRUE(service.reload());
  EXPECT_EQ(box.hand_in(change).first, 202u);
}

TEST(Reload, AConfigurationThatIsWrongChangesNothingAndSaysWhere) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  edit_config(box, "[[watch]]", "[[watch]]\ntakeover_after = \"soon\"");
  EXPECT_TRUE(service.reload()) << "the service manager is told that the reload has ended";
  const auto log = service.daemon().err();
  EXPECT_NE(log.find("level=error not reloaded error="), std::string::npos) << log;
  EXPECT_NE(log.find("takeover_after"), std::string::npos) << log;
  EXPECT_NE(log.find("everything stays as it was"), std::string::npos) << log;
  write_log(box, "runs", "r-1", 9);
  EXPECT_TRUE(box.wait_status([](const auto& status) { return synced(status) == 10; }).first);
}

TEST(Reload, ATokenThatCannotBeUsedIsAProblemUntilItIsMended) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  const auto token = box.sandbox().token_file();
  std::filesystem::permissions(token, std::filesystem::perms{0644});
  ASSERT_TRUE(service.reload());
  EXPECT_NE(
      service.daemon().err().find("level=error token not taken up workspace=* code=token_file_readable_by_others"),
      std::string::npos)
      << service.daemon().err();
  // It syncs on, and says all the same what would become of it after a restart.
  write_log(box, "runs", "r-1", 9);
  ASSERT_TRUE(box.wait_status([](const auto& status) { return synced(status) == 10; }).first);
  const auto status = box.sync({"status"}).out;
  EXPECT_NE(status.find("is not used"), std::string::npos) << status;
  EXPECT_NE(status.find("chmod 600"), std::string::npos) << status;
  std::filesystem::permissions(token, std::filesystem::perms{0600});
  ASSERT_TRUE(service.reload());
  EXPECT_TRUE(box.get("/v1/status").at("problems").as_array().empty());
}

TEST(Reload, SaysWhichKeysNeedARestart) {
  Box box({.server = {}, .config = {}, .start = false});
  Service service(box);
  edit_config(box, "api.sock", "other.sock");
  EXPECT_TRUE(service.reload());
  EXPECT_NE(service.daemon().err().find("key=\"socket\"; that takes hold when the daemon is restarted"),
            std::string::npos);
  EXPECT_EQ(box.sync({"status"}).status, 0) << "it is where it was";
}

}  // namespace
}  // namespace neptune::testing
