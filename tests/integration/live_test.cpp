// Logs that a job still writes.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <csignal>
#include <filesystem>
#include <sstream>

#include "tests/integration/box.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;

Process writer(const Box& box, const std::string& run, std::vector<std::string> more) {
  std::vector<std::string> args = {"--dir", box.runs(), "--project", "ml-team/lab", "--run", run};
  args.insert(args.end(), more.begin(), more.end());
  return Process({.binary = binary("run-log-writer"),
                  .args = args,
                  .env = {},
                  .unset_env = {},
                  .output_dir = box.dir() / "output",
                  .name = "writer-" + run,
                  .working_dir = {}});
}

TEST(Live, ALogIsFollowedWhileItGrowsAndItsJobIsNeverDisturbed) {
  Box box;
  auto job = writer(box, "r-1", {"--points", "2", "--ops", "120", "--interval-ms", "80", "--hold-open"});
  const auto [followed, status] =
      box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() > 60; });
  EXPECT_TRUE(followed) << boost::json::serialize(status);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "1s"}).status, 4) << "a live run is not closed";
  const auto [all, whole] =
      box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 121; });
  EXPECT_TRUE(all);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--now", "--timeout", "10s"}).status, 0);
  EXPECT_EQ(job.terminate(10s), 0) << job.err();
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "20s"}).status, 0);
  // The producer found its log emptied and removed it: no orphans stay.
  EXPECT_TRUE(box.wait_status([&box](const auto&) { return std::filesystem::is_empty(box.runs()); }).first);
}

/// Whether the daemon has a file of this directory open.
bool has_open(Box& box, const std::filesystem::path& directory) {
  std::error_code gone;
  for (const auto& fd : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", box.daemon().pid())))
    if (std::filesystem::read_symlink(fd, gone).parent_path() == directory) return true;
  return false;
}

TEST(Live, TheCleanEndOfAQuietLogIsNothingToWarnOf) {
  Box box;
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
  log.append(1'000'000, {{"loss", 1.0}});
  const auto directory = log.path().parent_path();
  ASSERT_TRUE(box.wait_status([&](const auto& s) {
                   return s.at("totals").at("synced").as_int64() == 2 && !has_open(box, directory);
                 })
                  .first);
  // The daemon hears of the last write to the -wal, that of a checkpoint, when all of it is gone.
  box.daemon().signal(SIGSTOP);
  sqlite::exec(sqlite::open(log.path()), "PRAGMA wal_checkpoint(TRUNCATE)");
  log.close(true);
  ASSERT_FALSE(std::filesystem::exists(directory));
  box.daemon().signal(SIGCONT);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "20s"}).status, 0);
  EXPECT_NE(box.daemon().err().find("not read"), std::string::npos) << "it did look";
  EXPECT_EQ(box.daemon().err().find("level=warn"), std::string::npos) << box.daemon().err();
}

TEST(Live, ALogOfAnotherUserThatIsClosedAfterAQuietTimeIsSynced) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make another user's log";
  Box box({.reads_everything = false});
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
  const auto directory = log.path().parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    ASSERT_EQ(::chown(entry.path().c_str(), 1234, 1234), 0);
  ASSERT_EQ(::chown(directory.c_str(), 1234, 1234), 0);
  log.append(1'000'000, {{"loss", 1.0}});
  // Its job's closing removes the -shm only while we are not in it, which we are not once it was quiet for a while.
  ASSERT_TRUE(box.wait_status([&](const auto& s) {
                   return s.at("totals").at("synced").as_int64() == 2 && !has_open(box, directory);
                 })
                  .first);
  log.close(false);
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
  EXPECT_EQ(waited.status, 0) << waited.out << waited.err;
  const auto status = box.get("/v1/status");
  EXPECT_EQ(status.at("sources").at(0).at("state").as_string(), "synced") << boost::json::serialize(status);
}

TEST(Live, ALogThatIsRemovedBeforeItWasLookedIntoIsTold) {
  Box box;
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
  const auto directory = log.path().parent_path();
  const auto events_say = [&box](const std::string& words) {
    return box.wait_status([&](const auto&) { return box.sync({"events"}).out.find(words) != std::string::npos; })
        .first;
  };
  ASSERT_TRUE(events_say("found " + directory.string()));
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(events_say("removed before it was looked into"));
}

TEST(Live, AWaitIsNotOverWhileALogOfItsProjectOrRunWasOnlyJustFound) {
  Box box;
  EXPECT_EQ(writer(box, "r-1", {"--ops", "5", "--keep"}).wait(20s), 0);
  box.wait_synced();
  for (const std::vector<std::string>& scope :
       {std::vector<std::string>{"--project", "ml-team/lab"}, {"--run", "r-1"}}) {
    const auto before = box.get("/v1/status").at("totals").at("synced").as_int64();
    EXPECT_EQ(writer(box, "r-1", {"--ops", "500", "--keep"}).wait(20s), 0);
    std::vector<std::string> args = {"wait", "--now", "--timeout", "30s"};
    args.insert(args.end(), scope.begin(), scope.end());
    EXPECT_EQ(box.sync(args).status, 0);
    const auto totals = box.get("/v1/status").at("totals");
    EXPECT_GE(totals.at("synced").as_int64() + totals.at("rejected").as_int64(), before + 501) << scope[0];
  }
}

TEST(Live, AWaitForWhatIsThereNowIsOverBesideAJobThatLogsOnAndOn) {
  Box box;
  auto job = writer(box, "r-1", {"--ops", "100000", "--interval-ms", "4"});
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() > 10; }).first);
  for (int time = 0; time < 5; ++time) {
    const auto waited = box.sync({"wait", "--project", "ml-team/lab", "--now", "--timeout", "5s"});
    EXPECT_EQ(waited.status, 0) << waited.out << waited.err;
  }
  EXPECT_TRUE(job.running()) << "it logs on";
}

TEST(Live, AWaitForWhatIsThereNowMissesNothingThatWasJustLogged) {
  Box box;
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
  std::int64_t logged = 1;
  for (int time = 0; time < 20; ++time) {
    for (int i = 0; i <= time; ++i) log.append(static_cast<std::uint64_t>(++logged) * 1'000'000, {{"loss", 0.5}});
    const auto waited = box.sync({"wait", "--run", "r-1", "--now", "--timeout", "30s"});
    EXPECT_EQ(waited.status, 0) << waited.out << waited.err;
    EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").as_int64(), logged) << time;
  }
}

/// How often the daemon has told that a run is synced, since it was started.
long told_synced(Box& box, const std::string& run) {
  std::istringstream events(box.sync({"--json", "events"}).out);
  long told = 0;
  for (std::string line; std::getline(events, line);)
    if (line.find("\"run_synced\"") != std::string::npos && line.find('"' + run + '"') != std::string::npos) ++told;
  return told;
}

bool is_told_synced(Box& box, const std::string& run) {
  return box.wait_status([&](const auto&) { return told_synced(box, run) > 0; }).first;
}

TEST(Live, ARunIsToldAsSyncedWhenItBecomesThatAndNotWithEachRestart) {
  Box box;
  EXPECT_EQ(writer(box, "r-1", {"--ops", "5", "--keep"}).wait(20s), 0);
  RunLogWriter grows({.directory = box.runs(), .project = "ml-team/lab", .run = "r-2", .experiment = {}, .fork = {}});
  for (const auto* run : {"r-1", "r-2"}) EXPECT_TRUE(is_told_synced(box, run)) << run;

  box.stop_daemon();
  box.start_daemon();
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   const auto sources = boost::json::serialize(s.at("sources"));
                   return sources.find(R"("state":"synced")") != std::string::npos &&
                          sources.find(R"("state":"live")") != std::string::npos;
                 })
                  .first);
  for (const auto* run : {"r-1", "r-2"}) EXPECT_EQ(told_synced(box, run), 0) << run << " was synced before";
  grows.append(1'000'000, {{"loss", 1.0}});
  EXPECT_TRUE(is_told_synced(box, "r-2"));
  EXPECT_EQ(told_synced(box, "r-1"), 0);
}

TEST(Live, ASyncedClosedLogIsRemovedAfterCleanupAfter) {
  Box box({.cleanup_after = "1s"});
  auto job = writer(box, "r-1", {"--ops", "20", "--keep"});
  EXPECT_EQ(job.wait(20s), 0);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "30s"}).status, 0);
  EXPECT_TRUE(box.wait_status([&box](const auto&) { return std::filesystem::is_empty(box.runs()); }).first);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "5s"}).status, 0) << "what was synced stays known";
}

TEST(Live, AMillionPointsPassThroughAFewMegabytes) {
  Box box({.start = false});
  auto job = writer(box, "r-1", {"--points", "50", "--ops", "20000", "--keep"});
  ASSERT_EQ(job.wait(240s), 0);
  box.start_daemon();
  box.wait_synced(200s);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(box.peak_memory(), 64u << 20);
#endif
  RecordProperty("peak_memory", std::to_string(box.peak_memory()));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").as_int64(), 20001);
}

}  // namespace
}  // namespace neptune::testing
