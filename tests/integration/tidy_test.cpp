// `neptune-sync tidy`: the owner's removal of what is synced and closed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr unsigned owner = 1234;

std::vector<fs::path> logs_in(const Box& box) {
  std::vector<fs::path> found;
  for (const auto& database : run_logs_in(box.runs())) found.push_back(database.parent_path());
  return found;
}

bool sources_are(const boost::json::value& status, const std::string& state, std::size_t count) {
  std::size_t found = 0;
  for (const auto& source : status.at("sources").as_array()) found += source.at("state").as_string() == state ? 1 : 0;
  return found == count;
}

TEST(Tidy, RemovesWhatIsSyncedAndClosedAndSaysWhyTheRestStays) {
  Box box({.sandbox_args = {"--workspace", "full:team", "--workspace", "ml-team:team"}, .cleanup_after = "never"});
  box.sandbox().control(R"({"workspace": "full", "mode": "read_only", "reason": "storage is full"})");
  write_loss_log(box, "ml-team/lab", "done", 10);
  write_loss_log(box, "full/one", "waits", 10);
  RunLogWriter live({.directory = box.runs(), .project = "ml-team/lab", .run = "live", .experiment = {}, .fork = {}});
  live.assign_float("a", 1);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return sources_are(s, "live", 1) && s.at("totals").at("synced").as_int64() == 13 &&
                          s.at("totals").at("held").as_int64() == 11;
                 })
                  .first);

  fs::path done;
  for (const auto& log : logs_in(box))
    if (log.string().find("_done_") != std::string::npos) done = log;
  std::ofstream(done / "notes.txt") << "mine";
  const auto plan = box.sync({"tidy", "--dry-run"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("notes.txt stays there: that is no part of the log"));
  EXPECT_THAT(plan.out, AllOf(HasSubstr("removable"), HasSubstr("ml-team_lab_done_"), HasSubstr("1 log ("),
                              HasSubstr("would be removed, 2 kept")));
  EXPECT_EQ(logs_in(box).size(), 3u) << "a dry run removes nothing";

  const auto ran = box.sync({"tidy"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("1 log removed"), HasSubstr("writes it"),
                             HasSubstr("11 changes of it are not on the server yet; `neptune-sync explain")));
  EXPECT_THAT(ran.out, HasSubstr("notes.txt stays there: that is no part of the log"));
  EXPECT_TRUE(fs::exists(done / "notes.txt"));
  const auto left = logs_in(box);
  ASSERT_EQ(left.size(), 2u);
  for (const auto& log : left) EXPECT_THAT(log.string(), Not(HasSubstr("_done_")));
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/lab/done", 10), "");
  EXPECT_EQ(box.sync({"wait", "--run", "done", "--timeout", "5s"}).status, 0) << "what was synced stays known";
  EXPECT_THAT(box.sync({"tidy", box.dir()}).out, HasSubstr("Nothing can be removed now; 2 logs kept"));
  EXPECT_THAT(box.sync({"tidy", box.dir() / "output"}).out, HasSubstr("no log here"));
  EXPECT_EQ(box.sync({"tidy", box.dir() / "nowhere"}).status, 1);
}

TEST(Tidy, OfADaemonThatMayDeleteItIsForItsOwnerAndForOperators) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make other users' logs";
  Box box({.cleanup_after = "never"});
  fs::permissions(box.dir(), fs::perms(0755));
  for (const char* run : {"one", "two"}) write_loss_log(box, "ml-team/lab", run, 3);
  for (const auto& log : logs_in(box)) EXPECT_EQ(::chown(log.c_str(), owner, owner), 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return s.at("totals").at("synced").as_int64() == 8 && sources_are(s, "synced", 2);
                 })
                  .first);
  const auto by_a_stranger = box.sync_as(owner + 1, {"tidy"});
  EXPECT_EQ(by_a_stranger.status, 0) << by_a_stranger.err;
  EXPECT_THAT(by_a_stranger.out,
              AllOf(HasSubstr("it belongs to"), HasSubstr("Nothing can be removed now; 2 logs kept")));
  EXPECT_EQ(logs_in(box).size(), 2u);
  const auto first = logs_in(box).front();
  EXPECT_THAT(box.sync_as(owner, {"tidy", first}).out, HasSubstr("1 log removed"));
  EXPECT_FALSE(fs::exists(first));
  EXPECT_THAT(box.sync({"tidy"}).out, HasSubstr("1 log removed"));
  EXPECT_TRUE(logs_in(box).empty());
}

/// A log of another user, which the daemon follows without writing to it.
class TidyOfAnotherUser : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to make another user's log";
    Box::Options options;
    options.cleanup_after = "0s";
    options.reads_everything = false;
    options.start = false;
    box.emplace(std::move(options));
    fs::permissions(box->dir(), fs::perms(0755));
  }

  fs::path make_log() {
    RunLogWriter log({.directory = box->runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
    log.append(1'000'000, {{"loss", 1.0}});
    const auto directory = log.path().parent_path();
    std::ofstream(directory / "p.png") << "picture";
    log.add_upload(directory / "p.png", "r-1/p/none/p.png", "image/png", true);
    log.close(false);
    for (const auto& entry : fs::directory_iterator(directory))
      EXPECT_EQ(::chown(entry.path().c_str(), owner, owner), 0);
    EXPECT_EQ(::chown(directory.c_str(), owner, owner), 0);
    EXPECT_EQ(::chown(box->runs().c_str(), owner, owner), 0);
    return directory;
  }

  Ran sync_as_owner(std::vector<std::string> args) { return box->sync_as(owner, std::move(args)); }

  std::optional<Box> box;
};

TEST_F(TidyOfAnotherUser, IsDoneByItsOwnerOnTheDaemonsWord) {
  const auto log = make_log();
  box->start_daemon();
  ASSERT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 3; }).first);

  const auto by_operator = box->sync({"tidy"});
  EXPECT_THAT(by_operator.out, AllOf(HasSubstr("it belongs to"), HasSubstr("Nothing can be removed now")));
  EXPECT_TRUE(fs::exists(log));
  EXPECT_THAT(sync_as_owner({"tidy", "--dry-run"}).out, HasSubstr("would be removed"));
  EXPECT_TRUE(fs::exists(log));
  const auto ran = sync_as_owner({"tidy"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("1 log removed"));
  EXPECT_FALSE(fs::exists(log)) << ran.out;
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("sources").as_array().size() <= 1; }).first)
      << "the daemon saw that it is gone, and lost nothing by it";
  EXPECT_THAT(box->sync({"events"}).out, Not(HasSubstr("not synced yet")));
}

TEST_F(TidyOfAnotherUser, IsLeftToTheirOwnHandsWhereTheyCannotReachTheDaemon) {
  const auto log = make_log();
  box->start_daemon();
  ASSERT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 3; }).first);
  EXPECT_THAT(box->sync({"tidy"}).out, HasSubstr("who may remove it with `neptune-sync tidy`"));
  fs::permissions(box->dir(), fs::perms(0700));
  EXPECT_THAT(box->sync({"tidy"}).out,
              AllOf(HasSubstr("who may delete it: all of it is on the server. (They cannot reach"),
                    Not(HasSubstr("who may remove it with"))));
  ASSERT_EQ(::chown(box->dir().c_str(), 0, owner), 0);
  fs::permissions(box->dir(), fs::perms(0710));
  EXPECT_THAT(box->sync({"tidy"}).out, HasSubstr("who may remove it with `neptune-sync tidy`"))
      << "as one of the group";
  fs::permissions(box->dir(), fs::perms(0701));
  EXPECT_THAT(box->sync({"tidy"}).out, HasSubstr("who may delete it")) << "what others may, the group may not";
  EXPECT_TRUE(fs::exists(log));
}

TEST_F(TidyOfAnotherUser, TakesTheFilesOfALogThatWasMovedToo) {
  const auto made = make_log();
  const auto log = box->runs() / "moved" / made.filename();
  fs::create_directory(log.parent_path());
  ASSERT_EQ(::chown(log.parent_path().c_str(), owner, owner), 0);
  fs::rename(made, log);
  box->start_daemon();
  ASSERT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 3; }).first);
  EXPECT_THAT(sync_as_owner({"tidy"}).out, HasSubstr("1 log removed"));
  EXPECT_FALSE(fs::exists(log));
}

TEST_F(TidyOfAnotherUser, IsNotOfferedWhileChangesWait) {
  const auto log = make_log();
  box->sandbox().control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "full"})");
  box->start_daemon();
  ASSERT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() > 0; }).first);
  EXPECT_THAT(sync_as_owner({"tidy"}).out,
              AllOf(HasSubstr("not on the server yet"), HasSubstr("Nothing can be removed now")));
  EXPECT_TRUE(fs::exists(log / "run_operations.sqlite3"));
}

}  // namespace
}  // namespace neptune::testing
